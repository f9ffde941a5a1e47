"""What a ranking finds by days ahead, on rankings whose answers are known."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.history.lead_times import (
    BASELINE,
    CHAMPION,
    MODEL,
    Month,
    early_warning,
    lead_times,
    leaving_months,
    on_list,
    spans,
)
from include.target import Target

TARGET = Target(kind="horizon", gap_days=14, horizon_days=90)
STAYED = np.nan


def month(
    as_of: date, left_after: list[float], keys: list[int] | None = None, **answers: list[float]
) -> Month:
    """A snapshot's customers; without keys, they are numbered."""
    return Month(
        as_of,
        np.array(keys or range(len(left_after))),
        np.array(left_after),
        {who: np.array(values) for who, values in answers.items()},
    )


@pytest.mark.parametrize(
    ("gap", "horizon", "names"),
    [
        (14, 90, ["15–30", "31–60", "61–104"]),
        (0, 20, ["1–20"]),
        (30, 30, ["31–60"]),
        (45, 30, ["46–60", "61–75"]),
    ],
)
def test_spans_cover_the_window_once(gap: int, horizon: int, names: list[str]) -> None:
    target = Target(kind="horizon", gap_days=gap, horizon_days=horizon)
    found = spans(target)
    days = [day for after, upto in found.values() for day in range(after + 1, upto + 1)]
    assert list(found) == names
    assert days == list(range(gap + 1, target.last_day + 1))


def test_recall_is_of_each_spans_leavers() -> None:
    left = [20, 25, 40, 100, 105, *[STAYED] * 15]
    answers = [0.9, 0.1, 0.8, 0.2, 0.95, *[0.3] * 15]
    found = lead_times(month(date(2026, 1, 1), left, model=answers), MODEL, target=TARGET, listed=3)
    assert found.recall == {"15–30": 0.5, "31–60": 1.0, "61–104": 0.0}
    # Two of twenty are the first tenth: one of them left within the window, as four of all did.
    assert found.top_decile_lift == pytest.approx(0.5 / 0.2)


def test_a_span_without_leavers_has_no_recall() -> None:
    found = lead_times(
        month(date(2026, 1, 1), [20, STAYED], model=[1.0, 0.0]), MODEL, target=TARGET, listed=1
    )
    assert found.recall == {"15–30": 1.0, "31–60": None, "61–104": None}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.data())
def test_the_list_is_as_long_as_asked_and_nobody_below_passes(
    values: list[int], data: st.DataObject
) -> None:
    answers = np.array(values, dtype=float)
    listed = data.draw(st.integers(1, len(values)))
    places = on_list(answers, listed)
    assert places.sum() == pytest.approx(listed)
    assert ((places >= 0) & (places <= 1)).all()
    best = np.sort(answers)[::-1]
    assert (places[answers > best[listed - 1]] == 1).all()
    assert (places[answers < best[listed - 1]] == 0).all()
    assert len(set(places[answers == best[listed - 1]])) == 1


def test_a_constant_ranking_finds_what_chance_does() -> None:
    left = [20.0] * 10 + [STAYED] * 90
    found = lead_times(
        month(date(2026, 1, 1), left, model=[0.5] * 100), MODEL, target=TARGET, listed=20
    )
    assert (found.roc_auc, found.top_decile_lift, found.recall["15–30"]) == (
        0.5,
        pytest.approx(1.0),
        pytest.approx(0.2),
    )


