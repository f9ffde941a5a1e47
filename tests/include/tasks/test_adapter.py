"""What Airflow carries between tasks becomes what their functions take, and back."""

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from include.errors import ConfigurationError
from include.tasks.adapter import day_of, read_handed_on, refuse_unknown


@dataclass(frozen=True)
class Part:
    key: str
    rows: int


def collect(run: None, parts: list[Part], at: Part | None) -> None:
    """A task's function."""


def context(date: str | None, **run: Any) -> dict[str, Any]:
    due = datetime(2026, 12, 1, 0, 30, tzinfo=UTC)
    facts = {"run_after": due, "run_type": "manual", "logical_date": None, **run}
    return {"params": {"date": date}, "dag_run": SimpleNamespace(**facts)}


@pytest.mark.parametrize(
    ("known", "conf", "fault"),
    [
        (["date", "cooldown_days"], {"date": "2026-01-01"}, None),
        ([], None, None),
        (["date", "cooldown_days"], {"dat": "2026-01-01"}, r"\(date, cooldown_days\), found dat,"),
        ([], {"b": 1, "a": None}, r"\(it has none\), found a, b, .*start another run"),
    ],
)
def test_a_run_with_a_parameter_that_no_task_would_read_is_refused(
    known: list[str], conf: dict[str, Any] | None, fault: str | None
) -> None:
    dag = SimpleNamespace(dag_id="churn_drift", params=dict.fromkeys(known))
    given = {"dag": dag, "dag_run": SimpleNamespace(conf=conf)}
    with pytest.raises(ConfigurationError, match=fault) if fault else nullcontext():
        refuse_unknown(given)


def test_dicts_become_what_the_annotations_say() -> None:
    carried = {"parts": [{"key": "a", "rows": 1}], "at": None, "ti": object(), "run": "Airflow's"}
    assert read_handed_on(collect, carried) == {"parts": [Part("a", 1)], "at": None}


def test_what_an_earlier_release_handed_on_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="parts is of another release .*first task"):
        read_handed_on(collect, {"parts": [{"key": "a"}], "at": None})


def test_the_day_is_the_parameter_or_the_one_before_the_run_was_due() -> None:
    assert day_of(context("2026-02-28")) == date(2026, 2, 28)
    assert day_of(context(None), before=timedelta(days=1)) == date(2026, 11, 30)


MAY = datetime(2026, 5, 5, 0, 30, tzinfo=UTC)
EARLY = datetime(2026, 5, 5, 1, 30, tzinfo=timezone(timedelta(hours=2)))  # 4 May in UTC


@pytest.mark.parametrize(
    ("run", "day"),
    [
        ({"logical_date": MAY}, date(2026, 5, 4)),  # given by hand, today
        ({"logical_date": MAY, "run_type": "operator_triggered"}, date(2026, 5, 4)),
        ({"logical_date": EARLY}, date(2026, 5, 3)),
        ({"run_type": "asset_triggered"}, date(2026, 11, 30)),
        # A schedule of instants, and one of intervals, whose logical date is their beginning.
        ({"run_type": "backfill", "logical_date": MAY, "run_after": MAY}, date(2026, 5, 4)),
        (
            {"run_type": "scheduled", "logical_date": MAY, "run_after": MAY + timedelta(days=1)},
            date(2026, 5, 5),
        ),
    ],
)
def test_a_logical_date_given_by_hand_says_when_the_run_was_due(
    run: dict[str, Any], day: date
) -> None:
    assert day_of(context(None, **run), before=timedelta(days=1)) == day
    assert day_of(context(None, **run)) == day + timedelta(days=1)


@pytest.mark.parametrize(
    ("given", "run"),
    [("2026-12-02", {}), (None, {"logical_date": datetime(2031, 2, 28, 0, 30, tzinfo=UTC)})],
)
def test_a_day_that_has_not_come_is_refused(given: str | None, run: dict[str, Any]) -> None:
    assert day_of(context("2026-12-01")) == date(2026, 12, 1)
    with pytest.raises(ConfigurationError, match=r"up to 2026-12-01 \(UTC\).*has not come yet"):
        day_of(context(given, **run), before=timedelta(days=1))
