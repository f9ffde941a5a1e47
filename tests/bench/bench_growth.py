"""What each stage costs as the customers grow; run by `make bench-growth`.

Made-up customers lie in SQLite in a fresh directory. Each task of a training run, and each range of
the night after it, has a process of its own, with MLflow's registry in SQLite and a file store, as
under Airflow; a stage's seconds begin when its process has imported everything, because Airflow's
have, and its memory is the process's largest. On a machine that does other things, read the CPU
seconds. Airflow itself is in `make bench-training`.
"""

import argparse
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from include.champion import versions
from include.champion.registry import EXPERIMENT, Registry
from include.customers.database import open_engine, opened
from include.params import Params, load_params
from include.scoring.plan_ranges import Portion, plan_ranges
from include.scoring.run import ScoringRun
from include.scoring.score_range import score_range
from include.scoring.summarise_scores import summarise_scores
from include.settings import Settings
from include.store import LocalStore
from include.training import tuned_set
from include.training.approve_promotion import approve_promotion
from include.training.evaluate_model import TASK as EVALUATION
from include.training.evaluate_model import evaluate_model
from include.training.ingest_data import ingest_data
from include.training.promote_model import promote_model
from include.training.run import TrainingRun
from include.training.train_model import train_model
from include.training.transform_data import transform_data
from include.training.validate_data import validate_data
from tests.bench.customers import load_made_up
from tests.bench.memory import peak_mib
from tests.include.banks import training_run
from tests.include.nights import REVENUE

QUALITY = ("roc_auc", "f1", "brier")
BALANCES: dict[str, dict[str, Any]] = {
    "none": {"resampling": "none", "class_weight": "none"},
    "none, balanced": {"resampling": "none", "class_weight": "balanced"},
    "smotenc": {"resampling": "smotenc", "resampling_rows_max": 10**9},
}


@dataclass(frozen=True)
class Cost:
    """What a stage took: seconds, those of them that a processor worked, and memory at most."""

    seconds: float
    cpu_seconds: float
    mib: float


@dataclass(frozen=True)
class Bank:
    """Customers, store and registry in one directory, and the parameters used on them."""

    home: Path
    params: Params
    tonight: datetime | None = None  # whose records are today's; the present when None

    @property
    def customers(self) -> str:
        """The database of the customers."""
        return f"sqlite:///{self.home / 'churn.db'}"

    @property
    def tracking(self) -> str:
        """The registry."""
        return f"sqlite:///{self.home / 'mlflow.db'}"

    def training(self, name: str) -> TrainingRun:
        """A training run, with its own connections."""
        return training_run(
            name,
            self.params,
            store=LocalStore(self.home / "store"),
            engine=open_engine(self.customers),
            registry=Registry(self.tracking),
        )

    def night(self) -> ScoringRun:
        """A night, with its own connections."""
        now = self.tonight or datetime.now(UTC)
        return ScoringRun(
            dag_run_id="night",
            store=LocalStore(self.home / "store"),
            engine=open_engine(self.customers),
            rules=self.params.scoring,
            rejected_share_max=self.params.validation.rejected_share_max,
            revenue=REVENUE,
            day=now.date(),
            now=now,
            history=self.params.history,
        )


def main() -> None:
    """Print a table for each size, and how the stages grew from one to the next."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="10000,100000,1000000", help="comma-separated")
    parser.add_argument("--workers", type=int, default=1, help="and threads of the training")
    parser.add_argument("--directory", type=Path, help="where the customers go, on a large disk")
    help_text = "up to how many customers each kind of balancing is compared (SMOTENC is slow)"
    parser.add_argument("--quality-rows", type=int, default=100_000, help=help_text)
    arguments = parser.parse_args()
    params = load_params(Settings().params_file)
    model = params.model.model_copy(update={"threads": arguments.workers})
    params = params.model_copy(update={"model": model})
    found = {}
    for rows in map(int, arguments.rows.split(",")):
        with tempfile.TemporaryDirectory(prefix="churn-growth-", dir=arguments.directory) as home:
            bank = Bank(Path(home), params)
            found[rows] = grown(bank, rows, workers=arguments.workers)
            if rows <= arguments.quality_rows:
                balanced(bank)
    write_growth(found)


def grown(bank: Bank, rows: int, *, workers: int) -> dict[str, Cost]:
    """What each stage costs of a training run and of a night on so many customers."""
    write(f"\n{rows:,} customers, {workers} worker(s)")
    loaded(bank, rows)
    costs = trained(bank, "training")
    write_costs(costs)
    night = scored(bank, workers=workers)
    write_costs(night)
    write_quality(bank, "as configured", "training")
    return costs | night


def trained(bank: Bank, name: str) -> dict[str, Cost]:
    """All seven tasks, each in a process of its own."""
    tasks: dict[str, Callable[..., Any]] = {
        "ingested": ingest_data,
        "validated": validate_data,
        "transformed": transform_data,
        "trained": train_model,
        "evaluated": evaluate_model,
        "approved": approve_promotion,  # which asks nobody here
        "promoted": promote_model,
    }
    needs = {"validated": ["ingested"], "transformed": ["validated"]}
    needs |= {"ingested": [], "trained": ["ingested", "transformed"]}
    handed: dict[str, Any] = {}
    costs = {}
    for product, task in tasks.items():
        given = {k: v for k, v in handed.items() if k in needs.get(product, handed)}
        handed[product], costs[task.__name__] = alone(partial(a_task, bank, name, task, given))
    return costs


def a_task(
    bank: Bank, name: str, task: Callable[..., Any], given: dict[str, Any]
) -> tuple[Any, Cost]:
    """One task of a training run, in the process that is there for it."""
    run = tuned_set.settled(bank.training(name))
    return costing(lambda: task(run, **given))


def scored(bank: Bank, *, workers: int) -> dict[str, Cost]:
    """A night: so many ranges at once, each in a process of its own."""
    portions, planning = alone(partial(a_plan, bank))
    started = time.perf_counter()
    with pool(workers) as processes:
        ranges = list(processes.map(partial(a_range, bank), portions))
    wall = time.perf_counter() - started
    _, summing = alone(partial(a_summary, bank, portions, [done for done, _ in ranges]))
    costs = [cost for _, cost in ranges]
    scoring = Cost(wall, sum(c.cpu_seconds for c in costs), max(c.mib for c in costs))
    return {"plan_ranges": planning, "score_range": scoring, "summarise_scores": summing}


def a_plan(bank: Bank) -> tuple[Any, Cost]:
    """The night's first task."""
    night = bank.night()
    return costing(lambda: plan_ranges(night))


