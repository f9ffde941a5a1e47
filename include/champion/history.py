"""The champion's history: one object for each move of the pointer, written once, behind the move.

The pointer is the truth, and its move is not undone where the object cannot follow: an object is
told by the pointer itself, so whoever moves it next writes what a kill left out.
"""

import logging
from datetime import UTC, datetime
from typing import Self

from pydantic import AwareDatetime, ConfigDict, Field

from include.champion.versions import VERSION_PATTERN, ChampionDocument, Pointer
from include.errors import ObjectExists
from include.store import Store

logger = logging.getLogger(__name__)

HISTORY_PREFIX = "champion/history"
UNKNOWN = "unknown"


class Move(ChampionDocument):
    """`champion/history/<moment>.json`: one move of the pointer."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    moved_at: AwareDatetime
    before: str | None = Field(alias="from", description="the version before; none if not known")
    to: str = Field(pattern=VERSION_PATTERN, description="the version put into production")
    who: str = Field(description="the person or the training run, or unknown")
    why: str = Field(description="the pointer's reason")

    @classmethod
    def of(cls, pointer: Pointer, *, who: str) -> Self:
        """The move that left the pointer as it is."""
        return cls(
            moved_at=pointer.promoted_at,
            before=pointer.previous,
            to=pointer.version,
            who=who,
            why=pointer.reason,
        )

    @property
    def key(self) -> str:
        """Where the move is kept: keys sort as moments do."""
        return move_key(self.moved_at)


def move_key(moment: datetime) -> str:
    """Where a move of that moment is kept, to the microsecond, in UTC."""
    return f"{HISTORY_PREFIX}/{moment.astimezone(UTC):%Y-%m-%dT%H-%M-%S.%fZ}.json"


def record_move(store: Store, pointer: Pointer, *, who: str) -> None:
    """Write the move that left the pointer as it is, once: who wrote it first, knew best."""
    move = Move.of(pointer, who=who)
    try:
        store.create(move.key, move.to_bytes())
    except ObjectExists:
        logger.info("%s is written already", move.key)
