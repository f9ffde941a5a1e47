"""A year of a made-up bank whose customers leave by another rule from month 7 on.

Every Monday the champion is asked about as many new customers, and its answers are logged. Those
who leave do so within `drift.outcome_days`, evenly; who stayed is known when these days are over.
At half past midnight the project's own functions do what `churn_drift` does: outcomes are measured,
the day is judged, and where the guards let it a training run follows. Only Airflow and the API are
missing, and the other six days. From month 7 on it is the busiest of those with a high limit who
leave, as many as before: customers look as they did, so that nothing but their labels can tell.

Run by `make bench-year`. What `--directory` keeps is a CHURN_VAR_DIR for the dashboard.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa

from include.champion import versions
from include.champion.onnx_scorer import Scorer
from include.champion.registry import EXPERIMENT, Registry
from include.champion.versions import Manifest
from include.contract import load_contract
from include.customers import loading
from include.customers.database import open_engine
from include.customers.sample import FIRST_KEY, Drift, sample_customers
from include.drift.collect_predictions import collect_predictions
from include.drift.detect_drift import detect_drift
from include.drift.measure_outcomes import measure_outcomes
from include.drift.performance import Performance, VersionWeek, read_performance
from include.drift.plan_parts import plan_parts
from include.drift.run import DriftRun
from include.errors import NeedsPerson
from include.params import Params, load_params
from include.predictions import log as prediction_log
from include.settings import Settings
from include.store import LocalStore
from tests.bench.loader import write
from tests.include.banks import training_run
from tests.include.conftest import evaluate, lineage_of, promote_judged

CONTRACT = load_contract()
KEY, TARGET, LABELLED_AT = CONTRACT.key.name, CONTRACT.target, CONTRACT.labelled_at.name
STAYS = next(name for name in TARGET.categories if name != TARGET.positive)
MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
ASKED_AT = timedelta(hours=12)
JUDGED_AT = timedelta(days=1, minutes=30)  # when churn_drift is due
WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class Plan:
    """What the year is like."""

    customers: int  # asked about each week
    weeks: int
    changes_in: int  # the first week of the other rule
    outcome_days: float
    label_days: float
    first_customers: int = 4000  # with whom the first version is trained
    seed: int = 2025

    def people(self, week: int) -> pd.DataFrame:
        """The customers of a week, with what they will do; week 0 is all before the year."""
        rows = self.customers if week else self.first_customers
        first_key = FIRST_KEY + (self.first_customers + (week - 1) * rows if week else 0)
        drift = Drift(changed_rule=week >= self.changes_in)
        return sample_customers(rows, seed=self.seed + week, first_key=first_key, drift=drift)

    def fates(self, people: pd.DataFrame, asked_at: datetime, week: int) -> pd.DataFrame:
        """The same customers with the moment from which the bank knows what they did."""
        days = np.full(len(people), self.outcome_days, dtype=np.float64)
        left = CONTRACT.labels(people) == 1
        random = np.random.default_rng((self.seed, week))
        days[left] = random.uniform(0, self.outcome_days, int(left.sum()))
        after = pd.to_timedelta(np.ceil(86_400 * days), unit="s")
        return people.assign(**{LABELLED_AT: pd.Timestamp(asked_at) + after})


@dataclass
class Bank:
    """Customers, store and registry in one directory, on a day of the year."""

    home: Path
    plan: Plan
    params: Params
    now: datetime = MONDAY
    pending: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        self.store = LocalStore(self.home / "store")
        self.engine = open_engine(f"sqlite:///{self.home / 'churn.db'}")
        self.registry = Registry(f"sqlite:///{self.home / 'mlflow.db'}")

    def open(self) -> str | None:
        """The first customers, of whom everything is known, and the first version."""
        from mlflow import MlflowClient

        MlflowClient(f"sqlite:///{self.home / 'mlflow.db'}").create_experiment(
            EXPERIMENT, artifact_location=(self.home / "artifacts").as_uri()
        )
        loading.create_table(self.engine)
        people = self.plan.people(0)
        loading.load_customers(self.engine, people, now=self.now - timedelta(days=1))
        return self.train("first", {"trigger_reason": "manual"})

    def ask(self, week: int) -> None:
        """One answer of the champion about each of the week's customers, in the log."""
        self.now = MONDAY + (week - 1) * WEEK + ASKED_AT
        people = self.plan.people(week)
        manifest, scorer = self.champion()
        answers = scorer.score(CONTRACT.matrix(people, manifest.columns))
        id_key = Settings(var_dir=self.home).customer_id_key()
        keys = people[KEY].tolist()
        logged = people[list(CONTRACT.feature_names)].assign(
            prediction_id=[f"p{key}" for key in keys],
            row=0,
            request_id=f"week {week}",
            predicted_at=self.now,
            model_version=manifest.version,
            customer_key=[prediction_log.customer_key(key, id_key) for key in keys],
            source="customer",
            probability=answers,
            prediction=(answers >= manifest.threshold).astype(np.int8),
            latency_seconds=0.001,
        )
        schema = prediction_log.log_schema(prediction_log.feature_columns(CONTRACT))
        table = pa.Table.from_pandas(logged, schema, preserve_index=False)
        prediction_log.write_table(self.store, table, name=f"week-{week:02d}")
        fates = self.plan.fates(people, self.now, week)
        self.pending = pd.concat([self.pending, fates], ignore_index=True)

    def learn(self) -> None:
        """Load every customer of whom the bank knows by now what he did."""
        known = self.pending[LABELLED_AT] <= self.now
        if known.any():
            loading.load_customers(self.engine, self.pending[known], now=self.now)
        self.pending = self.pending[~known]

    def drift_run(self, week: int) -> DriftRun:
        """The run of `churn_drift` over the week's Monday."""
        day = MONDAY + (week - 1) * WEEK
        self.now = day + JUDGED_AT
        return DriftRun(
            dag_run_id=f"week-{week:02d}",
            store=self.store,
            day=day.date(),
            contract=CONTRACT,
            rules=self.params.drift,
            id_key=Settings(var_dir=self.home).customer_id_key,
            open_engine=lambda: self.engine,
            training_runs_in_flight=lambda own: 0,
            now=self.now,
            campaigns=self.params.campaigns,
        )

    def train(self, name: str, trigger: dict[str, Any]) -> str:
        """A training run to its end; what came of it, in a sentence."""
        parts = {"store": self.store, "engine": self.engine, "registry": self.registry}
        run = training_run(name, self.params, trigger=trigger, **parts)
        with self.time():
            lineage = lineage_of(run)
            try:
                promoted = promote_judged(run, lineage, evaluate(run, lineage))
            except NeedsPerson as error:
                return str(error)
        return f"{lineage.ingested.rows:,} customers: {promoted.message}"

    def champion(self) -> tuple[Manifest, Scorer]:
        """The version in production, ready to answer."""
        manifest = versions.read_production_manifest(self.store)
        assert manifest is not None, "the first training run promotes"
        files = versions.read_files(self.store, manifest, [versions.MODEL_FILE])
        return manifest, Scorer(files[versions.MODEL_FILE])

    @contextmanager
    def time(self) -> Iterator[None]:
        """The project's own clock shows the year's time while the block lasts."""
        simulated = SimpleNamespace(now=lambda zone: self.now.astimezone(zone))
        with patch("include.handover.datetime", simulated):
            yield


