"""Deleting what is old from the object store, where nobody else does."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from include.store import ObjectInfo
from include.upkeep.run import Freed, UpkeepRun, left_alone, say

logger = logging.getLogger(__name__)

THREADS = 8  # S3 answers a deletion after some milliseconds, and a day may be thousands of objects
EXPIRES = (
    "the bucket's lifecycle rules delete what is old there (CHURN_STORE_EXPIRES says so), and this "
    "task needs no right to"
)


def delete_days(run: UpkeepRun, prefix: str, *, before: date) -> Freed:
    """Delete `<prefix>/date=YYYY-MM-DD/…` of the days before one; other names stay."""
    what = f"objects below {prefix}/ of days before {before}"
    if run.store_expires:
        return left_alone(run, what, EXPIRES)

    def old() -> Iterator[ObjectInfo]:
        for info in run.store.list(f"{prefix}/"):
            day = day_of_key(info.key)
            if day is None:
                logger.warning("%s is of no day and is left alone", info.key)
            elif day < before:
                yield info

    return delete(run, what, list(old()))


def delete_named(run: UpkeepRun, prefix: str, *, before: date, is_wanted: "Wanted") -> Freed:
    """Delete of the days before one only what is wanted; the store's own rules cannot tell."""
    what = f"objects below {prefix}/ of days before {before}"
    found = [
        info
        for info in run.store.list(f"{prefix}/")
        if is_wanted(info) and (day := day_of_key(info.key)) and day < before
    ]
    return delete(run, what, found)


Wanted = Callable[[ObjectInfo], bool]


def delete(run: UpkeepRun, what: str, found: Sequence[ObjectInfo]) -> Freed:
    """Delete these objects; who is killed has deleted some, and deletes the rest the next time."""
    if not run.dry_run:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="upkeep") as pool:
            list(pool.map(lambda info: run.store.delete(info.key), found))
    return say(Freed(what, len(found), sum(info.size for info in found), run.dry_run))


def day_of_key(key: str) -> date | None:
    """The day of a key `…/date=YYYY-MM-DD/…`; None for any other."""
    parts = key.split("/")
    if len(parts) < 3 or not parts[1].startswith("date="):
        return None
    try:
        return date.fromisoformat(parts[1].removeprefix("date="))
    except ValueError:
        return None
