"""Every task of every DAG over one small bank, which any process finds by its places.

`World.run` calls a task's own function as its operator does, with what earlier tasks answered.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from include.champion import history, promotion, versions
from include.champion.gate_decision import Decision
from include.champion.registry import Registry
from include.customers import loading
from include.customers.database import open_engine
from include.customers.sample import sample_customers
from include.documents import parse_document
from include.drift.collect_predictions import collect_predictions
from include.drift.detect_drift import detect_drift
from include.drift.measure_outcomes import measure_outcomes
from include.drift.plan_parts import plan_parts
from include.drift.publish_report import publish_report
from include.drift.run import DriftRun
from include.history.record_exits import record_exits
from include.history.run import HistoryRun
from include.history.snapshot_customers import snapshot_customers
from include.params import load_params
from include.scoring.plan_ranges import plan_ranges
from include.scoring.run import ScoringRun
from include.scoring.score_range import score_range
from include.scoring.summarise_scores import summarise_scores
from include.settings import Settings
from include.store import LocalStore, Store, open_store
from include.training.approve_promotion import Approval, approve_promotion, reject
from include.training.evaluate_model import Lineage, evaluate_model
from include.training.ingest_data import ingest_data
from include.training.promote_model import promote_model
from include.training.run import TrainingRun
from include.training.train_model import train_model
from include.training.transform_data import transform_data
from include.training.validate_data import validate_data
from include.tuning.prepare_study import prepare_study
from include.tuning.publish_best import publish_best
from include.tuning.tune_hyperparameters import tune_hyperparameters
from include.upkeep.clean_mlflow import clean_mlflow
from include.upkeep.delete_predictions import delete_predictions
from include.upkeep.delete_runs import delete_runs
from tests.conftest import s3_client_of
from tests.include.bank_days import BUSY_SHIFT, drift_run, existing, log
from tests.include.banks import training_run
from tests.include.conftest import STRONG, WEAK, changed, clear_production, evaluate, lineage_of
from tests.include.conftest import promote_judged as promote_of
from tests.include.nights import night_of
from tests.include.tuning.conftest import search_in
from tests.include.upkeep.conftest import SHORT, upkeep_run

CUSTOMERS = 1200
RANGES = {"range_rows": 500, "chunk_rows": 200}  # of a night: three, of several chunks
PATIENCE = {"connect_timeout": 1, "read_timeout": 2, "attempts": 2}  # seconds, of S3's client
NIGHT = date(2026, 11, 22)
DECEMBER = datetime(2025, 12, 3, 2, 30, tzinfo=UTC)
MARCH, APRIL = (datetime(2026, month, 3, 2, 30, tzinfo=UTC) for month in (3, 4))
RIPE_DAYS = 120  # until what became of a day's customers is known
OLD = ("runs/scheduled__2024-01-01/a/{}.parquet", "predictions/date=2024-01-01/{}.parquet")
OLD_OBJECTS = 4  # of each kind


@dataclass(frozen=True)
class Places:
    """Where a bank's parts are: URLs, and S3's endpoint where the store is no directory."""

    home: Path
    database: str
    store: str
    mlflow: str
    endpoint: str = ""

    @property
    def name(self) -> str:
        """What nobody else's runs have in their names."""
        return f"{self.home.parent.name}-{self.home.name}"


