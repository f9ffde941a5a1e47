"""A day's counts become a verdict: what has drifted, what is said of it, what starts a training."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from include.champion import versions
from include.drift import findings
from include.drift.detect_drift import detect_drift
from include.drift.findings import DriftDay, GroupDrift, day_key
from include.drift.statistics import SCORE
from include.errors import ChampionError, ConfigurationError
from include.params import DayRule
from include.predictions import log as prediction_log
from include.store import LocalStore, S3Store
from tests.include import bank_days
from tests.include.bank_days import (
    BUSY_SHIFT,
    CONTRACT,
    DAY,
    NOW,
    existing,
    log,
    people,
    promote,
    publish,
)
from tests.include.drift.conftest import MakeRun, collect, detect

TRAINED = people(10_000, seed=1)
WAITING = {"approval_page": lambda: "http://airflow/asks"}


@pytest.fixture(autouse=True)
def champion(local_store: LocalStore) -> None:
    """Version 1 is in production."""
    publish(local_store, people=TRAINED)


@pytest.fixture
def busy_day(local_store: LocalStore, champion: None) -> None:
    """Its customers are busier than those it was trained on."""
    log(local_store, people(2500, drift=BUSY_SHIFT))


busy = pytest.mark.usefixtures("busy_day")


def only(day: DriftDay) -> GroupDrift:
    (group,) = day.groups
    return group


@pytest.mark.parametrize("kind", [people, existing])
def test_a_quiet_day_is_quiet_for_both_populations(
    make_run: MakeRun, local_store: LocalStore, kind: Callable[..., pd.DataFrame]
) -> None:
    log(local_store, kind(2500))
    day, found = detect(make_run())
    assert (day.status, day.retraining.reason, found.triggered) == ("quiet", "no_drift", False)
    assert only(day).reference == ("all" if kind is people else "existing")
    assert len(only(day).verdicts) == len(CONTRACT.feature_names) + 1


@busy
def test_a_shift_is_found_and_starts_a_training(make_run: MakeRun, local_store: LocalStore) -> None:
    day, found = detect(make_run())
    assert day.drifted and {*BUSY_SHIFT.columns} <= {*day.drifted_features}
    assert found.triggered and found.run_id == "drift__2026-05-04__v1"
    assert found.conf == {
        "trigger_reason": "drift",
        "drift_date": "2026-05-04",
        "threshold": 1.0,
        "num_drifted_features": len(day.drifted_features),
        "report_uri": f"{local_store.uri}/monitoring/date=2026-05-04/report.html",
    }


def test_the_numbers_are_scipys_on_the_training_rows(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    asked = people(3000, drift=BUSY_SHIFT)
    log(local_store, asked)
    day, _ = detect(make_run(rules={"reference": "all"}))
    kept = bank_days.reference(TRAINED)
    trained = kept[kept["split"] == "training"]
    unseen = kept[kept["split"] != "training"]
    for verdict in only(day).verdicts:
        if verdict.kind == "categorical":
            continue
        old = unseen[SCORE] if verdict.feature == SCORE else trained[verdict.feature]
        new = bank_days.score(asked) if verdict.feature == SCORE else asked[verdict.feature]
        expected = stats.ks_2samp(old, new, method="asymp")
        assert verdict.statistic == pytest.approx(expected.statistic, abs=1e-12)
        assert verdict.p_value == pytest.approx(expected.pvalue, abs=1e-12)
    assert only(day).reference_rows == len(trained)
    assert only(day).score_reference_rows == len(unseen)


def test_only_customers_count_and_each_of_them_once(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    log(local_store, people(300))
    log(local_store, people(300), request="again")
    log(local_store, people(200, seed=6), known=False)
    log(local_store, people(100, drift=BUSY_SHIFT), source="what-if")
    day, _ = detect(make_run())
    assert (only(day).rows, only(day).repeated_rows) == (500, 300)
    assert (day.rows, day.rows_of_other_sources) == (900, 100)
    assert day.status == "too_few_rows"


def test_each_version_is_held_against_its_own_training_rows(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    drifted = people(10_000, seed=3, drift=BUSY_SHIFT)
    publish(local_store, "2", people=drifted)
    asked = people(2500, drift=BUSY_SHIFT)
    log(local_store, asked, version="1")
    log(local_store, asked, version="2")
    day, found = detect(make_run())
    assert {g.version: g.status for g in day.groups} == {"1": "drifted", "2": "quiet"}
    assert (found.triggered, found.reason) == (False, "other_version")


def test_rows_at_fault_are_counted_and_never_tested(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    log(local_store, people(2500))
    log(local_store, people(50, seed=7), Total_Trans_Amt=float("nan"))
    log(local_store, people(40, seed=8), Gender="X", Credit_Limit=-1.0)
    log(local_store, people(30, seed=9), Customer_Age=None, probability=float("nan"))
    log(local_store, people(20, seed=10), Total_Trans_Amt=float("inf"))
    day, _ = detect(make_run())
    group = only(day)
    assert (day.status, group.rows, group.rows_at_fault) == ("quiet", 2500, 140)
    assert group.faults == {
        **{"Total_Trans_Amt": 70, "Gender": 40, "Credit_Limit": 40},
        **{"Customer_Age": 30, SCORE: 30},
    }


@busy
def test_an_object_that_is_no_log_is_named_and_silences_nothing(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    bad = f"{prediction_log.log_prefix(DAY)}0.parquet"
    local_store.write(bad, b"PAR1 and then nothing")
    day, found = detect(make_run())
    assert day.unreadable_objects == (bad,) and found.triggered


@pytest.mark.parametrize("first", [True, False])
def test_a_day_without_predictions_says_so_also_before_the_first_champion(
    make_run: MakeRun, local_store: LocalStore, first: bool
) -> None:
    if first:
        local_store.delete(versions.POINTER_KEY)
    day, found = detect(make_run())
    assert (day.status, found.triggered, day.report_uri) == ("no_predictions", False, None)
    assert found.report_version is None


def test_answers_of_a_version_that_is_gone_are_counted_and_not_tested(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    log(local_store, people(2500), version="7")
    day, _ = detect(make_run())
    assert (only(day).status, only(day).rows) == ("no_reference", 2500)
    assert "2,500 of version 7, whose reference cannot be read" in day.explanation


def test_a_champion_without_its_reference_is_an_error(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    log(local_store, people(2500))
    local_store.delete(versions.version_key("1", versions.REFERENCE_FILE))
    with pytest.raises(ChampionError, match="reference of version 1, the champion"):
        detect(make_run())


def test_a_day_of_faults_alone_is_not_called_empty(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    log(local_store, people(30).assign(Customer_Age=-1.0))
    day, _ = detect(make_run())
    assert day.status == "no_predictions"
    assert "0 of version 1 (30 more rows break the contract)" in day.explanation


@busy
def test_a_rerun_writes_the_same_bytes_and_starts_the_same_run(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    key = day_key(DAY, findings.DRIFT_FILE)
    first = detect(make_run())[1]
    before = local_store.read(key).data
    # By now its own run is at work, and the cool-down runs.
    later = make_run("later", now=NOW + timedelta(hours=3))
    again = detect(later)[1]
    assert replace(again, report_sample=first.report_sample) == first
    assert local_store.read(key).data == before


@busy
def test_a_later_champion_stops_what_the_day_has_started_and_drift_json_says_so(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    started = detect(make_run())[0].started_runs
    publish(local_store, "2", people=people(5000, seed=11), at=NOW)
    for name in ("much later", "and again"):
        day, found = detect(make_run(name, now=NOW + timedelta(30)))
        told = day.retraining
        assert (told.triggered, told.reason) == (False, "older_than_champion")
        assert (found.triggered, found.reason) == (told.triggered, told.reason)
        assert told.explanation in found.explanation
        assert (found.run_id, found.conf) == (told.run_id, told.conf) == (None, None)
        assert day.started_runs == started and len(started) == 1


@busy
def test_a_champion_that_moved_under_the_run_stops_it(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    collected = collect(make_run())
    publish(local_store, "2", people=people(5000, seed=11), at=NOW)
    found = detect_drift(make_run(), collected)
    assert (found.drifted, found.triggered, found.reason) == (True, False, "other_version")
    assert "was version 1 when this run began and is version 2 now" in found.explanation


@pytest.mark.parametrize("cooldown_days", [7, 0])
@busy
def test_a_new_champion_that_drifts_the_same_day_can_start_its_own_run(
    make_run: MakeRun, local_store: LocalStore, cooldown_days: float
) -> None:
    rules = {"cooldown_days": cooldown_days, "newly_labelled_min": 0}
    now = datetime.now(UTC)
    assert detect(make_run(rules=rules, now=now))[1].triggered
    publish(local_store, "2", people=people(5000, seed=11))
    log(local_store, people(2500, drift=BUSY_SHIFT), version="2")
    day, found = detect(make_run("again", rules, now=now + timedelta(hours=1)))
    runs = [start.run_id for start in day.started_runs]
    if cooldown_days:
        assert (found.reason, runs) == ("cool_down", ["drift__2026-05-04__v1"])
    else:
        assert found.run_id == "drift__2026-05-04__v2"
        assert runs == ["drift__2026-05-04__v1", "drift__2026-05-04__v2"]


@pytest.mark.parametrize(
    ("reason", "rules", "parts"),
    [
        ("few_new_labels", {"newly_labelled_min": 601}, {}),
        ("in_flight", {}, {"training_runs_in_flight": lambda own: 1}),
        ("in_flight", {}, {"training_runs_in_flight": lambda own: 1, **WAITING}),
    ],
)
@busy
def test_a_guard_stops_the_training_and_says_why(
    make_run: MakeRun,
    reason: str,
    rules: dict[str, Any],
    parts: dict[str, Any],
) -> None:
    day, found = detect(make_run(rules=rules, **parts))
    assert day.drifted and not found.triggered
    assert day.retraining.reason == reason and found.run_id is None
    failed = [guard for guard in day.retraining.guards if not guard.passed]
    assert [guard.name for guard in failed] == [reason]
    assert failed[0].explanation in found.explanation
    waits = "a training waits for approval, answer here: http://airflow/asks"
    assert failed[0].explanation.startswith(waits) is ("approval_page" in parts)


@pytest.mark.parametrize(("day", "reason"), [(6, "older_than_champion"), (4, "drift")])
def test_a_day_older_than_the_champion_never_starts_a_training_and_its_own_does(
    make_run: MakeRun, local_store: LocalStore, day: int, reason: str
) -> None:
    publish(local_store, "2", people=TRAINED, at=datetime(2026, 5, day, 11, tzinfo=UTC))
    log(local_store, people(2500, drift=BUSY_SHIFT), version="2")
    assert detect(make_run(now=NOW + timedelta(7)))[1].reason == reason


@pytest.mark.parametrize(("days", "reason"), [(-3, "drift"), (1, "older_than_champion")])
def test_a_champion_whose_moment_is_to_come_is_as_old_as_its_pointer_in_the_store(
    make_run: MakeRun,
    local_store: LocalStore,
    caplog: pytest.LogCaptureFixture,
    days: int,
    reason: str,
) -> None:
    """A clock that was a year ahead said when it was promoted, and when its training read."""
    ahead = NOW + timedelta(365)
    manifest = versions.read_version(local_store, "1")[0]
    files = {name: local_store.read(f"champion/versions/1/{name}").data for name in manifest.files}
    second = manifest.model_copy(update={"version": "2", "snapshot_at": ahead})
    promote(local_store, second, files, at=ahead)
    moment = datetime.combine(DAY + timedelta(days), time(), UTC).timestamp()
    os.utime(local_store.root / versions.POINTER_KEY, (moment, moment))
    log(local_store, people(2500, drift=BUSY_SHIFT), version="2")
    assert detect(make_run(now=NOW + timedelta(7)))[1].reason == reason
    assert "the clock of the host that promoted it was ahead" in caplog.text


def test_a_rule_may_name_a_feature_that_only_an_earlier_version_lacks(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    rules = {"rule": DayRule(any_of=("Shoe_Size",))}
    log(local_store, people(2500))
    with pytest.raises(ConfigurationError, match="names Shoe_Size, which version 1 does not use"):
        detect(make_run(rules=rules))
    publish(local_store, "2", people=people(5000, seed=11))
    assert only(detect(make_run("later", rules))[0]).status == "quiet"


@pytest.mark.parametrize(("cooldown_days", "starts"), [(7, False), (0.5, True), (0, True)])
@busy
def test_the_cool_down_counts_what_drift_started(
    make_run: MakeRun, local_store: LocalStore, cooldown_days: float, starts: bool
) -> None:
    log(local_store, people(2500, drift=BUSY_SHIFT), day=DAY + timedelta(1))
    now = datetime.now(UTC)  # the store's own clock says when a drift.json was written
    assert detect(make_run(now=now))[1].triggered
    rules = {"cooldown_days": cooldown_days}
    next_run = make_run("next", rules, day=DAY + timedelta(1), now=now + timedelta(1))
    day, found = detect(next_run)
    assert found.triggered is starts
    assert starts or day.retraining.reason == "cool_down"


@busy
def test_a_stopped_day_does_not_start_a_cool_down(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    log(local_store, people(2500, drift=BUSY_SHIFT), day=DAY + timedelta(1))
    now = datetime.now(UTC)
    detect(make_run(rules={"newly_labelled_min": 10**6}, now=now))
    assert detect(make_run("next", day=DAY + timedelta(1), now=now))[1].triggered


@busy
def test_a_drift_json_of_another_release_silences_nothing(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    for day in (DAY, DAY - timedelta(1)):
        local_store.write(day_key(day, findings.DRIFT_FILE), b'{"date": "2026-05-03"}')
    assert detect(make_run(now=datetime.now(UTC)))[1].triggered


def test_all_of_it_works_on_s3(make_run: MakeRun, s3_store: S3Store) -> None:
    publish(s3_store, people=TRAINED)
    log(s3_store, people(2500, drift=BUSY_SHIFT))
    assert detect(make_run(store=s3_store))[1].triggered


def test_many_small_objects_and_one_large_one_are_the_same_day(
    make_run: MakeRun, local_store: LocalStore, tmp_path: Path
) -> None:
    other = LocalStore(tmp_path / "other")
    for store, object_rows in ((local_store, 50), (other, 10_000)):
        publish(store, people=TRAINED)
        log(store, people(2500), object_rows=object_rows)
    found = [only(detect(make_run(store=store))[0]) for store in (local_store, other)]
    assert found[0] == found[1]
