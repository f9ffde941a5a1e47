"""Whom a version of early warning flags, since when, and who is quiet already."""

from datetime import date, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from include.params import HistoryRules
from include.scoring.earlier import NOBODY
from include.scoring.flags import with_flags
from include.scoring.run import ScoringRun
from include.scoring.summarise_scores import summarise_scores
from include.target import STATE, Target
from tests.include.bank_days import promote
from tests.include.nights import DAY, PEOPLE, Version, plan, scored, sql, table_of, whole_night

HORIZON = Target(kind="horizon", gap_days=14, horizon_days=90)


def warning(champion: Version, *, version: str = "9", target: Target = HORIZON) -> Version:
    """The same model as one of early warning."""
    manifest, files = champion
    return manifest.model_copy(update={"version": version, "target": target}), files


@pytest.fixture
def warned(night: ScoringRun, champion: Version) -> ScoringRun:
    """A night with a champion of early warning."""
    promote(night.store, *warning(champion))
    return night


@pytest.fixture
def sqlite_warned(sqlite_night: ScoringRun, champion: Version) -> ScoringRun:
    """The same on SQLite only."""
    promote(sqlite_night.store, *warning(champion))
    return sqlite_night


def list_of(night: ScoringRun) -> pd.DataFrame:
    """`churn_scores` by customer, the riskiest first, with days as days."""
    found = table_of(night).set_index("customer").sort_values("probability", ascending=False)
    for name in ("flagged_since", "call_by"):
        found[name] = [None if pd.isna(day) else pd.Timestamp(day).date() for day in found[name]]
    return found


def day_of(night: ScoringRun) -> date:
    """When the list was scored."""
    return pd.Timestamp(table_of(night)["scored_at"].iloc[0]).date()


def flagged_of(night: ScoringRun) -> "pd.Series[object]":
    """Since when, of those who are flagged."""
    return list_of(night)["flagged_since"].dropna()


def quieter(night: ScoringRun, customers: "pd.Index[int]") -> None:
    """These customers hardly use their cards any more."""
    numbers = ", ".join(map(str, customers))
    sql(
        night.engine,
        "UPDATE churners SET Total_Trans_Ct = 12, Total_Trans_Amt = 700, Total_Revolving_Bal = 0, "
        f"Total_Ct_Chng_Q4_Q1 = 0.2 WHERE CLIENTNUM IN ({numbers})",
    )


def test_flagged_are_the_active_customers_on_the_list(warned: ScoringRun) -> None:
    sql(warned.engine, "UPDATE churners SET Attrition_Flag = 'Existing Customer'")
    sql(
        warned.engine,
        "UPDATE churners SET Attrition_Flag = 'Attrited Customer' WHERE CLIENTNUM % 5 = 0",
    )
    whole_night(warned)
    found = list_of(warned)
    active, flags_ = found[found["has_left"] == 0], found["call_by"].notna()
    listed = round(HistoryRules().list_share * len(active))
    least = active["probability"].iloc[listed - 1]
    assert found.index[flags_].tolist() == active.index[active["probability"] >= least].tolist()
    assert listed <= flags_.sum() < listed + 20  # those who tie with the last
    assert set(found.loc[flags_, "flagged_since"]) == {day_of(warned)}
    assert set(found.loc[flags_, "call_by"]) == {day_of(warned) + timedelta(days=14)}
    assert (found["flagged_since"].isna() == found["call_by"].isna()).all()


def test_a_flag_keeps_its_first_night_while_the_stretch_is_unbroken(warned: ScoringRun) -> None:
    whole_night(warned, day=DAY - timedelta(days=1))
    first, began = flagged_of(warned), day_of(warned)
    assert set(first) == {began}
    others = list_of(warned).index.difference(first.index)[:30]
    quieter(warned, others)
    whole_night(warned)
    second = flagged_of(warned)
    stayed, went = second.index.intersection(first.index), first.index.difference(second.index)
    assert len(stayed) > 20 and len(went) > 5
    assert set(second[stayed]) == {began}
    assert set(second.drop(stayed)) == {day_of(warned)} != {began}
    # Whom a night left out begins anew.
    quieter(warned, went[:1])
    whole_night(warned, day=DAY + timedelta(days=1))
    assert flagged_of(warned)[went[0]] == day_of(warned)
    calls = list_of(warned).loc[stayed, "call_by"].dropna()
    assert set(calls) == {began + timedelta(days=14)}


def test_a_new_version_keeps_flags_and_counts_its_own_gap(
    sqlite_warned: ScoringRun, champion: Version
) -> None:
    whole_night(sqlite_warned, day=DAY - timedelta(days=1))
    began = day_of(sqlite_warned)
    longer = Target(kind="horizon", gap_days=30, horizon_days=90)
    promote(sqlite_warned.store, *warning(champion, version="10", target=longer))
    whole_night(sqlite_warned)
    found = list_of(sqlite_warned).dropna(subset=["call_by"])
    assert set(found["flagged_since"]) == {began}
    assert set(found["call_by"]) == {began + timedelta(days=30)}


def test_a_version_that_says_who_has_left_flags_nobody(
    sqlite_warned: ScoringRun, champion: Version
) -> None:
    whole_night(sqlite_warned, day=DAY - timedelta(days=1))
    promote(sqlite_warned.store, *warning(champion, version="10", target=STATE))
    whole_night(sqlite_warned)
    assert list_of(sqlite_warned)[["flagged_since", "call_by", "quiet"]].isna().all(axis=None)
    promote(sqlite_warned.store, *warning(champion, version="11"))
    whole_night(sqlite_warned, day=DAY + timedelta(days=1))
    assert set(flagged_of(sqlite_warned)) == {day_of(sqlite_warned)}


def test_a_range_that_is_cleared_after_the_end_keeps_its_flags(warned: ScoringRun) -> None:
    whole_night(warned, day=DAY - timedelta(days=1))
    portions = plan(warned)
    done = scored(warned, portions)
    summarise_scores(warned, portions, done)
    before = list_of(warned)
    scored(warned, portions[:2])
    summarise_scores(warned, portions, done)
    pd.testing.assert_frame_equal(list_of(warned), before)


def test_where_everybody_has_left_nobody_is_flagged(sqlite_warned: ScoringRun) -> None:
    sql(sqlite_warned.engine, "UPDATE churners SET Attrition_Flag = 'Attrited Customer'")
    assert whole_night(sqlite_warned).scored == PEOPLE
    assert flagged_of(sqlite_warned).empty


def test_scores_of_an_earlier_release_flag_nobody_yet(sqlite_warned: ScoringRun) -> None:
    old = "customer BIGINT PRIMARY KEY, probability DOUBLE, scored_at DATETIME"
    sql(sqlite_warned.engine, f"CREATE TABLE churn_scores ({old})")
    whole_night(sqlite_warned)
    assert set(flagged_of(sqlite_warned)) == {day_of(sqlite_warned)}


@pytest.mark.parametrize(
    ("months", "change", "quiet"),
    [(3, 0.9, 0), (4, 0.9, 1), (1, 0.5, 1), (1, 0.51, 0), (None, 0.9, 0), (None, 0.1, 1)],
)
def test_quiet_is_who_is_inactive_or_has_fallen(
    months: int | None, change: float, quiet: int
) -> None:
    scores = pa.table(
        {"customer": [1], "has_left": [0], "months_inactive": pa.array([months], pa.float64())}
    )
    frame = pd.DataFrame({"Total_Ct_Chng_Q4_Q1": [change]})
    found = with_flags(scores, frame, NOBODY, target=HORIZON, rules=HistoryRules())
    assert found["quiet"].to_pylist() == [quiet]
