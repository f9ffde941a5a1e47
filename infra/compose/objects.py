"""The whole object store as one tar, in and out: runs in a container of the stack.

python -m infra.compose.objects pack > store.tar
python -m infra.compose.objects check | unpack < store.tar
python -m infra.compose.objects count | champions | clear

It takes every object below CHURN_STORE_URI, whatever its name; what consoles and tools draw as a
folder (no bytes, a name that ends in /) is no object.
"""

import io
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from include.champion.versions import POINTER_KEY
from include.errors import ChurnError, ObjectNotFound, StoreError
from include.settings import load_settings
from include.store import Store, open_store

BLOCK_BYTES = 2**20


def pack(store: Store) -> None:
    """Every object to standard output, its key as the name."""
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for each in store.list(""):
            try:
                data = store.read(each.key).data
            except ObjectNotFound:  # it expired since it was listed
                continue
            entry = tarfile.TarInfo(each.key)
            entry.size, entry.mtime = len(data), int(each.modified)
            archive.addfile(entry, io.BytesIO(data))


def check(store: Store) -> None:
    """Read the tar on standard input to its end; StoreError unless the store takes every object.

    Prints how many bytes they have. Nothing is written.
    """
    size = 0
    with _archive() as archive:
        for entry in archive:
            store.full_key(entry.name)
            content = archive.extractfile(entry)
            while content is not None and content.read(BLOCK_BYTES):
                pass
            size += entry.size
    sys.stdout.write(f"{size}\n")


def unpack(store: Store) -> None:
    """Every object of the tar on standard input into the store, the champion pointer last."""
    pointer = None
    with _archive() as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            if content is None:
                continue
            if entry.name == POINTER_KEY:
                pointer = content.read()
            else:
                store.write(entry.name, content.read())
    if pointer is not None:
        store.write(POINTER_KEY, pointer)


def count(store: Store) -> None:
    """How many objects there are."""
    sys.stdout.write(f"{sum(1 for _ in store.list(''))}\n")


def champions(store: Store) -> None:
    """A line for each object of every champion and for the pointer: it changes when they do."""
    for each in sorted(store.list("champion/"), key=lambda found: found.key):
        sys.stdout.write(f"{each.key} {each.size} {each.modified}\n")


def clear(store: Store) -> None:
    """Remove every object, the champion pointer first."""
    store.delete(POINTER_KEY)
    for each in list(store.list("")):
        store.delete(each.key)


@contextmanager
def _archive() -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise StoreError(f"standard input is no whole tar of a store: {error}") from error


COMMANDS: dict[str, Callable[[Store], None]] = {
    each.__name__: each for each in (pack, check, unpack, count, champions, clear)
}


def main() -> int:
    """The command line; 1 and one message when the store does not do it."""
    try:
        COMMANDS[sys.argv[1]](open_store(load_settings().resolved_store_uri, every_key=True))
    except ChurnError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
