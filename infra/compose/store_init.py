"""Before anything uses the object store: it answers, it has the bucket, it writes on a condition.

The champion pointer moves by compare-and-swap. A server that ignores If-Match or If-None-Match
would lose a champion some day, so it is refused at the start.
"""

import logging
import sys
import time
import uuid

from include.errors import ChurnError, ObjectChanged, StoreError, StoreUnavailable
from include.settings import load_settings
from include.store import S3Store, Store, open_store

logger = logging.getLogger("store-init")

WAIT_SECONDS = 180
PAUSE_SECONDS = 2


def main() -> int:
    """The command line; 1 and one message when the store cannot be used."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stdout)
    try:
        store = open_store(load_settings().resolved_store_uri)
        if isinstance(store, S3Store):
            make_bucket(store)
        check_conditions(store)
    except ChurnError as error:
        logger.error("%s", error)
        return 1
    logger.info("%s is ready: it writes on a condition", store.uri)
    return 0


def make_bucket(store: S3Store, *, wait_seconds: float = WAIT_SECONDS) -> None:
    """Make the bucket unless it is there, waiting for a server that is still starting."""
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            if not store.has_bucket():
                store.make_bucket()
                logger.info("made the bucket %s", store.bucket)
            return
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def check_conditions(store: Store) -> None:
    """StoreError unless a write with a condition that does not hold is refused."""
    key = f"probe/{uuid.uuid4().hex}"
    store.replace(key, b"first", etag=None)
    try:
        first = store.read(key).etag
        _expect_refusal(store, key, b"second", None, "If-None-Match: *")
        store.replace(key, b"third", etag=first)
        _expect_refusal(store, key, b"fourth", first, "If-Match")
    finally:
        store.delete(key)


def _expect_refusal(store: Store, key: str, data: bytes, etag: str | None, header: str) -> None:
    try:
        store.replace(key, data, etag=etag)
    except ObjectChanged:
        return
    raise StoreError(
        f"{store.uri} ignores {header} on a write, and the champion pointer needs it: use S3, or "
        "a server that supports it"
    )


if __name__ == "__main__":
    sys.exit(main())