@dataclass
class World:
    """A bank with a champion, and a second training run, a night, a month, a day and a search."""

    places: Places
    answers: dict[str, Any] = field(default_factory=dict)

    def run(self, task: str) -> Any:
        """What the task answers; it is kept for those that follow."""
        self.answers[task] = TASKS[task](self)
        return self.answers[task]

    @cached_property
    def store(self) -> Store:
        """The object store."""
        if not self.places.endpoint:
            return open_store(self.places.store)
        client = s3_client_of(self.places.endpoint, **PATIENCE)
        return open_store(self.places.store, client=client)

    @cached_property
    def engine(self) -> sa.Engine:
        """The customers' database."""
        return open_engine(self.places.database)

    @property
    def registry(self) -> Registry:
        """MLflow, of which the fluent calls that log a model know the latest that was opened."""
        return Registry(self.places.mlflow)

    @property
    def training(self) -> TrainingRun:
        """The run whose candidate is much better than the champion; a person approves it."""
        params = changed(load_params(Settings().params_file), STRONG, promotion="manual")
        return self._training("second", params)

    @property
    def first_training(self) -> TrainingRun:
        """The run that made the champion."""
        return self._training("first", changed(load_params(Settings().params_file), WEAK))

    def _training(self, name: str, params: Any) -> TrainingRun:
        parts = {"store": self.store, "engine": self.engine, "registry": self.registry}
        return training_run(f"{name}__{self.places.name}", params, **parts)

    @property
    def lineage(self) -> Lineage:
        """What the first four tasks of the training handed on."""
        tasks = ("ingest_data", "validate_data", "transform_data", "train_model")
        return Lineage(*(self.answers[task] for task in tasks))

    @property
    def approval(self) -> Approval:
        """What a person answers to the decision that the gate has written."""
        key = self.answers["evaluate_model"].gate
        decision = parse_document(Decision, self.store.read(key).data, key)
        moment = decision.decided_at
        return Approval(True, who="anna", why="", answered_at=moment, decided_at=moment)

    @property
    def scoring(self) -> ScoringRun:
        """The night."""
        night = night_of(self.store, self.engine, **RANGES)
        return replace(night, day=NIGHT, now=datetime.now(UTC))

    @property
    def drift(self) -> DriftRun:
        """The day after the promotion, on which customers are busier than they were."""
        day = drift_day()
        ends = datetime.combine(day + timedelta(1), time(1), UTC)
        places: dict[str, Any] = {"store": self.store, "open_engine": lambda: self.engine}
        return drift_run("drift", {"rows_min": 300}, day=day, now=ends, **places)

    @property
    def tuning(self) -> Any:
        """A search of three trials."""
        found = search_in(self.places.home, self.places.mlflow, "search", trials=3, repeats=1)
        return replace(found, store=self.store, engine=self.engine)

    @property
    def upkeep(self) -> Any:
        """The tidying-up, as if a long time had passed."""
        return upkeep_run(
            self.store,
            self.places.home,
            tracking_uri=self.places.mlflow,
            retention=replace(SHORT, predictions_days=400),
            now=datetime.now(UTC),
        )

    def to(self, places: Places) -> "World":
        """The same bank over other places, with the same answers."""
        return World(places, dict(self.answers))


def drift_day() -> date:
    """The day that is judged: no champion is newer."""
    return datetime.now(UTC).date() + timedelta(days=1)


TASKS: Mapping[str, Callable[[World], Any]] = {
    "ingest_data": lambda w: ingest_data(w.training),
    "validate_data": lambda w: validate_data(w.training, w.answers["ingest_data"]),
    "transform_data": lambda w: transform_data(w.training, w.answers["validate_data"]),
    "train_model": lambda w: train_model(
        w.training, w.answers["ingest_data"], w.answers["transform_data"]
    ),
    "evaluate_model": lambda w: evaluate_model(w.training, w.lineage),
    "approve_promotion": lambda w: approve_promotion(
        w.training, w.lineage, w.answers["evaluate_model"]
    ),
    "reject": lambda w: reject(w.training, w.lineage, w.approval),
    "plan_ranges": lambda w: plan_ranges(w.scoring),
    "score_range": lambda w: [score_range(w.scoring, each) for each in w.answers["plan_ranges"]],
    "summarise_scores": lambda w: summarise_scores(
        w.scoring, w.answers["plan_ranges"], w.answers["score_range"]
    ),
    "snapshot_customers": lambda w: snapshot_customers(HistoryRun(w.engine, MARCH)),
    "record_exits": lambda w: record_exits(HistoryRun(w.engine, APRIL)),
    "plan_parts": lambda w: plan_parts(w.drift),
    "collect_predictions": lambda w: [
        collect_predictions(w.drift, each) for each in w.answers["plan_parts"]
    ],
    "detect_drift": lambda w: detect_drift(w.drift, w.answers["collect_predictions"]),
    "publish_report": lambda w: publish_report(w.drift, w.answers["detect_drift"]),
    "measure_outcomes": lambda w: measure_outcomes(
        replace(w.drift, now=w.drift.now + timedelta(days=RIPE_DAYS))
    ),
    "prepare_study": lambda w: prepare_study(w.tuning),
    "tune_hyperparameters": lambda w: [
        tune_hyperparameters(w.tuning, each) for each in w.answers["prepare_study"]
    ],
    "publish_best": lambda w: publish_best(w.tuning, w.answers["prepare_study"][0]),
    "delete_runs": lambda w: delete_runs(w.upkeep),
    "delete_predictions": lambda w: delete_predictions(w.upkeep),
    "clean_mlflow": lambda w: clean_mlflow(w.upkeep),
    # the last, for the others look at the champion before it
    "promote_model": lambda w: promote_model(
        w.training, w.lineage, w.answers["evaluate_model"], w.approval
    ),
}


