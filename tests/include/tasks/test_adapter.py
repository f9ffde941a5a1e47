"""What Airflow carries between tasks becomes what their functions take, and back."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from include.errors import ConfigurationError
from include.tasks.adapter import day_of, read_handed_on


@dataclass(frozen=True)
class Part:
    key: str
    rows: int


def collect(run: None, parts: list[Part], at: Part | None) -> None:
    """A task's function."""


def context(date: str | None) -> dict[str, Any]:
    due = datetime(2026, 12, 1, 0, 30, tzinfo=UTC)
    return {"params": {"date": date}, "dag_run": SimpleNamespace(run_after=due)}


def test_dicts_become_what_the_annotations_say() -> None:
    carried = {"parts": [{"key": "a", "rows": 1}], "at": None, "ti": object(), "run": "Airflow's"}
    assert read_handed_on(collect, carried) == {"parts": [Part("a", 1)], "at": None}


def test_what_an_earlier_release_handed_on_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="parts is of another release .*first task"):
        read_handed_on(collect, {"parts": [{"key": "a"}], "at": None})


def test_the_day_is_the_parameter_or_the_one_before_the_run_was_due() -> None:
    assert day_of(context("2026-02-28")) == date(2026, 2, 28)
    assert day_of(context(None), before=timedelta(days=1)) == date(2026, 11, 30)


def test_a_day_that_is_none_is_named() -> None:
    with pytest.raises(ConfigurationError, match="such as 2026-11-30, found 'yesterday'"):
        day_of(context("yesterday"))
