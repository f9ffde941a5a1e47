"""A loss of performance starts a training run only where it may, and under the guards of drift."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from include.champion import versions
from include.drift import performance
from include.drift.detect_drift import detect_drift
from include.params import PerformanceRules
from include.store import LocalStore
from tests.include.bank_days import BUSY_SHIFT, DAY, NOW, log, people, publish
from tests.include.drift.conftest import MakeRun, collect, detect
from tests.include.drift.performance_example import EXAMPLE

RETRAIN = {"performance": PerformanceRules(retrain=True)}
RUN_ID = "performance__2026-W21__v1"


@pytest.fixture(autouse=True)
def champion(local_store: LocalStore) -> None:
    """Version 1 is in production, and lost what it promised."""
    publish(local_store, people=people(5000, seed=1))
    write_performance(local_store)


def write_performance(
    store: LocalStore,
    *,
    version: str = "1",
    lost: bool = True,
    judged_week: str = "2026-W21",
) -> None:
    facts = {"version": version, "lost": lost, "judged_week": judged_week}
    versions = (EXAMPLE.versions[0].model_copy(update=facts),)
    found = EXAMPLE.model_copy(update={"versions": versions})
    store.write(performance.KEY, found.to_bytes())


def test_a_loss_starts_a_training_run_that_says_so(make_run: MakeRun) -> None:
    day, found = detect(make_run(rules=RETRAIN))
    assert day.status == "no_predictions" and not day.drifted
    assert (found.triggered, found.reason, found.run_id) == (True, "performance", RUN_ID)
    assert found.conf == {"trigger_reason": "performance", "drift_date": str(DAY)}
    assert [start.run_id for start in day.started_runs] == [RUN_ID]


@pytest.mark.parametrize(
    ("rules", "facts"),
    [({}, {}), (RETRAIN, {"lost": False}), (RETRAIN, {"version": "2"})],
    ids=["not configured", "not lost", "another version's"],
)
def test_otherwise_nothing_starts(
    make_run: MakeRun, local_store: LocalStore, rules: dict[str, Any], facts: dict[str, Any]
) -> None:
    write_performance(local_store, **facts)
    assert detect(make_run(rules=rules))[1].reason == "no_drift"


@pytest.mark.parametrize("data", [None, b"{", b'{"as_of": 1}'])
def test_figures_that_are_missing_or_broken_start_nothing(
    make_run: MakeRun, local_store: LocalStore, data: bytes | None
) -> None:
    local_store.delete(performance.KEY)
    if data is not None:
        local_store.write(performance.KEY, data)
    assert detect(make_run(rules=RETRAIN))[1].reason == "no_drift"


@pytest.mark.parametrize(
    ("reason", "rules", "parts"),
    [
        ("few_new_labels", {"newly_labelled_min": 601}, {}),
        ("in_flight", {}, {"training_runs_in_flight": lambda own: int(own == RUN_ID)}),
        ("older_than_champion", {}, {"day": DAY - timedelta(days=9)}),
    ],
)
def test_the_guards_of_drift_stop_it(
    make_run: MakeRun, reason: str, rules: dict[str, Any], parts: dict[str, Any]
) -> None:
    found = detect(make_run(rules=RETRAIN | rules, **parts))[1]
    assert (found.triggered, found.reason) == (False, reason)
    assert "performance, and no training: " in found.explanation


@pytest.mark.parametrize(
    ("promoted_at", "reason"),
    [
        (datetime(2026, 5, 18, tzinfo=UTC), "performance"),
        (datetime(2026, 5, 18, 0, 1, tzinfo=UTC), "week_before_champion"),
    ],
)
def test_a_week_from_before_the_champions_present_term_starts_nothing(
    make_run: MakeRun, local_store: LocalStore, promoted_at: datetime, reason: str
) -> None:
    pointer, etag = versions.read_pointer(local_store) or pytest.fail("no champion")
    versions.move_pointer(
        local_store, pointer, etag=etag, previous="2", reason="rollback", now=promoted_at
    )
    later = {"day": date(2026, 6, 20), "now": datetime(2026, 6, 21, tzinfo=UTC)}
    found = detect(make_run(rules=RETRAIN, **later))[1]
    assert found.reason == reason
    if not found.triggered:
        told = "performance, and no training: the week that was lost began on 2026-05-18, the "
        assert f"{told}champion is in production since 2026-05-18 00:01" in found.explanation


def test_one_lost_week_starts_one_training_however_short_the_cool_down(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    rules, now = RETRAIN | {"cooldown_days": 0}, datetime.now(UTC)
    assert detect(make_run(rules=rules, now=now))[1].triggered
    later = {"day": DAY + timedelta(30), "now": now + timedelta(30)}
    found = detect(make_run("later", rules, **later))[1]
    assert (found.triggered, found.reason) == (False, "already_started")
    assert f"{RUN_ID} was started before" in found.explanation
    write_performance(local_store, judged_week="2026-W22")
    found = detect(make_run("next week", rules, **later))[1]
    assert found.run_id == "performance__2026-W22__v1"


def test_the_cool_down_counts_it_whatever_comes_next(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    now = datetime.now(UTC)  # the store's own clock says when a drift.json was written
    assert detect(make_run(rules=RETRAIN, now=now))[1].triggered
    next_day = {"day": DAY + timedelta(1), "now": now + timedelta(1)}
    write_performance(local_store, judged_week="2026-W22")
    found = detect(make_run("next", RETRAIN, **next_day))[1]
    assert found.reason == "cool_down" and RUN_ID in found.explanation
    log(local_store, people(2500, drift=BUSY_SHIFT), day=DAY + timedelta(1))
    found = detect(make_run("drifted", RETRAIN, **next_day))[1]
    assert found.drifted and found.reason == "cool_down"


def test_the_day_again_decides_the_same(make_run: MakeRun, local_store: LocalStore) -> None:
    first = detect(make_run(rules=RETRAIN))
    write_performance(local_store, judged_week="2026-W22")  # which another day is to answer
    again = detect(make_run("later", RETRAIN, now=NOW + timedelta(hours=3)))
    assert again[0] == first[0] and again[1].run_id == RUN_ID


def test_a_champion_that_moved_stops_a_loss_and_not_drift(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    collected = collect(make_run(rules=RETRAIN))
    publish(local_store, "2", people=people(5000, seed=1), at=NOW)
    found = detect_drift(make_run(rules=RETRAIN), collected)
    assert found.reason == "other_version"
    assert "performance, and no training: the champion was version 1" in found.explanation


def test_drift_comes_first(make_run: MakeRun, local_store: LocalStore) -> None:
    log(local_store, people(2500, drift=BUSY_SHIFT))
    found = detect(make_run(rules=RETRAIN))[1]
    assert (found.reason, found.run_id) == ("drift", f"drift__{DAY}__v1")
