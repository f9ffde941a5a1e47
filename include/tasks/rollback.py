"""What the operators of `churn_rollback` call: light to import, heavy only inside a task."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from include.tasks.errors import reported
from include.tasks.events import tell_if_moved

if TYPE_CHECKING:
    from include.champion.registry import Registry
    from include.champion.rollback import Rollback
    from include.store import Store

ON_BEHALF = "on_behalf_of"  # whom `make rollback` names, who signs in as the stack itself
NAME_CHARS = 64


def check_version(**context: Any) -> str:
    """Refuse a version that cannot serve; nothing is moved."""
    with reported():
        from include.champion import rollback

        return rollback.check_version(*_places(), _asked(context))


def move_champion(**context: Any) -> dict[str, Any]:
    """Put the version back into production, and tell of it where it was not there."""
    with reported():
        from include.champion import rollback
        from include.handover import now

        moved = asdict(rollback.move_champion(*_places(), _asked(context), now=now()))
    tell_if_moved(context, moved, verdict="moved by hand")
    return moved


def _asked(context: Mapping[str, Any]) -> "Rollback":
    from include.champion.history import UNKNOWN
    from include.champion.rollback import Rollback

    run = context["dag_run"]
    signed_in, person = run.triggering_user_name or UNKNOWN, _person(run.conf or {})
    return Rollback(
        version=context["params"]["version"],
        reason=context["params"]["reason"],
        who=f"{signed_in} (for {person})" if person else signed_in,
    )


def _person(conf: Mapping[str, Any]) -> str | None:
    """Whom the run is for, as anybody who may start one can claim; it is kept for ever."""
    named = conf.get(ON_BEHALF)
    fit = isinstance(named, str) and 0 < len(named) <= NAME_CHARS and named.isprintable()
    return named if fit else None


def _places() -> "tuple[Store, Registry]":
    from include.champion.registry import Registry
    from include.settings import load_settings
    from include.tasks import connections

    settings = load_settings()
    return connections.task_store(settings), Registry(settings.tracking_uri)
