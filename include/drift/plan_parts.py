"""The beginning of a day's run: the champion pinned, the day's log cut into parts.

A part is a span of the objects' keys, which a task that is tried again finds as it was. What it
hands on lies under keys that depend on the part alone, so that it replaces its own work.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, pairwise

from include.champion import versions
from include.drift.guards import PinnedChampion
from include.drift.run import DriftRun
from include.predictions.log import KeySpan, day_objects
from include.store import ObjectInfo, Store

logger = logging.getLogger(__name__)

MEBIBYTE = 2**20
PARTS_MAX = 1000  # Airflow maps at most 1024; beyond, parts grow


@dataclass(frozen=True)
class Part:
    """One of `parts` of a day: all that a mapped task must know."""

    place: int
    parts: int
    span: KeySpan
    champion: PinnedChampion | None
    columns: tuple[str, ...]  # the features of every version whose traffic is to be tested

    @property
    def is_alone(self) -> bool:
        """Whether the part is the whole day."""
        return self.parts == 1


def plan_parts(run: DriftRun) -> list[Part]:
    """Pin the champion and cut the day's objects; a day without any is one empty part.

    The pointer is read here for the whole run: it may have moved before the run ends.
    """
    champion, trained_on = _champion(run.store, run.now)
    objects = list(day_objects(run.store, run.day))
    spans = cut(objects, part_bytes=run.rules.part_mebibytes * MEBIBYTE)
    mebibytes = sum(each.size for each in objects) / MEBIBYTE
    logger.info("%s objects, %.1f MiB, in parts: %s", len(objects), mebibytes, len(spans))
    # Also the features of a champion that was trained under another contract.
    columns = tuple(dict.fromkeys((*run.contract.feature_names, *trained_on)))
    return [Part(place, len(spans), span, champion, columns) for place, span in enumerate(spans)]


def cut(objects: Sequence[ObjectInfo], *, part_bytes: float) -> list[KeySpan]:
    """Spans of about equal bytes and at most PARTS_MAX; together they are all keys, also new ones.

    An object is never cut, so that a part may be larger by one object.
    """
    ends = list(accumulate(each.size for each in objects))
    whole = ends[-1] if ends else 0
    parts = max(1, min(PARTS_MAX, len(objects), -int(-whole // part_bytes)))
    last = {end * parts // (whole + 1): each.key for end, each in zip(ends, objects, strict=True)}
    inner = [last[part] for part in sorted(last)][:-1]
    return [KeySpan(after, upto) for after, upto in pairwise([None, *inner, None])]


def _champion(store: Store, now: datetime) -> tuple[PinnedChampion | None, tuple[str, ...]]:
    """The champion and its features; none before the first."""
    found = versions.read_pointer(store)
    if found is None:
        return None, ()
    pointer, manifest = found[0], versions.read_manifest(store, found[0])
    promoted_at = _promoted_at(store, pointer, now)
    snapshot_at = min(manifest.snapshot_at, promoted_at)  # by a clock that was ahead, too
    pinned = PinnedChampion(pointer.version, promoted_at, snapshot_at, manifest.target)
    return pinned, manifest.record_columns


def _promoted_at(store: Store, pointer: versions.Pointer, now: datetime) -> datetime:
    """When the pointer was moved; where that is still to come, when the store took it.

    Until a moment that a clock ahead has written, every day would be older than the champion.
    """
    if pointer.promoted_at <= now:
        return pointer.promoted_at
    key = versions.POINTER_KEY
    stored = next(each.modified for each in store.list(key) if each.key == key)
    taken = min(datetime.fromtimestamp(stored, UTC), now)
    logger.warning(
        "%s says that version %s was promoted at %s, which is still to come: the clock of the host "
        "that promoted it was ahead, set it right; it counts as promoted at %s",
        *(key, pointer.version, pointer.promoted_at, taken),
    )
    return taken
