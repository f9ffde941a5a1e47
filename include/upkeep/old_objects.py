"""Deleting what is old from the object store, where nobody else does."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from include.store import ObjectInfo
from include.upkeep.run import Freed, UpkeepRun, left_alone, say

THREADS = 8  # S3 answers a deletion after some milliseconds, and a day may be thousands of objects
EXPIRES = (
    "the bucket's lifecycle rules delete what is old there (CHURN_STORE_EXPIRES says so), and this "
    "task needs no right to"
)


def delete_days(
    run: UpkeepRun, prefix: str, *, before: date, ends: tuple[str, ...] | None = None
) -> Freed:
    """Delete `<prefix>/date=YYYY-MM-DD/…` of the days before one; of them only what `ends` so.

    Where the store's own rules delete, only a key's end is left to do: they go by its beginning.
    """
    what = f"objects below {prefix}/ of days before {before}"
    if run.store_expires and ends is None:
        return left_alone(run, what, EXPIRES)
    found = [
        info
        for info in run.store.list(f"{prefix}/")
        if (day := day_of_key(info.key)) and day < before and info.key.endswith(ends or "")
    ]
    return delete(run, what, found)


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
