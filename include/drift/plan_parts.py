"""The beginning of a day's run: the champion pinned, the day's log cut into parts.

A part is a span of the objects' keys, which a task that is tried again finds as it was. What it
hands on lies under keys that depend on the part alone, so that it replaces its own work.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
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
    champion, trained_on = _champion(run.store)
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


def _champion(store: Store) -> tuple[PinnedChampion | None, tuple[str, ...]]:
    """The champion and its features; none before the first."""
    found = versions.read_pointer(store)
    if found is None:
        return None, ()
    pointer, manifest = found[0], versions.read_manifest(store, found[0])
    pinned = PinnedChampion(
        pointer.version, pointer.promoted_at, manifest.snapshot_at, manifest.target
    )
    return pinned, manifest.record_columns
