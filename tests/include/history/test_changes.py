"""Changes over past snapshots: the same for training and for the night, never from a later day."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from include.contract import Contract
from include.history.changes import DAYS_APART, change_name, earlier_day, extended, with_changes
from include.history.tables import AS_OF, SNAPSHOTS
from include.params import HistoryRules
from tests.include.history.tiny import Tiny, tiny_history

RULES = HistoryRules()
COUNT = "Total_Trans_Ct"


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    """The same history for every test."""
    return tiny_history(customers=200, months=8)


def changed(engine: Engine, contract: Contract, tiny: Tiny, day: date) -> pd.DataFrame:
    """A month's customers with their changes."""
    month = tiny.snapshots[tiny.snapshots[AS_OF] == day].drop(columns=[AS_OF, "loaded_at"])
    return with_changes(
        engine, month, extended(contract, "all"), as_of=day, snapshots=tiny.days, rules=RULES
    )


@pytest.mark.parametrize("months", [1, 3, 6])
def test_a_change_is_the_record_less_what_it_was(
    history: Engine, contract: Contract, tiny: Tiny, months: int
) -> None:
    day, before = tiny.days[-1], tiny.days[-1 - months]
    found = changed(history, contract, tiny, day).set_index("CLIENTNUM")
    was = tiny.snapshots[tiny.snapshots[AS_OF] == before].set_index("CLIENTNUM")[COUNT]
    expected = found[COUNT] - was.reindex(found.index)
    np.testing.assert_array_equal(found[change_name(COUNT, months)], expected)
    assert found[change_name(COUNT, months)].abs().max() > 0


def test_without_a_snapshot_that_far_back_nothing_has_changed(
    history: Engine, contract: Contract, tiny: Tiny
) -> None:
    found = changed(history, contract, tiny, tiny.days[2])
    assert found[change_name(COUNT, 1)].abs().max() > 0
    assert not found[[change_name(COUNT, 3), change_name(COUNT, 6)]].to_numpy().any()


def test_a_snapshot_that_was_loaded_late_counts_for_nothing(
    history: Engine, contract: Contract, tiny: Tiny
) -> None:
    late, days = tiny.days[-2], RULES.loaded_days_max + 2
    with history.begin() as connection:
        statement = f"UPDATE {SNAPSHOTS} SET loaded_at = :at WHERE as_of = :day"
        at = pd.Timestamp(late) + timedelta(days=days)
        connection.execute(sa.text(statement), {"at": f"{at}.000000", "day": str(late)})
    found = changed(history, contract, tiny, tiny.days[-1])
    assert not found[change_name(COUNT, 1)].to_numpy().any()
    assert found[change_name(COUNT, 3)].abs().max() > 0


def test_a_change_is_of_its_months_whatever_days_it_spans(
    history: Engine, contract: Contract, tiny: Tiny
) -> None:
    day = tiny.days[-1] + timedelta(days=12)
    month = tiny.snapshots[tiny.snapshots[AS_OF] == tiny.days[-1]].assign(Total_Trans_Ct=100)
    found = with_changes(
        history, month, extended(contract, "all"), as_of=day, snapshots=tiny.days, rules=RULES
    ).set_index("CLIENTNUM")
    wanted = (day - (pd.Timestamp(day) - pd.DateOffset(months=1)).date()).days
    spanned = (day - tiny.days[-2]).days  # 12 days too many, as against 18 too few
    was = tiny.snapshots[tiny.snapshots[AS_OF] == tiny.days[-2]].set_index("CLIENTNUM")[COUNT]
    expected = (100 - was.reindex(found.index)) * wanted / spanned
    np.testing.assert_allclose(found[change_name(COUNT, 1)], expected.fillna(0))


def test_a_model_of_some_columns_asks_for_their_changes_alone(
    history: Engine, contract: Contract, tiny: Tiny
) -> None:
    name = change_name(COUNT, 3)
    some = extended(contract, (COUNT, name))
    assert list(some.defaults) == [name]
    assert extended(contract, (COUNT,)) == contract
    month = tiny.snapshots[tiny.snapshots[AS_OF] == tiny.days[-1]]
    found = with_changes(
        history, month, some, as_of=tiny.days[-1], snapshots=tiny.days, rules=RULES
    )
    assert set(found.columns) - set(month.columns) == {name}


def test_a_contract_without_changes_asks_for_none(
    history: Engine, contract: Contract, tiny: Tiny
) -> None:
    month = tiny.snapshots[tiny.snapshots[AS_OF] == tiny.days[-1]]
    same = with_changes(
        history, month, contract, as_of=tiny.days[-1], snapshots=tiny.days, rules=RULES
    )
    assert same is month


@given(
    day=st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    apart=st.lists(st.integers(-300, 300), max_size=12),
    months=st.sampled_from([1, 3, 6]),
)
def test_no_change_looks_at_the_day_itself_or_a_later_one(
    day: date, apart: list[int], months: int
) -> None:
    found = earlier_day(day, months, [day + timedelta(days=each) for each in apart])
    if found is not None:
        wanted = (pd.Timestamp(day) - pd.DateOffset(months=months)).date()
        assert found < day
        assert abs((found - wanted).days) <= DAYS_APART


def test_a_records_contract_is_the_published_one_again(contract: Contract) -> None:
    whole = extended(contract, "all")
    assert whole.of_records == contract
    assert set(whole.defaults.values()) == {0}
    assert whole.feature_names[: len(contract.features)] == contract.feature_names
