"""What a plan cuts and clears, and the ranges and pages that customers are read by."""

import pandas as pd
import pytest
from sqlalchemy import Engine

from include.contract import Contract
from include.customers import queries
from include.customers import ranges as customer_ranges
from include.customers.ranges import KeyRange
from include.errors import DataError
from include.scoring.run import ScoringRun
from include.store import LocalStore
from tests.include.nights import night_of, parts_of, plan, scored, sql


def test_without_a_champion_there_is_nothing_to_plan(
    local_store: LocalStore, sqlite_bank: Engine
) -> None:
    assert plan(night_of(local_store, sqlite_bank)) == []


def test_an_empty_table_fails_and_says_so(sqlite_night: ScoringRun) -> None:
    sql(sqlite_night.engine, "DELETE FROM churners")
    with pytest.raises(DataError, match="churners is empty"):
        plan(sqlite_night)


def test_a_later_plan_removes_the_parts_of_an_unfinished_one(sqlite_night: ScoringRun) -> None:
    scored(sqlite_night, plan(sqlite_night))
    other = night_of(sqlite_night.store, sqlite_night.engine, range_rows=600)
    scored(other, plan(other))
    assert parts_of(sqlite_night)["customer"].is_unique


@pytest.mark.parametrize(
    ("ranges", "rows", "expected"),
    [(1, 1000, [1000]), (4, 250, [250] * 4), (3, 334, [334, 334, 332]), (9, 999, [999, 1])],
)
def test_ranges_hold_equal_numbers_and_every_possible_key(
    bank: Engine, contract: Contract, ranges: int, rows: int, expected: list[int]
) -> None:
    cuts = customer_ranges.cut(bank, contract, ranges=ranges, rows=rows)
    sizes = [
        sum(len(page) for page in customer_ranges.pages(bank, contract, ["Gender"], keys, rows=300))
        for keys in cuts
    ]
    assert sizes == expected
    assert cuts[0].after is None and cuts[-1].upto is None
    assert [keys.upto for keys in cuts[:-1]] == [keys.after for keys in cuts[1:]]


def test_pages_hold_no_more_than_they_may_and_together_the_table(
    bank: Engine, contract: Contract
) -> None:
    everybody, names = KeyRange(None, None), contract.feature_names
    pages = list(customer_ranges.pages(bank, contract, names, everybody, rows=300))
    assert [len(page) for page in pages] == [300, 300, 300, 100]
    found = pd.concat(pages, ignore_index=True)
    expected = queries.read_customers(bank, contract, labelled_only=False)
    pd.testing.assert_frame_equal(found, expected[list(found)])
