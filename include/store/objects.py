"""What every kind of store gives back, and which keys it takes."""

from dataclasses import dataclass

from include.errors import StoreError

SCRATCH = ".scratch"  # in a local store: unfinished writes and the lock; never listed


@dataclass(frozen=True)
class StoredObject:
    """One object as it was read; `etag` names exactly these bytes."""

    data: bytes
    etag: str


@dataclass(frozen=True)
class ObjectInfo:
    """One row of a listing; `modified` in seconds since the epoch."""

    key: str
    size: int
    modified: float


def checked(key: str) -> str:
    """The key; StoreError unless it stays below the store's root."""
    parts = key.split("/")
    if (
        not key
        or any(part in {"", ".", "..", SCRATCH} for part in parts)
        or "\\" in key
        or "\0" in key
    ):
        raise StoreError(
            f"an object key is a relative path without empty or dot parts, found {key!r}"
        )
    return key


def check_prefix(prefix: str) -> None:
    """StoreError unless keys may begin so."""
    checked(f"{prefix}x")
