"""What the event of a task's success says, and that none comes where nothing moved."""

from types import SimpleNamespace
from typing import Any

from include.tasks.events import tell, tell_if_moved


def context() -> dict[str, Any]:
    """A task with one outlet, as far as it is looked at."""
    return {"outlets": ["champion"], "outlet_events": {"champion": SimpleNamespace(extra={})}}


def test_the_facts_go_with_the_event() -> None:
    given = context()
    tell(given, version="3", rows=7)
    assert given["outlet_events"]["champion"].extra == {"version": "3", "rows": 7}


def test_a_pointer_that_moved_is_told_with_the_verdict() -> None:
    given = context()
    tell_if_moved(given, {"moved": True, "version": "3"}, verdict="accepted")
    assert given["outlets"] == ["champion"]
    facts = {"version": "3", "verdict": "accepted"}
    assert given["outlet_events"]["champion"].extra == facts


def test_a_pointer_that_stayed_is_told_to_nobody() -> None:
    given = context()
    tell_if_moved(given, {"moved": False, "version": None}, verdict="rejected")
    assert given["outlets"] == []
