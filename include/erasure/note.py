"""What is kept of forgetting somebody: that it was done, or is not finished; it names nobody."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import AwareDatetime, Field

from include.documents import Document, parse_document
from include.store import Store

PREFIX = "erasures"
UNFINISHED = "-unfinished.json"


class Erasure(Document):
    """`erasures/<moment>.json`: that somebody was forgotten, not who; never rewritten.

    `erasures/<moment>-unfinished.json` is one that is under way, was killed, or could not end.
    """

    erased_at: AwareDatetime
    asked_by: str
    rows: dict[str, int] = Field(description="what was erased, by place")


@dataclass
class Note:
    """Of one call: unfinished from its first to its last moment."""

    store: Store
    asked_by: str
    begun_at: datetime
    rows: Counter[str] = field(default_factory=Counter)

    @property
    def key(self) -> str:
        """Where it is once all is done."""
        return f"{PREFIX}/{self.begun_at.astimezone(UTC):%Y-%m-%dT%H-%M-%S.%fZ}.json"

    def add(self, found: Counter[str]) -> None:
        """Keep what was erased so far; nothing, as the call begins."""
        self.rows.update(found)
        self.store.write(self.key.removesuffix(".json") + UNFINISHED, self._bytes(self.rows))

    def finish(self) -> None:
        """Take the place of all unfinished ones that the same has asked for, this one included."""
        replaced = dict(self._unfinished())
        rows = sum((Counter(each.rows) for each in replaced.values()), Counter[str]())
        self.store.create(self.key, self._bytes(rows))
        for key in replaced:
            self.store.delete(key)

    def _unfinished(self) -> Iterator[tuple[str, Erasure]]:
        for info in self.store.list(f"{PREFIX}/"):
            if info.key.endswith(UNFINISHED):
                found = parse_document(Erasure, self.store.read(info.key).data, info.key)
                if found.asked_by == self.asked_by:
                    yield info.key, found

    def _bytes(self, rows: Counter[str]) -> bytes:
        erased = {name: count for name, count in rows.items() if count}
        return Erasure(erased_at=self.begun_at, asked_by=self.asked_by, rows=erased).to_bytes()
