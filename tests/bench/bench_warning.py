"""How early leavers are seen, where the rule by which they leave is known; `make bench-warning`.

A made-up bank (`include/history/made_up.py`) has so many customers and months. On its newest closed
month, and the hold-out customers alone, these are compared, each with a list of the same length:

- the rule itself, which knows each customer's mood: no model can see as much;
- the version that the project's own tasks train on the history for the horizon;
- the same without what changed since earlier snapshots, on a record's own columns;
- the reference way: the same tasks on the customer table as it was on that month's day, which learn
  to tell who has left, asked who will leave;
- the naive rule of `include/history/baseline.py`;
- the horizon's model once more, on as many rows of all closed months, judged by a random split.

Then what each stage costs with a million customers, each in a process of its own.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.champion.early_warning import LeadTimes
from include.champion.onnx_scorer import Scorer
from include.champion.registry import EXPERIMENT
from include.contract import load_contract
from include.customers.database import open_engine, opened
from include.history import cohorts
from include.history.baseline import naive_scores
from include.history.changes import with_changes
from include.history.clock import LEAVES, LEFT_AFTER, STAYS, Months
from include.history.lead_times import Month, lead_times, listed_rows
from include.history.made_up import load_made_up, made_up_months
from include.history.run import HistoryRun
from include.history.snapshot_customers import snapshot_customers
from include.params import Params, load_params
from include.settings import Settings
from include.training import fit, tuned_set
from include.training.fit import SPLIT
from include.training.ingest_data import Ingested, ingest_data
from include.training.run import TrainingRun
from include.training.train_model import train_model
from include.training.transform_data import transform_data
from include.training.validate_data import validate_data
from tests.bench.bench_growth import Bank, alone, costing, scored, trained, write, write_costs

CONTRACT = load_contract()
KEY = CONTRACT.key.name
LAST = date(2025, 12, 28)  # a day that every month has
RULE, MODEL, STATE, NAIVE = "the rule itself", "horizon", "state, asked ahead", "naive rule"
RECORD, RANDOM_SPLIT = "horizon, a record alone", "horizon, by a random split"


@dataclass(frozen=True)
class History:
    """A made-up bank's past."""

    customers: int
    months: int
    seed: int
    last: date = LAST
    rule_changes_in: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What the generator is told beside the numbers of customers and months."""
        return {"seed": self.seed, "last": self.last, "rule_changes_in": self.rule_changes_in}

    def load(self, bank: Bank) -> None:
        """Fill the bank's database, and make an experiment whose files stay in its directory."""
        from mlflow import MlflowClient

        bank.home.mkdir(parents=True, exist_ok=True)
        MlflowClient(bank.tracking).create_experiment(
            EXPERIMENT, artifact_location=(bank.home / "artifacts").as_uri()
        )
        with opened(bank.customers) as engine:
            load_made_up(engine, self.customers, self.months, **self.options)

    def until(self, day: date) -> "History":
        """The same bank, of which nothing after that snapshot's day has happened."""
        later = (self.last.year - day.year) * 12 + self.last.month - day.month
        return replace(self, months=self.months - later, last=day)

    def chances(self, day: date, target: Any) -> "pd.Series[float]":
        """The rule's chance of each customer who was there on a snapshot's day, by the key."""
        made = made_up_months(self.customers, self.months, **self.options)
        month = next(month for month in made if month.as_of == day)
        return pd.Series(month.chances(target), index=month.customers[KEY])


