"""Labels with a clock: nothing is known before its time, and nobody teaches and judges."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from include.features import SplitRule
from include.history import clock
from include.history.clock import LEAVES, STAYS, Months
from include.params import HistoryRules
from include.target import Target

DAYS = st.dates(date(2024, 1, 1), date(2027, 1, 1))
TARGETS = st.builds(
    Target, kind=st.just("horizon"), gap_days=st.integers(0, 40), horizon_days=st.integers(1, 200)
)
DELAYS = st.integers(0, 60)
TARGET = Target(kind="horizon", gap_days=14, horizon_days=90)
SPLIT = SplitRule(salt="churn", calibration_share=0.1, holdout_share=0.2)


@st.composite
def known_months(draw: st.DrawFn) -> Months:
    """What the days of some snapshots are for, at least one of them closed."""
    days, cutoff = draw(st.lists(DAYS, min_size=1, max_size=30)), draw(DAYS)
    found = clock.months_of(days, draw(TARGETS), cutoff=cutoff, delay_days=draw(DELAYS))
    assume(found is not None)
    assert found is not None
    return found


@given(known_months())
def test_every_label_is_known_by_the_cutoff(months: Months) -> None:
    for day in months.closed:
        assert months.target.window_ends(day) + timedelta(months.delay_days) < months.cutoff


@given(known_months())
def test_no_training_label_depends_on_a_day_after_the_holdout(months: Months) -> None:
    assert all(months.target.window_ends(day) <= months.holdout for day in months.training)
    assert set(months.training) <= set(months.older) and max(months.closed) == months.holdout


@given(known_months(), st.sets(st.integers(1, 10**9), min_size=1, max_size=60))
def test_nobody_teaches_and_judges(months: Months, keys: set[int]) -> None:
    people = sorted(keys)
    shares = SPLIT.sides(people)
    sides = {day: months.sides(shares, day) for day in months.closed}
    table = np.array([sides[day] for day in months.closed])
    judges = np.isin(table, ["holdout", clock.OLDER]).any(axis=0)
    assert not (judges & np.isin(table, ["training", "calibration"]).any(axis=0)).any()
    assert ((table == "holdout").sum(axis=0) == (shares == "holdout")).all()


@given(DAYS, TARGETS, st.integers(-50, 400), st.integers(-20, 90))
def test_a_row_is_what_its_dates_say(
    as_of: date, target: Target, left_after: int, delay: int
) -> None:
    left_on, known_on = as_of + timedelta(left_after), as_of + timedelta(left_after + delay)
    opens, ends = as_of + timedelta(target.gap_days), target.window_ends(as_of)
    if left_on < as_of:
        expected = clock.AFTER_EXIT
    elif left_on <= opens or known_on <= as_of:
        expected = clock.TOO_LATE
    else:
        expected = LEAVES if opens < left_on <= ends else STAYS
    assert verdict(left_after, delay, target=target) == expected


@pytest.mark.parametrize(
    ("left_after", "expected"),
    [(0, clock.TOO_LATE), (14, clock.TOO_LATE), (15, LEAVES), (104, LEAVES), (105, STAYS)],
)
def test_the_window_begins_after_the_gap_and_has_its_last_day(
    left_after: int, expected: str
) -> None:
    assert verdict(left_after) == expected


@pytest.mark.parametrize(("left_after", "expected"), [(-1, clock.AFTER_EXIT), (105, STAYS)])
def test_an_exit_against_the_customers_wish_counts_as_such_until_the_window_ends(
    left_after: int, expected: str
) -> None:
    assert verdict(left_after, forced=True) == expected
    assert verdict(104, forced=True) == verdict(3, forced=True) == clock.INVOLUNTARY


@pytest.mark.parametrize(("known_after", "expected"), [(9 / 24, clock.TOO_LATE), (1, LEAVES)])
def test_what_the_bank_knew_on_the_day_of_the_snapshot_is_too_late(
    known_after: float, expected: str
) -> None:
    assert verdict(30, known_after - 30) == expected


def test_who_has_not_left_stays_and_what_was_loaded_late_says_nothing() -> None:
    assert verdict(float("nan")) == STAYS
    assert verdict(float("nan"), late=True) == verdict(50, late=True) == clock.LOADED_LATE


def verdict(
    left_after: float,
    delay: float = 3,
    *,
    forced: bool = False,
    late: bool = False,
    target: Target = TARGET,
) -> str:
    left = np.array([left_after], dtype=np.float64)
    found = clock.verdicts(left, left + delay, np.array([forced]), np.array([late]), target)
    return str(found[0])


def test_the_usual_delay_is_that_of_95_of_100_exits() -> None:
    assert clock.usual_delay_days(np.arange(1.0, 101.0)) == 96
    assert clock.usual_delay_days(np.array([])) == clock.usual_delay_days(np.array([-3.0])) == 0


@given(
    st.lists(DAYS, max_size=8),
    TARGETS,
    DELAYS,
    st.builds(HistoryRules, months_min=st.integers(3, 12)),
)
def test_the_day_from_which_history_is_enough_is_kept(
    days: list[date], target: Target, delay: int, rules: HistoryRules
) -> None:
    today = max([*days, date(2024, 1, 1)])
    said = missing_on(today, days, target, delay, rules)
    assume(said)
    promised = date.fromisoformat(said.partition("enough from ")[2][:10])
    first = pd.Timestamp(max(days) if days else today)
    monthly = [(first + pd.DateOffset(months=month)).date() for month in range(60)]
    all_days = [*days, *(day for day in monthly if day <= promised)]
    assert missing_on(promised, all_days, target, delay, rules) == ""
    if promised > today:
        assert missing_on(promised - timedelta(days=1), all_days, target, delay, rules)


def missing_on(
    today: date, days: list[date], target: Target, delay: int, rules: HistoryRules
) -> str:
    there = [day for day in days if day <= today]
    months = clock.months_of(there, target, cutoff=today, delay_days=delay)
    return clock.too_few_months(there, months, target, rules, delay_days=delay, today=today)


def test_what_is_missing_is_told_with_the_day_on_which_it_should_be_there() -> None:
    days = [date(2026, month, 1) for month in (6, 7, 8, 9)]
    months = clock.months_of(days, TARGET, cutoff=date(2026, 10, 20), delay_days=5)
    said = clock.too_few_months(
        days, months, TARGET, HistoryRules(), delay_days=5, today=date(2026, 10, 20)
    )
    assert said == (
        "2 of 6 closed months, and exits are usually known after 5 days; enough from 2027-02-19 "
        "on, if churn_snapshot runs each month"
    )


def test_a_month_with_far_fewer_customers_than_its_neighbour_is_told() -> None:
    sizes = (90, 92, 60, 91, 80, 79)
    rows = {date(2026, month, 1): size for month, size in enumerate(sizes, 1)}
    (said,) = clock.thin_months(rows)
    assert said.startswith("the snapshot of 2026-03-01 has 60 hold-out customers, and 92 are in")
    assert clock.thin_months({date(2026, 1, 1): 5}) == clock.thin_months({}) == ()


def test_months_without_a_snapshot_are_told() -> None:
    days = [date(2026, month, 1) for month in (1, 2, 4, 5)]
    months = clock.months_of(days, TARGET, cutoff=date(2027, 1, 1), delay_days=0)
    assert months is not None
    assert clock.described(months) == (
        "4 closed months (1 between them without a snapshot), the last as of 2026-05-01"
    )
