"""A customer table with new labels, and runs over a day."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine

from include.drift.collect_predictions import Collected, collect_predictions
from include.drift.detect_drift import Detected, detect_drift
from include.drift.findings import DriftDay, read_day
from include.drift.measure_outcomes import measure_outcomes
from include.drift.performance import Performance, read_performance
from include.drift.plan_parts import plan_parts
from include.drift.run import DriftRun
from include.params import PerformanceRules
from include.store import LocalStore
from tests.include.bank_days import SNAPSHOT, drift_run, people
from tests.include.banks import bank_of
from tests.include.handing_on import handed_on

MakeRun = Callable[..., DriftRun]
Measure = Callable[..., Performance]

OUTCOME_RULES = {
    "outcome_days": 30,
    "outcome_weeks": 3,
    "performance": PerformanceRules(label_days=0, ripe_min=100, leavers_min=10),
}


def collect(run: DriftRun) -> list[Collected]:
    """All parts of the day, each answer on its way through JSON as in Airflow."""
    return [handed_on(collect_predictions(run, handed_on(part))) for part in plan_parts(run)]


def detect(run: DriftRun) -> tuple[DriftDay, Detected]:
    """The day judged, the answer on its way through JSON as in Airflow."""
    found = handed_on(detect_drift(run, collect(run)))
    return read_day(run.store, run.day), found


@pytest.fixture(scope="session")
def new_labels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A customer database with 600 labels that are newer than the champion; nobody writes to it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('labels') / 'churn.db'}"
    labelled_at = SNAPSHOT + timedelta(days=1, microseconds=1)
    engine = bank_of(url, people(600, seed=2), now=labelled_at)
    yield engine
    engine.dispose()


@pytest.fixture
def make_run(local_store: LocalStore, new_labels: Engine) -> MakeRun:
    """Makes a run over DAY; arguments replace its name, rules, store and parts."""
    return partial(drift_run, store=local_store, open_engine=lambda: new_labels)


@pytest.fixture
def bank(sqlite_url: str) -> Iterator[Engine]:
    """A customer table that is empty."""
    engine = bank_of(sqlite_url)
    yield engine
    engine.dispose()


@pytest.fixture
def measured(local_store: LocalStore, bank: Engine) -> Measure:
    """Measures outcomes at a moment, by default on the day of the predictions."""

    def measure(now: datetime, rules: dict[str, Any] | None = None, **parts: Any) -> Performance:
        facts: dict[str, Any] = {"open_engine": lambda: bank, "now": now, **parts}
        store = facts.pop("store", local_store)
        measure_outcomes(drift_run(rules=OUTCOME_RULES | (rules or {}), store=store, **facts))
        found = read_performance(store)
        assert found is not None
        return found

    return measure