def a_range(bank: Bank, portion: Portion) -> tuple[Any, Cost]:
    """One of its mapped tasks."""
    night = bank.night()
    return costing(lambda: score_range(night, portion))


def a_summary(bank: Bank, portions: list[Portion], done: list[Any]) -> tuple[Any, Cost]:
    """Its last task."""
    night = bank.night()
    return costing(lambda: summarise_scores(night, portions, done))


def balanced(bank: Bank) -> None:
    """The hold-out's scores under each kind of balancing of the training rows."""
    for name, changes in BALANCES.items():
        model = bank.params.model.model_copy(update=changes)
        variant = Bank(bank.home, bank.params.model_copy(update={"model": model}))
        costs = trained(variant, name)
        spent = costs["transform_data"].cpu_seconds + costs["train_model"].cpu_seconds
        write_quality(variant, f"{name}, {spent:.1f} CPU s to transform and train", name)


def write_quality(bank: Bank, told: str, name: str) -> None:
    """One line: how a run's candidate does on its hold-out."""
    store, run = LocalStore(bank.home / "store"), bank.training(name)
    report = store.read(run.key(EVALUATION, versions.EVALUATION_FILE)).data
    found = versions.Evaluation.model_validate_json(report)
    shown = "  ".join(f"{metric} {found.metrics[metric]:.4f}" for metric in QUALITY)
    write(f"  hold-out of {found.holdout_rows:,}: {shown}   ({told})")


def write_costs(costs: dict[str, Cost]) -> None:
    """A line for each stage, and one for all."""
    seconds, cpu = (sum(getattr(c, n) for c in costs.values()) for n in ("seconds", "cpu_seconds"))
    total = Cost(seconds, cpu, max(c.mib for c in costs.values()))
    for stage, cost in [*costs.items(), ("in all", total)]:
        write(f"  {stage:18}{cost.seconds:9.1f} s{cost.cpu_seconds:9.1f} CPU s{cost.mib:8,.0f} MiB")


def write_growth(found: dict[int, dict[str, Cost]]) -> None:
    """Each stage's CPU seconds from one size to the next, beside those of rows × log rows."""
    sizes = sorted(found)
    for small, large in zip(sizes, sizes[1:], strict=False):
        allowed = large * math.log(large) / (small * math.log(small))
        write(f"\n{small:,} to {large:,}: rows x log rows grow {allowed:.1f} times, stages by")
        for stage, cost in found[large].items():
            ratio = cost.cpu_seconds / max(found[small][stage].cpu_seconds, 1e-3)
            write(f"  {stage:18} {ratio:8.1f}  {ratio / allowed:6.2f} of that")


def loaded(bank: Bank, rows: int) -> None:
    """Made-up customers in the database, and an experiment whose files stay in the directory."""
    from mlflow import MlflowClient

    MlflowClient(bank.tracking).create_experiment(
        EXPERIMENT, artifact_location=(bank.home / "artifacts").as_uri()
    )
    with opened(bank.customers) as engine:
        load_made_up(engine, rows)


def alone(work: Callable[[], Any]) -> Any:
    """What work gives that has a process of its own."""
    with pool(1) as processes:
        return processes.submit(work).result()


def pool(workers: int) -> ProcessPoolExecutor:
    """Processes that have imported all of this and do one piece of work each."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, spawn, max_tasks_per_child=1)


def costing(work: Callable[[], Any]) -> tuple[Any, Cost]:
    """What the work gives, and what it costs."""
    started, worked = time.perf_counter(), time.process_time()
    done = work()
    spent = time.perf_counter() - started, time.process_time() - worked
    return done, Cost(*spent, peak_mib())


def write(line: str) -> None:
    """One line, shown at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
