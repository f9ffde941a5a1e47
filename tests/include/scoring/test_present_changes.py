"""What changed since past snapshots, on a night: of today, and never silently of nothing."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine

from include.contract import Contract
from include.customers.loading import create_table
from include.errors import DataError
from include.history.changes import change_name, extended, with_changes
from include.params import HistoryRules
from include.scoring.score_range import with_present_changes
from tests.include.history.tiny import empty, fill, tiny_history

NOW = datetime.now(UTC)


def night(engine: Engine, day: date) -> Any:
    """What a night knows of itself, filed under any day."""
    return SimpleNamespace(engine=engine, now=NOW, day=day, history=HistoryRules())


def version(contract: Contract) -> Any:
    """A version that has learned from history."""
    return SimpleNamespace(version="7", contract=extended(contract, "all"))


def test_changes_are_of_today_whatever_day_the_scores_are_filed_under(
    engine: Engine, contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    tiny = tiny_history(customers=60, months=4)
    fill(engine, tiny)
    people = tiny.snapshots[tiny.snapshots["as_of"] == tiny.days[-1]].assign(Total_Trans_Ct=1)
    filed = [NOW.date(), NOW.date() - timedelta(days=60)]
    found = [
        next(iter(with_present_changes(night(engine, day), version(contract), [people])))
        for day in filed
    ]
    expected = with_changes(
        engine,
        people,
        version(contract).contract,
        as_of=NOW.date(),
        snapshots=tiny.days,
        rules=HistoryRules(),
    )
    assert found[0].equals(expected) and found[1].equals(expected)
    assert (expected[change_name("Total_Trans_Ct", 1)] < 0).all()
    assert "no snapshot is from about 6 month(s) ago" in caplog.text


@pytest.mark.parametrize("has_tables", [True, False])
def test_without_any_history_nobody_is_scored_as_if_nothing_had_changed(
    engine: Engine, contract: Contract, has_tables: bool
) -> None:
    create_table(engine)
    if has_tables:
        fill(engine, tiny_history(customers=20, months=2))
        empty(engine)
    with pytest.raises(DataError, match="has none in churner_snapshots: restore that table"):
        list(with_present_changes(night(engine, NOW.date()), version(contract), []))