def founded(places: Places) -> World:
    """A bank with customers, a champion, and a day's predictions."""
    world = World(places)
    people = sample_customers(CUSTOMERS, seed=1)
    loading.create_table(world.engine)
    active = people.assign(Attrition_Flag="Existing Customer")
    loading.load_customers(world.engine, active, now=DECEMBER)
    snapshot_customers(HistoryRun(world.engine, DECEMBER))
    loading.load_customers(world.engine, people, now=DECEMBER + timedelta(days=30))
    clear_production(world.registry)
    run = world.first_training
    lineage = lineage_of(run)
    assert promote_of(run, lineage, evaluate(run, lineage)).version == "1"
    log(world.store, existing(700, drift=BUSY_SHIFT), day=drift_day())
    leave_old_objects(world.store)
    return world


def leave_old_objects(store: Store) -> None:
    """What `churn_upkeep` is to delete; a bucket alone says how old an object is."""
    for key in (each.format(number) for each in OLD for number in range(OLD_OBJECTS)):
        store.write(key, b"old")
        if isinstance(store, LocalStore):
            os.utime(store.root / key, (0, 0))


def without_objects(*prefixes: str) -> Callable[[World], None]:
    """Back to before anything was written below these."""

    def empty(world: World) -> None:
        for info in [each for prefix in prefixes for each in world.store.list(prefix)]:
            world.store.delete(info.key)

    return empty


def without_second(world: World) -> None:
    """Back to before the promotion: the first version in production, in store and registry."""
    without_objects("champion/versions/2/", "champion/history/", versions.POINTER_KEY)(world)
    clear_production(world.registry)
    manifest, digest = versions.read_version(world.store, "1")
    registry = world.registry
    registry.set_champion(registry.copy_to_production(manifest.candidate_version))
    first = versions.move_pointer(
        world.store,
        versions.pointer_to(manifest, digest),
        etag=None,
        previous=None,
        reason="the first",
        now=manifest.created_at,
    )
    history.record_move(world.store, first, who="first run")


def without_rows(*tables: str) -> Callable[[World], None]:
    """Back to before anything was written into these tables."""

    def empty(world: World) -> None:
        with world.engine.begin() as connection:
            for table in tables:
                if sa.inspect(connection).has_table(table):
                    connection.execute(sa.text(f"DELETE FROM {table}"))

    return empty


def without_march(world: World) -> None:
    """Back to before the month's snapshot."""
    with world.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM churner_snapshots WHERE as_of > '2026-01-01'"))


def planned_anew(world: World) -> None:
    """Back to before the swap: the night's scores in a table of its own."""
    world.run("plan_ranges")
    world.run("score_range")


# What the tasks change for good; the others write the same again.
BEFORE: Mapping[str, Callable[[World], None]] = {
    "summarise_scores": planned_anew,
    "snapshot_customers": without_march,
    "record_exits": without_rows("churner_exits"),
    "detect_drift": without_objects("monitoring/date="),
    "measure_outcomes": without_objects("monitoring/outcomes/", "monitoring/performance"),
    "delete_runs": lambda w: leave_old_objects(w.store),
    "delete_predictions": lambda w: leave_old_objects(w.store),
    "promote_model": without_second,
}


def made_anew(world: World, task: str) -> None:
    """Let a world that has seen the task already be as it was before."""
    if task in BEFORE:
        BEFORE[task](world)


@dataclass(frozen=True)
class Seen:
    """What everybody sees of a bank, each part of which is one whole or another."""

    champion: str | None
    moves: int
    nights: frozenset[tuple[str, int]]  # of churn_scores: moments, and customers
    snapshots: int
    exits: int


def seen(world: World) -> Seen:
    """The bank as its readers find it; the champion's every file is read and checked."""
    found = versions.read_pointer(world.store)
    if found:
        promotion.read_whole_version(world.store, found[0].version)
    moves = sum(1 for _ in world.store.list("champion/history/"))
    with world.engine.connect() as connection:
        nights = _rows(connection, "churn_scores", "scored_at, COUNT(*)", "GROUP BY scored_at")
        months = _rows(connection, "churner_snapshots", "COUNT(*)")
        exits = _rows(connection, "churner_exits", "COUNT(*)")
    return Seen(
        champion=found[0].version if found else None,
        moves=moves,
        nights=frozenset((str(moment), count) for moment, count in nights),
        snapshots=months[0][0] if months else 0,
        exits=exits[0][0] if exits else 0,
    )


def _rows(connection: sa.Connection, table: str, columns: str, more: str = "") -> list[Any]:
    if not sa.inspect(connection).has_table(table):
        return []
    return list(connection.execute(sa.text(f"SELECT {columns} FROM {table} {more}")))
