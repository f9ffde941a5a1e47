"""Clocks that jump, or differ between hosts: no month twice, no day mixed, no move lost."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import sqlalchemy as sa

from include.champion import promotion, versions
from include.champion.history import HistoryReader
from include.champion.promotion import Production
from include.customers.sample import sample_customers
from include.drift.collect_predictions import collect_predictions
from include.drift.detect_drift import detect_drift
from include.drift.plan_parts import plan_parts
from include.history.run import HistoryRun
from include.history.snapshot_customers import snapshot_customers
from include.history.tables import snapshots_table
from include.store import LocalStore
from include.tasks.adapter import day_of
from tests.include.bank_days import CONTRACT, DAY, drift_run, existing, log, manifest_of, publish
from tests.include.bank_days import people as customers
from tests.include.banks import bank_of

ROWS = 200
HOUR = timedelta(hours=1)
MARCH = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)  # half an hour before the month ends


@pytest.fixture
def bank(database_url: str) -> Iterator[sa.Engine]:
    engine = bank_of(database_url, sample_customers(ROWS, seed=1), now=MARCH - 99 * HOUR)
    yield engine
    engine.dispose()


def months(bank: sa.Engine) -> dict[str, int]:
    """How many days of each month have a snapshot."""
    with bank.connect() as connection:
        days = connection.scalars(sa.select(snapshots_table().c.as_of).distinct()).all()
    names = [f"{day:%Y-%m}" for day in days]
    return {name: names.count(name) for name in names}


@pytest.mark.parametrize(
    "jumps",
    [
        [0, 1, 0, 1],  # an hour ahead into April, and back, and April again
        [1, 0, 1],  # ahead from the first
        [0, 24 * 20, -24 * 20],  # weeks ahead, then weeks behind
    ],
)
def test_a_clock_that_jumps_over_the_end_of_a_month_leaves_one_snapshot_a_month(
    bank: sa.Engine, jumps: list[int]
) -> None:
    for hours in jumps:
        snapshot_customers(HistoryRun(bank, MARCH + hours * HOUR))
    assert months(bank) == {"2026-03": 1, "2026-04": 1}


def test_a_snapshot_from_a_clock_a_year_ahead_does_not_stand_in_for_the_right_month(
    bank: sa.Engine,
) -> None:
    snapshot_customers(HistoryRun(bank, MARCH + timedelta(days=365)))
    assert snapshot_customers(HistoryRun(bank, MARCH)).is_new
    assert months(bank) == {"2026-03": 1, "2027-03": 1}


def test_a_host_whose_clock_is_behind_moves_the_champion_after_a_move_from_the_future(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "read_whole_version", versions.read_version)
    files = {"model.onnx": b"graph"}
    ahead, now = datetime(2126, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    for version, moment in (("1", now), ("2", ahead), ("3", now), ("2", now)):
        draft = manifest_of("draft", CONTRACT.feature_names, files, run_id=version)
        promotion.publish(local_store, draft, files, version=version)
        found = versions.read_pointer(local_store)
        production = Production(*found, found[0].version) if found else Production(None, None, None)
        promotion.put_in_production(
            *(local_store, MagicMock(), version),
            **{"production": production, "who": "anna", "reason": "why", "now": moment},
        )
    moves = HistoryReader(local_store).latest(9, pointer=None).moves
    assert [each.to for each in moves] == ["1", "2", "3", "2"]
    assert [each.moved_at for each in moves] == sorted({each.moved_at for each in moves})


@pytest.mark.parametrize("days", [-1, 1])
def test_a_scheduler_a_day_off_judges_another_day_and_starts_nothing_for_it(
    local_store: LocalStore, days: int
) -> None:
    publish(local_store, people=customers(3000, seed=1))
    log(local_store, existing(2500), day=DAY)
    run = drift_run(store=local_store, day=DAY + timedelta(days=days))
    detected = detect_drift(run, [collect_predictions(run, each) for each in plan_parts(run)])
    assert (detected.rows, detected.triggered) == (0, False)


@pytest.mark.parametrize(
    ("run_after", "day"),
    [
        ("2026-05-05T00:00:00+00:00", "2026-05-04"),
        ("2026-05-04T23:59:59.999999+00:00", "2026-05-03"),
        ("2026-05-05T01:59:59+02:00", "2026-05-03"),  # a host whose time zone is not UTC
    ],
)
def test_a_days_check_is_of_the_day_before_in_utc_to_the_microsecond(
    run_after: str, day: str
) -> None:
    moment = datetime.fromisoformat(run_after)
    run = SimpleNamespace(run_type="scheduled", run_after=moment, logical_date=None)
    found = day_of({"params": {}, "dag_run": run}, before=timedelta(days=1))
    assert found.isoformat() == day
