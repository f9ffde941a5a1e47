"""What every kind of store gives back, and which keys it takes."""

from dataclasses import dataclass

from include.errors import StoreError

SCRATCH = ".scratch"  # in a local store: unfinished writes and the lock; never listed
KEY_BYTES = 1024  # S3's limit


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


def is_key(key: str) -> bool:
    """Whether the key stays below the store's root, on S3 and as a path."""
    return not (
        any(part in {"", ".", "..", SCRATCH} for part in key.split("/"))
        or "\\" in key
        or "\0" in key
    )


def checked(key: str, *, below: str = "", every_key: bool = False) -> str:
    """The whole key `below` a prefix; StoreError unless a store takes it."""
    if not (every_key or is_key(key)):
        raise StoreError(
            f"an object key is a relative path without empty or dot parts, found {key!r}"
        )
    whole = below + key
    found = len(whole.encode(errors="surrogatepass"))
    if found > KEY_BYTES:
        raise StoreError(
            f"an object key has at most {KEY_BYTES} bytes, found {found}: {whole[:80]!r}…: shorten "
            "it, or the prefix in CHURN_STORE_URI"
        )
    return whole


def check_prefix(prefix: str) -> None:
    """StoreError unless keys may begin so."""
    checked(f"{prefix}x")
