"""Forgetting one customer: erase, look again until nothing is found, and note that it was done.

Each pass erases what it finds, so that a pass that finds nothing is the proof, and one that is
killed is completed by the next.
"""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from include.erasure import files, runs, tables
from include.erasure.note import Note
from include.erasure.objects import PLACES, Unreadable, without
from include.erasure.older_versions import OlderVersion, older_versions
from include.erasure.person import Person
from include.erasure.unsearched import Unsearched
from include.errors import ConfigurationError, DataError, ObjectChanged, ObjectNotFound
from include.store import ObjectInfo, Store

OLDER = "older versions of objects"
UPLOADS = "uploaded files"
PASSES = 5
THREADS = 8  # a store answers after a while, and Arrow decodes without Python's lock
TRIES = 10  # of an object that others write meanwhile
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Places:
    """Where a customer may be, as far as it is reached from here."""

    engine: sa.Engine
    store: Store
    var_dir: Path
    spool_dir: Path
    spool_seconds: float  # how long answers may wait for the store while it takes them
    airflow_database_url: str = field(default="", repr=False)


@dataclass(frozen=True)
class Forgotten:
    """What was done, and what may bring the customer back."""

    rows: dict[str, int]  # erased, by place; objects of OLDER
    key: str  # of the note
    under_way: frozenset[str] | None  # runs that may write what they read; None: nobody knows
    notes: int  # on others, with the customer's number in them
    unmarked: str | None  # days of the log that do not say under which key they were written


def forget(places: Places, person: Person, *, asked_by: str, now: datetime) -> Forgotten:
    """Erase the customer wherever there is one, and leave a note without a name.

    DataError where something brings the customer back faster than it can be erased.
    """
    if person.is_in(asked_by):
        raise ConfigurationError("who asked is kept, and must not hold the customer's number")
    tables.refuse_views(places.engine, person)
    note = Note(places.store, asked_by, now)
    note.add(Counter())  # whatever comes, it is known that this was asked for
    unsearched, under_way = _erase(places, person, note)
    tables.compact(places.engine)
    unsearched.refuse(person)
    note.finish()
    others = tables.notes_with(places.engine, person)
    return Forgotten(dict(+note.rows), note.key, under_way, others, unsearched.unmarked())


def _erase(places: Places, person: Person, note: Note) -> tuple[Unsearched, frozenset[str] | None]:
    """Erase until nothing is found; what the last pass could not look into, and ran beside it."""
    for _ in range(PASSES):
        under_way = runs.running(places.airflow_database_url)
        unsearched = Unsearched()
        _wait_for_spool(places, person)
        found = _pass(places, person, unsearched)
        if not any(found.values()):
            return unsearched, under_way
        note.add(found)
    raise DataError(
        f"the customer was there again after {PASSES} erasures, in {_named(found)}: a run or a "
        "load is under way; let it end, and forget the customer again"
    )


def _pass(places: Places, person: Person, unsearched: Unsearched) -> Counter[str]:
    """Erase what is found now: the tables first, from which the objects are made."""
    found = Counter(tables.erase_rows(places.engine, person))
    found[UPLOADS] = files.erase_uploads(places.var_dir, person)

    def erase_object(info: ObjectInfo) -> int:
        try:
            return _erase_object(places.store, info.key, person, unsearched)
        except Unreadable:
            unsearched.unreadable.add(info.key)
            return 0

    def erase_version(older: OlderVersion) -> int:
        return _erase_version(older, person, unsearched)

    with ThreadPoolExecutor(THREADS, thread_name_prefix="erasure") as pool:
        for prefix, name in PLACES.items():
            found[name] = sum(pool.map(erase_object, places.store.list(prefix)))
            # Only now: what was replaced just now is one of them.
            found[OLDER] += sum(pool.map(erase_version, older_versions(places.store, prefix)))
    return found


def _erase_version(older: OlderVersion, person: Person, unsearched: Unsearched) -> int:
    """Nothing needs a version that was replaced: one that cannot be read goes, too, uncounted."""
    try:
        data = older.read()
        if without(person, older.key, data) is None:
            unsearched.look_at_key(person, older.key, data)
            return 0
    except Unreadable:
        older.delete()
        return 0
    except ObjectNotFound:  # it expired
        return 0
    older.delete()
    return 1


def _erase_object(store: Store, key: str, person: Person, unsearched: Unsearched) -> int:
    """Put the object without the customer in its place, whoever writes it meanwhile."""
    for _ in range(TRIES):
        try:
            read = store.read(key)
            left = without(person, key, read.data)
            if left is None:
                unsearched.look_at_key(person, key, read.data)
                return 0
            store.replace(key, left.data, etag=read.etag)
        except ObjectNotFound:  # it expired
            return 0
        except ObjectChanged:
            continue
        return left.rows
    raise DataError(f"{key} was written by others {TRIES} times: forget the customer again")


def _wait_for_spool(places: Places, person: Person) -> None:
    """A segment that is shipped after the log was searched would bring the customer back."""
    deadline = time.monotonic() + places.spool_seconds
    while files.unshipped(places.spool_dir, person):
        if time.monotonic() > deadline:
            raise DataError(
                f"answers about the customer wait in {places.spool_dir} for the store: start the "
                "API, which ships them, and forget the customer again"
            )
        time.sleep(LOOK_SECONDS)


def _named(found: Counter[str]) -> str:
    return ", ".join(name for name, rows in found.items() if rows)
