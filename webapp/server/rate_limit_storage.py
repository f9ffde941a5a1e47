"""Storage for the rate limit that all workers of a machine share: fixed windows in one small file.

The storages that come with `limits` are either in one process's memory, which would multiply the
limit by the number of workers, or want a server.
"""

import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from limits.storage import Storage

SLOTS = 4096
PROBES = 16  # neighbours that a key may use; the one that ends first makes room for a new key
_SLOT = struct.Struct("<QdQ")  # the key's hash, when its window ends, how many came in it


class SlotStorage(Storage):
    """Counts in a file of fixed size, under a lock that the kernel frees when a worker dies."""

    STORAGE_SCHEME = ["slots"]

    def __init__(self, uri: str, wrap_exceptions: bool = False, **options: str) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        self._path = Path(unquote(urlsplit(uri).path))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, SLOTS * _SLOT.size)
        self._table = mmap.mmap(self._file, SLOTS * _SLOT.size)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What may go wrong here."""
        return OSError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count a request in the key's window, which begins with its first one."""
        now = time.time()
        with self._locked() as table:
            place, ends, count = _find(table, _hash(key))
            if ends <= now:
                ends, count = now + expiry, 0
            _SLOT.pack_into(table, place, _hash(key), ends, count + amount)
        return count + amount

    def get(self, key: str) -> int:
        """How many came in the key's present window."""
        with self._locked() as table:
            _, ends, count = _find(table, _hash(key))
        return count if ends > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the key's present window ends."""
        now = time.time()
        with self._locked() as table:
            _, ends, _ = _find(table, _hash(key))
        return max(ends, now)

    def check(self) -> bool:
        """Whether the file can be used."""
        with self._locked():
            return True

    def reset(self) -> int | None:
        """Forget every count."""
        with self._locked() as table:
            table[:] = bytes(len(table))
        return None

    def clear(self, key: str) -> None:
        """Forget one key's count."""
        with self._locked() as table:
            place, _, _ = _find(table, _hash(key))
            table[place : place + _SLOT.size] = bytes(_SLOT.size)

    @contextmanager
    def _locked(self) -> Iterator[mmap.mmap]:
        """The table, for one thread of one process at a time."""
        with self._lock:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield self._table
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)


def _find(table: mmap.mmap, key: int) -> tuple[int, float, int]:
    """Where a key's slot is, when its window ends, and its count; a free slot if it has none."""
    free, free_ends = 0, float("inf")
    for probe in range(PROBES):
        place = (key + probe) % SLOTS * _SLOT.size
        found, ends, count = _SLOT.unpack_from(table, place)
        if found == key:
            return place, ends, count
        if ends < free_ends:
            free, free_ends = place, ends
    return free, 0.0, 0


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