@dataclass
class Year:
    """The weeks lived so far: what was said of them, and which weeks had been judged by then."""

    bank: Bank
    told: set[tuple[str, str]] = field(default_factory=set)

    def live(self, week: int) -> None:
        """A week: customers asked about, labels, outcomes, drift, perhaps a training."""
        bank = self.bank
        bank.ask(week)
        version = bank.champion()[0].version
        run = bank.drift_run(week)
        bank.learn()
        measured = measure_outcomes(run)
        parts = [collect_predictions(run, part) for part in plan_parts(run)]
        detected = detect_drift(run, parts)
        drift = "drift" if detected.drifted else "quiet"
        write(f"{week:4}  {run.day}  v{version:3} {drift:6} {self.news(read(bank))}")
        if measured.lost:
            write("      ChurnPerformanceLost rings")
        if detected.reason != "no_drift":
            write(f"      {detected.explanation.rpartition('; ')[2]}")
        if detected.run_id and detected.conf:
            write(f"      {bank.train(detected.run_id, detected.conf)}")

    def news(self, found: Performance) -> str:
        """The weeks that were judged since the last time."""
        new = [
            each
            for each in found.weeks
            if each.verdict in {"kept", "lost"} and (each.version, each.week) not in self.told
        ]
        self.told |= {(each.version, each.week) for each in new}
        return "; ".join(f"{w.begins} v{w.version} {w.verdict}: {curve(w)}" for w in new)


