"""What the operators of `churn_rollback` call: light to import, heavy only inside a task."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from include.tasks.errors import reported

if TYPE_CHECKING:
    from include.champion.registry import Registry
    from include.champion.rollback import Wish
    from include.store import Store

NOBODY = "unknown"


def check_version(**context: Any) -> str:
    """Refuse a version that cannot serve; nothing is moved."""
    with reported():
        from include.champion import rollback

        return rollback.check_version(*_places(), _wish(context))


def move_champion(**context: Any) -> dict[str, Any]:
    """Put the version back into production."""
    with reported():
        from include.champion import rollback
        from include.handover import now

        return asdict(rollback.move_champion(*_places(), _wish(context), now=now()))


def _wish(context: Mapping[str, Any]) -> "Wish":
    from include.champion.rollback import Wish

    return Wish(
        version=context["params"]["version"],
        reason=context["params"]["reason"],
        who=context["dag_run"].triggering_user_name or NOBODY,
    )


def _places() -> "tuple[Store, Registry]":
    from include.champion.registry import Registry
    from include.settings import load_settings
    from include.tasks import connections

    settings = load_settings()
    return connections.task_store(settings), Registry(settings.tracking_uri)
