"""Outcomes of versions that say who will leave: their own window, by the days of leaving."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import Engine, insert

from include.champion import versions
from include.champion.versions import Evaluation
from include.customers import contacts, loading
from include.customers.contacts import Mark
from include.drift.outcomes import (
    CALLED,
    GONE_BEFORE,
    INVOLUNTARY,
    LEFT,
    STAYED,
    TOO_LATE,
    UNLABELLED,
    read_exits,
)
from include.drift.performance import Performance
from include.history.loading import create_history_tables
from include.history.tables import exits_table
from include.predictions.log import customer_key, hashes
from include.store import LocalStore
from include.target import Target
from tests.include.bank_days import (
    CONTRACT,
    DAY,
    ID_KEY,
    drift_run,
    log,
    manifest_of,
    people,
    promote,
    score,
)
from tests.include.champion.early_warning_example import EARLY
from tests.include.drift.conftest import OUTCOME_RULES, Measure

HORIZON = Target(kind="horizon", gap_days=14, horizon_days=90)
ASKED = people(200)
ASKED_AT = datetime.combine(DAY, time(12), UTC)
KEYS = ASKED[CONTRACT.key.name].tolist()
STAYS, LEAVES = "Existing Customer", CONTRACT.target.positive
RIPE = datetime(2026, 8, 23, 0, 30, tzinfo=UTC)  # the window after the week's Sunday is over


def in_days(days: float) -> datetime:
    return ASKED_AT + timedelta(days=days)


def leave(bank: Engine, key: int, on: date, *, voluntary: bool | None = None) -> None:
    """The bank knows a day of leaving."""
    create_history_tables(bank)
    known_at = datetime.combine(on, time(9)) + timedelta(days=3)
    row = {"CLIENTNUM": key, "left_on": on, "known_at": known_at, "voluntary": voluntary}
    with bank.begin() as connection:
        connection.execute(insert(exits_table()).values(row))


def outcome(store: LocalStore, bank: Engine, key: int = KEYS[0]) -> int:
    """What the customer did, who was asked about on DAY."""
    run = drift_run(store=store, open_engine=lambda: bank, now=RIPE)
    hashed = hashes(pa.array([customer_key(key, ID_KEY)]), np.zeros(1, dtype=np.uint64))
    asked = np.array([int(ASKED_AT.timestamp() * 1e6)])
    (found,) = read_exits(run, since=DAY).of(hashed, asked, target=HORIZON)
    return int(found)


@pytest.mark.parametrize(
    ("days", "voluntary", "expected"),
    [
        (-1, None, GONE_BEFORE),
        (0, True, GONE_BEFORE),
        (1, True, TOO_LATE),
        (14, None, TOO_LATE),
        (15, None, LEFT),
        (15, False, INVOLUNTARY),
        (3, False, INVOLUNTARY),
        (104, True, LEFT),
        (105, True, STAYED),
        (105, False, STAYED),
    ],
)
def test_a_window_has_its_days_and_no_other(
    local_store: LocalStore, bank: Engine, days: int, voluntary: bool | None, expected: int
) -> None:
    loading.load_customers(bank, ASKED.head(1).assign(Attrition_Flag=STAYS), now=in_days(-50))
    leave(bank, KEYS[0], DAY + timedelta(days=days), voluntary=voluntary)
    assert outcome(local_store, bank) == expected


@pytest.mark.parametrize(
    ("flag", "labelled_on", "other_left_on", "expected"),
    [
        (LEAVES, 40, None, LEFT),  # by the label's day
        (LEAVES, 10, 101, TOO_LATE),
        (STAYS, -50, None, STAYED),
        (None, None, 101, STAYED),  # as in training: who has no exit has stayed
        (None, None, 100, UNLABELLED),  # no exit is known after the 103rd day
        (None, None, None, UNLABELLED),
    ],
)
def test_without_an_exit_the_label_tells(
    local_store: LocalStore,
    bank: Engine,
    flag: str | None,
    labelled_on: int | None,
    other_left_on: int | None,
    expected: int,
) -> None:
    asked = ASKED.head(1).assign(Attrition_Flag=flag)
    loading.load_customers(bank, asked, now=in_days(labelled_on or 0))
    if other_left_on is not None:
        leave(bank, KEYS[1], DAY + timedelta(days=other_left_on))
    assert outcome(local_store, bank) == expected


def test_who_is_no_longer_in_the_customer_table_has_left_on_the_day_of_the_exit(
    local_store: LocalStore, bank: Engine
) -> None:
    leave(bank, KEYS[0], DAY + timedelta(days=30))
    assert outcome(local_store, bank) == LEFT
    assert outcome(local_store, bank, KEYS[1]) == UNLABELLED


@pytest.mark.parametrize(
    ("called_on", "left_on", "expected"),
    [
        (20, None, CALLED),
        (103, None, CALLED),
        (106, None, STAYED),  # after the window
        (-200, None, STAYED),  # its days were over
        (50, 40, LEFT),  # before the call
        (-20, 5, CALLED),
        (-20, -2, GONE_BEFORE),
    ],
)
def test_a_call_within_the_window_hides_what_came_of_it(
    local_store: LocalStore, bank: Engine, called_on: int, left_on: int | None, expected: int
) -> None:
    loading.load_customers(bank, ASKED.head(1).assign(Attrition_Flag=STAYS), now=in_days(-50))
    contacts.create_contacts(bank)
    contacts.mark(bank, [Mark(KEYS[0], "listed", campaign="May")], now=in_days(called_on))
    if left_on is not None:
        leave(bank, KEYS[0], DAY + timedelta(days=left_on))
    assert outcome(local_store, bank) == expected


def two_kinds(store: LocalStore, bank: Engine, *, first_kind_in: date = DAY) -> None:
    """Version 1 says who has left, version 2 who will: the same customers are asked about."""
    promote(store, manifest_of("1", CONTRACT.feature_names, {}), {})
    promote(store, manifest_of("2", CONTRACT.feature_names, {}, target=HORIZON), {})
    log(store, ASKED, version="1", day=first_kind_in)
    log(store, ASKED, version="2", request="2")
    loading.load_customers(bank, ASKED.assign(Attrition_Flag=STAYS), now=in_days(-50))
    for place, key in enumerate(KEYS):  # 5 went within the gap, 40 in the window, 20 after it
        if place < 65:
            leave(bank, key, DAY + timedelta(days=10 if place < 5 else 40 if place < 45 else 110))


def told(found: Performance) -> dict[str, tuple[int, int, int, str]]:
    return {
        each.version: (
            each.ripe,
            each.realised.left if each.realised else 0,
            each.too_late,
            f"{each.ripe_on}",
        )
        for each in found.weeks
    }


def test_each_version_is_judged_by_what_it_says_and_the_week_waits_for_the_longer(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    two_kinds(local_store, bank)
    early = measured(RIPE - timedelta(days=1))
    assert told(early) == {"1": (0, 0, 0, "2026-08-23"), "2": (0, 0, 0, "2026-08-23")}
    found = measured(RIPE)
    # The labels of version 1 still say that everybody stayed.
    assert told(found) == {"1": (200, 0, 0, "2026-08-23"), "2": (195, 40, 5, "2026-08-23")}
    assert all(week.settled for week in found.weeks)
    assert [each.target.kind for each in found.versions] == ["state", "horizon"]
    assert [found.days_until_known(each) for each in found.versions] == [30, 104]


def test_a_week_of_one_kind_does_not_wait_for_the_other(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    two_kinds(local_store, bank, first_kind_in=DAY - timedelta(weeks=1))
    found = measured(datetime(2026, 6, 10, 0, 30, tzinfo=UTC))
    assert told(found) == {"1": (200, 0, 0, "2026-06-03"), "2": (0, 0, 0, "2026-08-23")}


def test_the_weeks_shown_reach_back_as_far_as_the_champions_window(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    promote(local_store, manifest_of("2", CONTRACT.feature_names, {}, target=HORIZON), {})
    log(local_store, ASKED.head(10), version="2")
    weeks = OUTCOME_RULES["outcome_weeks"]
    assert isinstance(weeks, int)
    last = datetime.combine(DAY, time(), UTC) + timedelta(weeks=weeks + 15, hours=1)
    assert [each.version for each in measured(last).weeks] == ["2"]


def test_its_recall_is_that_of_the_list_because_no_probability_reaches_the_threshold(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    facts: dict[str, Any] = {"metrics": {}, "curves": {}, "slices": [], "importance": {}}
    evaluation = Evaluation(threshold=0.5, holdout_rows=1, early_warning=EARLY, **facts)
    files = {versions.EVALUATION_FILE: evaluation.to_bytes()}
    manifest = manifest_of("2", CONTRACT.feature_names, files, target=HORIZON, threshold=0.999)
    promote(local_store, manifest, files)
    log(local_store, ASKED, version="2")
    loading.load_customers(bank, ASKED.assign(Attrition_Flag=STAYS), now=in_days(-50))
    likeliest = np.argsort(-score(ASKED))
    for place in (*likeliest[:3], likeliest[100]):
        leave(bank, KEYS[place], DAY + timedelta(days=40))
    found = measured(RIPE)
    (version,), (week,) = found.versions, found.weeks
    assert week.realised is not None and week.realised.recall is not None
    assert week.realised.recall.value == 0.75
    expected = (21 * 0.76 + 34 * 0.62 + 52 * 0.44) / 107
    assert version.promised_recall == pytest.approx(expected)