def monthly(first: int, last: int) -> list[date]:
    return [date(2025 + m // 12, m % 12 + 1, 1) for m in range(first, last)]


def history(as_of: list[date], left_on: date) -> list[Month]:
    """Ten customers a month; number 7 leaves that day, and the model lists it 40 days before."""
    found = []
    for day in as_of:
        days = (left_on - day).days
        if days <= TARGET.gap_days:
            continue
        left = [STAYED] * 10
        left[7] = days
        model = [1.0 if n == (7 if days >= 40 else 3) else 0.0 for n in range(10)]
        found.append(month(day, left, model=model, baseline=[0.0] * 10))
    return found


def test_leavers_count_by_the_newest_snapshot_so_far_back() -> None:
    months = history(monthly(0, 9), date(2025, 7, 5))
    months.append(month(date(2025, 8, 1), [STAYED] * 10, model=[0.0] * 10, baseline=[0.0] * 10))
    (found,) = leaving_months(months, target=TARGET, list_share=0.1)
    assert (found.month, found.leavers) == ("2025-07", 1)
    # 30 days before is the snapshot of 1 June, 34 days ahead; 60 and 90 are those of May and April.
    assert found.model == {"30": 0.0, "60": 1.0, "90": 1.0}
    assert found.baseline == pytest.approx({"30": 0.1, "60": 0.1, "90": 0.1})


def test_who_is_left_out_of_the_newest_snapshot_so_far_back_is_not_counted_by_an_older_one() -> (
    None
):
    months = history(monthly(0, 9), date(2025, 7, 5))
    months.append(month(date(2025, 8, 1), [STAYED] * 10, model=[0.0] * 10, baseline=[0.0] * 10))
    for at, each in enumerate(months):  # 8 leaves with 7, and nobody ever lists him
        left = np.where(each.keys == 8, each.left_after[7], each.left_after)
        stays_in = (each.keys != 8) | (each.as_of != date(2025, 5, 1))
        months[at] = replace(each, left_after=left).only(stays_in, each.answers)
    (found,) = leaving_months(months, target=TARGET, list_share=0.1)
    assert (found.leavers, found.model) == (2, {"30": 0.0, "60": 1.0, "90": 0.5})


def test_months_are_told_only_as_far_as_snapshots_reach() -> None:
    months = history(monthly(3, 9), date(2025, 6, 20))
    months.append(month(date(2025, 8, 1), [STAYED] * 10, model=[0.0] * 10, baseline=[0.0] * 10))
    (found,) = leaving_months(months, target=TARGET, list_share=0.1)
    assert found.month == "2025-06"
    assert (found.model["60"], found.model["90"]) == (1.0, None)


def test_a_month_whose_leavers_are_not_all_known_is_not_told() -> None:
    months = history(monthly(0, 4), date(2025, 7, 20))  # the last window ends on 14 July
    assert not list(leaving_months(months, target=TARGET, list_share=0.1))


def test_a_missed_snapshot_leaves_its_month_out() -> None:
    as_of = [day for day in monthly(0, 9) if day not in {date(2025, 5, 1), date(2025, 6, 1)}]
    months = history(as_of, date(2025, 7, 5))
    months.append(month(date(2025, 8, 1), [STAYED] * 10, model=[0.0] * 10, baseline=[0.0] * 10))
    (found,) = leaving_months(months, target=TARGET, list_share=0.1)
    assert (found.model["30"], found.model["60"], found.model["90"]) == (None, None, 1.0)


def test_all_figures_stand_beside_the_champions() -> None:
    left = [20, 40, 100, *[STAYED] * 17]
    good, bad = [*[0.9] * 3, *[0.1] * 17], [*[0.1] * 3, *[0.9] * 17]
    judged = month(date(2026, 3, 1), left, model=good, baseline=bad, champion=bad)
    older = month(date(2026, 2, 1), left, model=good, baseline=bad, champion=bad)
    nobody = month(date(2026, 1, 1), [STAYED] * 20, model=good, baseline=bad, champion=bad)
    found = early_warning(judged, [nobody, older], target=TARGET, list_share=0.15)
    assert (found.rows, found.listed) == (20, 3)
    assert found.leavers == {"15–30": 1, "31–60": 1, "61–104": 1}
    assert found.model.recall == {"15–30": 1.0, "31–60": 1.0, "61–104": 1.0}
    assert found.champion is not None and found.champion.roc_auc == 0
    (told,) = found.older  # a month in which nobody left judges nothing
    assert (told.as_of, told.leavers, told.model, told.champion) == (date(2026, 2, 1), 3, 1.0, 0.0)
    assert {MODEL, BASELINE, CHAMPION} == set(judged.answers)
