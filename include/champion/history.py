"""The champion's history: one object for each move of the pointer, written once, behind the move.

The pointer is the truth, and its move is not undone where the object cannot follow: an object is
told by the pointer itself, so whoever moves it next writes what a kill left out.
"""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Self

from pydantic import AwareDatetime, ConfigDict, Field

from include.champion.versions import VERSION_PATTERN, ChampionDocument, Pointer, version_order
from include.documents import parse_document
from include.errors import ChurnError, ObjectExists
from include.store import Store

logger = logging.getLogger(__name__)

HISTORY_PREFIX = "champion/history"
UNKNOWN = "unknown"
TRAINING_RUN = "training run "  # what the name of who begins with where the gate decided alone


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
        """Where the move is kept, by its moment in UTC: keys sort as moments do."""
        return f"{HISTORY_PREFIX}/{self.moved_at.astimezone(UTC):%Y-%m-%dT%H-%M-%S.%fZ}.json"

    @property
    def told(self) -> str:
        """Who and why, where the reason does not name the person already."""
        return self.why if self.who in self.why else f"{self.who}: {self.why}"

    @property
    def is_by_training(self) -> bool:
        """Whether the gate decided alone."""
        return self.who.startswith(TRAINING_RUN)

    @property
    def is_back(self) -> bool:
        """Whether it went to an earlier version."""
        return self.before is not None and version_order(self.to) < version_order(self.before)


@dataclass(frozen=True)
class Term:
    """A version's time in production, from the move that brought it."""

    move: Move
    until: datetime | None  # none: it serves
    is_exact: bool = True  # if not, a move in between is not recorded: it ended by then


@dataclass(frozen=True)
class History:
    """The latest moves of the pointer, the oldest first; `earlier` are recorded before them."""

    moves: tuple[Move, ...] = ()
    earlier: int = 0

    @property
    def terms(self) -> list[Term]:
        """Which version served when, the oldest first."""
        ended = [_term(move, following) for move, following in pairwise(self.moves)]
        return [*ended, *(Term(move, None) for move in self.moves[-1:])]

    def described(self) -> Iterator[str]:
        """A line for each move, the latest last."""
        if self.earlier:
            yield f"({self.earlier:,} earlier)"
        for move in self.moves:
            moment = f"{move.moved_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
            yield f"{moment}  {move.before or '–':>4} → {move.to:<4}  {move.told}"


class HistoryReader:
    """Reads the latest moves, and each of them once in this process: none ever changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._found: dict[str, Move] = {}

    def latest(self, limit: int, *, pointer: Pointer | None) -> History:
        """At most `limit` moves; the pointer's own, where its object is missing, is told by it.

        An object that cannot be read is left out, and said in the log.
        """
        keys = [each.key for each in self._store.list(f"{HISTORY_PREFIX}/")]
        with self._lock:
            found = {key: self._found.get(key) or self._read(key) for key in keys[-limit:]}
            self._found = {key: move for key, move in found.items() if move}
            moves = list(self._found.values())
        recorded = len(keys)
        present = Move.of(pointer, who=UNKNOWN) if pointer else None
        if present and present.key not in keys:
            moves, recorded = sorted([*moves, present], key=lambda each: each.key), recorded + 1
        return History(tuple(moves[-limit:]), earlier=max(recorded - limit, 0))

    def _read(self, key: str) -> Move | None:
        try:
            return parse_document(Move, self._store.read(key).data, key, any_release=True)
        except ChurnError:
            logger.warning("a move of the pointer cannot be read: %s", key, exc_info=True)
            return None


def record_move(store: Store, pointer: Pointer, *, who: str) -> None:
    """Write the move that left the pointer as it is, once: who wrote it first, knew best."""
    move = Move.of(pointer, who=who)
    try:
        store.create(move.key, move.to_bytes())
    except ObjectExists:
        logger.debug("%s is written already", move.key)


def _term(move: Move, following: Move) -> Term:
    again = following.before is None and following.to == move.to  # a lost pointer, put back
    return Term(move, following.moved_at, is_exact=again or following.before == move.to)
