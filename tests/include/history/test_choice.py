"""Which target a run takes: what is asked, and what history allows."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from include.contract import Contract
from include.customers.database import open_engine
from include.errors import DataError
from include.history.choice import choose
from include.params import Params
from include.target import STATE
from tests.include.conftest import sql
from tests.include.history.tiny import Tiny, tiny_history, warned_early

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    """The same history for every test."""
    return tiny_history()


def test_history_enough_makes_it_warn_early(
    local_history: Engine, contract: Contract, params: Params, tiny: Tiny
) -> None:
    found = choose(local_history, contract, warned_early(params), now=NOW)
    assert found.target == params.horizon and found.months and found.exits
    assert found.reason == f"6 closed months, the last as of {tiny.days[5]}"
    assert (found.months.training, found.months.holdout) == (tiny.days[:2], tiny.days[5])


def test_only_the_newest_closed_months_are_used(
    local_history: Engine, contract: Contract, params: Params, tiny: Tiny
) -> None:
    few = warned_early(params, months_min=5, months_max=5)
    found = choose(local_history, contract, few, now=NOW).months
    assert found and found.closed == tiny.days[1:6] and found.training == tiny.days[1:2]


def test_the_state_can_be_asked_for(
    local_history: Engine, contract: Contract, params: Params
) -> None:
    asked = warned_early(params).model_copy(update={"target": "state"})
    assert choose(local_history, contract, asked, now=NOW).target == STATE


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        ({"months_min": 8}, r"6 of 8 closed months, .*; enough from 20\d\d-\d\d-\d\d on"),
        ({"leavers_min": 5000}, r"\d+ of 5000 leavers in the windows of the 2 months that teach"),
    ],
)
def test_what_is_missing_is_told(
    local_history: Engine, contract: Contract, params: Params, rules: dict[str, int], missing: str
) -> None:
    little = warned_early(params, **rules)
    found = choose(local_history, contract, little, now=NOW)
    assert found.target == STATE and found.months is None
    with pytest.raises(DataError, match=f"asks for the target horizon.*{missing}"):
        choose(local_history, contract, little.model_copy(update={"target": "horizon"}), now=NOW)


def test_a_month_without_leavers_cannot_judge(
    local_history: Engine, contract: Contract, params: Params, tiny: Tiny
) -> None:
    judging = tiny.days[5]
    late = "UPDATE churner_snapshots SET loaded_at = '2031-01-01'"
    sql(local_history, f"{late} WHERE as_of = '{judging}'")
    found = choose(local_history, contract, warned_early(params), now=NOW)
    assert found.reason.startswith(f"0 of 20 leavers among the hold-out customers of {judging}")
    assert found.reason.endswith("called (campaigns.listed_customers) still among them")


def test_without_history_the_first_month_is_still_to_come(
    sqlite_url: str, contract: Contract, params: Params
) -> None:
    found = choose(open_engine(sqlite_url), contract, params, now=NOW)
    assert found.target == STATE and found.reason.startswith("0 of 6 closed months; enough from 20")
