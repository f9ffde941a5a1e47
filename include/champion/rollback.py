"""The way back: an earlier version into production again, checked first, recorded for ever."""

import logging
from dataclasses import dataclass
from datetime import datetime

from include.champion import promotion, versions
from include.champion.promotion import Production
from include.champion.registry import Registry
from include.errors import ChampionError, ObjectChanged
from include.store import Store

logger = logging.getLogger(__name__)

ATTEMPTS = 3


@dataclass(frozen=True)
class Rollback:
    """A rollback that somebody asked for: which version, why, and who."""

    version: str
    reason: str
    who: str

    @property
    def recorded(self) -> str:
        """The pointer's reason."""
        return f"moved by {self.who}: {self.reason}"


@dataclass(frozen=True)
class RolledBack:
    """What is in production now; `moved` says whether this run changed it."""

    version: str
    previous: str | None
    moved: bool
    message: str


def check_version(store: Store, registry: Registry, asked: Rollback) -> str:
    """Refuse a version that is not whole, does not answer, or is not in the registry.

    Returns what moving to it would do. Nothing is changed.
    """
    if not asked.reason.strip():
        raise ChampionError("a reason is needed, found none: say why, it is kept for ever")
    promotion.read_whole_version(store, asked.version)
    registry.check_production_version(asked.version)
    production = promotion.read_production(store, registry, mending=True)
    if production.version == asked.version:
        return f"version {asked.version} is whole, and in production already"
    if production.version is None and production.alias is not None:
        return (
            f"version {asked.version} is whole; {versions.POINTER_KEY} is gone or unreadable and "
            f"is written anew (the registry's alias names {production.alias})"
        )
    return f"version {asked.version} is whole; production is at {production.version or 'none'}"


def move_champion(
    store: Store, registry: Registry, asked: Rollback, *, now: datetime
) -> RolledBack:
    """Move pointer and alias to the version; somebody else's move in between is moved back too.

    A pointer that was deleted or torn is written anew.
    """
    for _ in range(ATTEMPTS):
        production = promotion.read_production(store, registry, mending=True)
        if production.version == asked.version:
            return _already(store, registry, production, asked)
        try:
            moved = promotion.put_in_production(
                store,
                registry,
                asked.version,
                production=production,
                who=asked.who,
                reason=asked.recorded,
                now=now,
            )
        except ObjectChanged:
            logger.info("the champion moved meanwhile: reading it again")
            continue
        message = f"champion is {moved.version}, before it was {moved.previous or 'none'}"
        logger.info("%s: %s", message, asked.recorded)
        return RolledBack(moved.version, moved.previous, moved=True, message=message)
    raise ObjectChanged(
        f"the champion pointer moved {ATTEMPTS} times meanwhile: pause churn_training, "
        "then clear this task"
    )


def _already(
    store: Store, registry: Registry, production: Production, asked: Rollback
) -> RolledBack:
    """Nothing to move; an earlier try of this task may have been killed behind the pointer."""
    pointer = production.pointer
    if pointer is not None and pointer.reason == asked.recorded:
        promotion.finish_move(store, registry, production, who=asked.who)
    else:
        promotion.repair_alias(registry, production)
    message = f"version {asked.version} is in production already: nothing was moved"
    logger.info(message)
    previous = pointer.previous if pointer else None
    return RolledBack(asked.version, previous, moved=False, message=message)
