"""Who is recorded for a rollback: who signed in, and whose terminal it was."""

from types import SimpleNamespace
from typing import Any

import pytest

from include.tasks import rollback


@pytest.mark.parametrize(
    ("signed_in", "conf", "who"),
    [
        ("carla", {}, "carla"),
        ("carla", None, "carla"),
        ("admin", {"on_behalf_of": "anna"}, "admin (for anna)"),
        (None, {"on_behalf_of": "anna"}, "unknown (for anna)"),
        (None, {}, "unknown"),
        ("carla", {"on_behalf_of": "a" * 64}, f"carla (for {'a' * 64})"),
        ("carla", {"on_behalf_of": "a" * 65}, "carla"),
        ("carla", {"on_behalf_of": "anna\nadmin"}, "carla"),
        ("carla", {"on_behalf_of": ["anna"]}, "carla"),
    ],
)
def test_a_rollback_is_by_who_signed_in_whoever_is_named(
    signed_in: str | None, conf: dict[str, Any] | None, who: str
) -> None:
    run = SimpleNamespace(triggering_user_name=signed_in, conf=conf)
    params = {"version": "2", "reason": "why"}
    asked = rollback._asked({"dag_run": run, "params": params})
    assert (asked.version, asked.reason, asked.who) == ("2", "why", who)