@dataclass(frozen=True)
class Learnt:
    """What a training run left that the figures need."""

    run: TrainingRun  # with what it chose
    ingested: Ingested
    customers: pd.DataFrame  # with sides
    training_rows: int
    scorer: Scorer

    def answers(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """What the candidate says of these customers."""
        columns = self.run.contract.chosen(self.run.params.model.columns)
        return self.scorer.score(self.run.contract.matrix(frame, columns))


def main() -> None:
    """Print the figures of each seed and their means, then the costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=40_000)
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    help_text = "month, counted from 1, from which on others leave"
    parser.add_argument("--rule-changes-in", type=int, help=help_text)
    parser.add_argument("--large", type=int, default=1_000_000, help="customers; 0 for no costs")
    parser.add_argument("--threads", type=int, default=1, help="of the training")
    parser.add_argument("--directory", type=Path, help="where customers go, on a large disk")
    arguments = parser.parse_args()
    params = load_params(Settings().params_file)
    model = params.model.model_copy(update={"threads": arguments.threads})
    params = params.model_copy(update={"model": model})
    found = []
    for seed in range(1, arguments.seeds + 1):
        with tempfile.TemporaryDirectory(dir=arguments.directory) as home:
            history = History(
                arguments.customers,
                arguments.months,
                seed,
                rule_changes_in=arguments.rule_changes_in,
            )
            found.append(figures(Path(home), history, params))
            for line in table(found[-1:]):
                write(line)
    for line in table(found) if len(found) > 1 else ():
        write(line)
    if arguments.large:
        with tempfile.TemporaryDirectory(dir=arguments.directory) as home:
            history = History(arguments.large, arguments.months, 1)
            tonight = datetime.combine(history.last + timedelta(days=1), time(3), UTC)
            cost(Bank(Path(home), params, tonight), history)


def figures(home: Path, history: History, params: Params) -> dict[str, LeadTimes]:
    """How each way of ranking does on the newest closed month's hold-out customers."""
    ahead = Bank(home / "horizon", params.model_copy(update={"target": "horizon"}))
    history.load(ahead)
    learnt = learn(ahead)
    months = learnt.ingested.months
    assert months is not None, "a horizon has months"
    judging = learnt.customers[learnt.customers[SPLIT] == "holdout"]
    model = params.model.model_copy(update={"columns": CONTRACT.feature_names})
    alone_ahead = replace(ahead, params=ahead.params.model_copy(update={"model": model}))
    then = Bank(home / "state", params.model_copy(update={"target": "state"}))
    history.until(months.holdout).load(then)
    answers = {
        RULE: history.chances(months.holdout, months.target)[judging[KEY]].to_numpy(),
        MODEL: learnt.answers(judging),
        RECORD: learn(alone_ahead, "record").answers(judging),
        STATE: learn(then).answers(judging),
        NAIVE: naive_scores(judging),
    }
    month = month_of(months.holdout, judging, answers)
    write(
        f"\nseed {history.seed}: {len(months.training)} months teach {learnt.training_rows:,} rows;"
        f" {len(judging):,} customers of {months.holdout} judge,"
        f" {int(month.labels(months.target).sum())} of them leavers"
    )
    found = {who: figures_of(month, who, months, params) for who in answers}
    flattered = by_random_split(learnt.run, months, rows=learnt.training_rows)
    return found | {RANDOM_SPLIT: figures_of(flattered, RANDOM_SPLIT, months, params)}


def figures_of(month: Month, who: str, months: Months, params: Params) -> LeadTimes:
    """One ranking's figures, with the list of params.yaml."""
    listed = listed_rows(len(month.keys), params.history.list_share)
    return lead_times(month, who, target=months.target, listed=listed)


def month_of(day: date, frame: pd.DataFrame, answers: dict[str, NDArray[np.float64]]) -> Month:
    """Customers who judge, as `include/history/lead_times.py` wants them."""
    left_after = frame[LEFT_AFTER].astype("Float64").to_numpy(np.float64, na_value=np.nan)
    return Month(day, frame[KEY].to_numpy(), left_after, answers)


def learn(bank: Bank, name: str = "learn") -> Learnt:
    """The tasks of a training run up to the candidate."""
    run = bank.training(name)
    ingested = ingest_data(run)
    run = tuned_set.settled(run)  # as each later task is opened
    validated = validate_data(run, ingested)
    transformed = transform_data(run, validated)
    model = train_model(run, ingested, transformed).model
    customers = pd.concat(run.read_batches(transformed.customers), ignore_index=True)
    return Learnt(run, ingested, customers, transformed.training_rows, Scorer(run.read(model)))


def by_random_split(run: TrainingRun, months: Months, *, rows: int) -> Month:
    """What judges in a random split of rows: of any closed month, of customers seen in training."""
    params, random = run.params, np.random.default_rng(run.params.model.seed)
    every = pd.concat(rows_of_all_months(run, months), ignore_index=True)
    kept, held = 1 - params.split.holdout_share, params.split.holdout_share
    aside = params.split.calibration_share
    wanted = min(len(every), round(rows / (kept - aside)))
    frame = every.iloc[random.permutation(len(every))[:wanted]].reset_index(drop=True)
    place = random.random(len(frame))
    frame[SPLIT] = np.select([place < held, place < held + aside], fit.SIDES[:0:-1], fit.SIDES[0])
    fitted = fit.fit(fit.prepare(frame, run.contract, params), params.model)
    judging = frame[frame[SPLIT] == "holdout"]
    answers = fitted.probabilities(run.contract.matrix(judging, fitted.columns))
    return month_of(months.holdout, judging, {RANDOM_SPLIT: answers})


def rows_of_all_months(run: TrainingRun, months: Months) -> Iterator[pd.DataFrame]:
    """Every labelled row of a closed month, whoever's it is."""
    engine, rules, records = run.engine, run.params.history, run.contract.of_records
    exits = cohorts.read_exits(engine, records, now=datetime.now(UTC))
    everybody = replace(months, training=months.closed)
    for page in cohorts.pages(
        engine, records, everybody, exits, split=run.params.split, rules=rules, rows=50_000
    ):
        kept = page.customers[page.verdicts.isin([LEAVES, STAYS])]
        yield with_changes(
            engine, kept, run.contract, as_of=page.as_of, snapshots=exits.days, rules=rules
        )


def table(found: list[dict[str, LeadTimes]]) -> Iterator[str]:
    """Markdown: the means over the seeds, and from where to where the ROC-AUC went."""
    names = list(found[0][RULE].recall)
    yield f"| {len(found)} seed(s) | ROC-AUC | top-decile lift | {' | '.join(names)} |"
    yield "|---" * (3 + len(names)) + "|"
    for who in found[0]:
        each = [seed[who] for seed in found]
        aucs = [one.roc_auc for one in each]
        recalls = [np.mean([one.recall[name] or 0 for one in each]) for name in names]
        cells = [
            f"{np.mean(aucs):.3f}" + (f" ({min(aucs):.3f}–{max(aucs):.3f})" if aucs[1:] else ""),
            f"{np.mean([one.top_decile_lift for one in each]):.1f}",
            *(f"{recall:.0%}" for recall in recalls),
        ]
        yield f"| {who} | {' | '.join(cells)} |"


def cost(bank: Bank, history: History) -> None:
    """A line for each stage: filling the tables, a month's snapshot, a training run, a night."""
    write(f"\n{history.customers:,} customers x {history.months} months")
    filling = {"load_made_up": alone(partial(a_load, history, bank))}
    write_costs(filling)
    write_costs({"snapshot_customers": alone(partial(a_snapshot, history, bank))})
    write_costs(trained(bank, "training"))
    write_costs(scored(bank, workers=1))


def a_load(history: History, bank: Bank) -> Any:
    """The tables filled, in the process that is there for it."""
    return costing(partial(history.load, bank))[1]


def a_snapshot(history: History, bank: Bank) -> Any:
    """The month after the last one, copied from the customer table."""
    now = datetime.combine(history.last + timedelta(days=31), time(4), UTC)
    run = HistoryRun(open_engine(bank.customers), now)
    return costing(lambda: snapshot_customers(run))[1]


if __name__ == "__main__":
    main()