def main() -> None:
    """Live the year, and print what came of it by month."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=2000, help="asked about each week")
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--changes-in", type=int, default=27, help="first week of the other rule")
    help_text = "until a customer who stayed is an outcome (params.yaml: 90)"
    parser.add_argument("--outcome-days", type=float, default=28, help=help_text)
    help_text = "in which labels may still come (params.yaml: 14)"
    parser.add_argument("--label-days", type=float, default=7, help=help_text)
    parser.add_argument("--no-retraining", action="store_true", help="a loss only rings")
    parser.add_argument("--directory", type=Path, help="where everything is kept; else nowhere")
    arguments = parser.parse_args()
    if arguments.directory:
        live(arguments.directory, arguments)
        return
    with tempfile.TemporaryDirectory(prefix="churn-year-") as home:
        live(Path(home), arguments)


def live(home: Path, arguments: argparse.Namespace) -> None:
    """The whole year in a directory."""
    plan = Plan(
        customers=arguments.customers,
        weeks=arguments.weeks,
        changes_in=arguments.changes_in,
        outcome_days=arguments.outcome_days,
        label_days=arguments.label_days,
    )
    bank = Bank(home, plan, rules_of(plan, retrain=not arguments.no_retraining))
    write(f"first: {bank.open()}")
    write("week  Monday      asked  drift  outcomes known since: ROC-AUC realised, estimated")
    year = Year(bank)
    for week in range(1, plan.weeks + 1):
        year.live(week)
    for line in by_month(read(bank)):
        write(line)


def rules_of(plan: Plan, *, retrain: bool) -> Params:
    """params.yaml, but for when outcomes are known and whether a loss may start a training."""
    params = load_params(Settings().params_file)
    judging = {"retrain": retrain, "label_days": plan.label_days}
    performance = params.drift.performance.model_copy(update=judging)
    changes = {
        "outcome_days": plan.outcome_days,
        "performance": performance,
        "rows_min": min(params.drift.rows_min, plan.customers),
    }
    return params.model_copy(update={"drift": params.drift.model_copy(update=changes)})


def by_month(found: Performance) -> Iterator[str]:
    """A table in Markdown: each version's months of predictions, means over their weeks."""
    yield "\n| asked about in | version | weeks | ROC-AUC realised | estimated | promised | lost |"
    yield "|---|---|---|---|---|---|---|"
    promised = {each.version: each.promised_roc_auc or np.nan for each in found.versions}
    months: dict[tuple[str, str], list[VersionWeek]] = {}
    for week in found.weeks:
        months.setdefault((f"{week.begins:%Y-%m}", week.version), []).append(week)
    for (month, version), weeks in months.items():
        pairs = [pair for pair in map(roc_aucs, weeks) if pair]
        means = [f"{np.mean(values):.3f}" for values in zip(*pairs, strict=True)] or ["–", "–"]
        lost = sum(week.verdict == "lost" for week in weeks)
        cells = [month, version, f"{len(weeks)}", *means, f"{promised[version]:.3f}", f"{lost}"]
        yield f"| {' | '.join(cells)} |"


def roc_aucs(week: VersionWeek) -> tuple[float, float] | None:
    """Realised and estimated ROC-AUC of the same customers; None while nobody is ripe."""
    realised = week.realised and week.realised.roc_auc
    estimated = week.estimate_of_ripe and week.estimate_of_ripe.roc_auc
    return (realised.value, estimated.value) if realised and estimated else None


def curve(week: VersionWeek) -> str:
    """The same with the realised one's interval, for people."""
    realised, pair = week.realised and week.realised.roc_auc, roc_aucs(week)
    if not realised or not pair:
        return "–"
    return f"{realised.value:.3f} ({realised.low:.3f} to {realised.high:.3f}), {pair[1]:.3f}"


def read(bank: Bank) -> Performance:
    """What `measure_outcomes` has written."""
    found = read_performance(bank.store)
    assert found is not None, "it was just written"
    return found


if __name__ == "__main__":
    main()
