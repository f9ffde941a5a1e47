"""Before anything uses the object store: it answers, it has the bucket, it writes on a condition.

The champion pointer moves by compare-and-swap. A server that ignores If-Match or If-None-Match
would lose a champion some day, so it is refused at the start.
"""

import logging
import sys
import time
import uuid

from include.errors import ChurnError, ObjectChanged, StoreError, StoreUnavailable
from include.handover import RUNS_PREFIX
from include.settings import load_settings
from include.store import S3Store, Store, open_store

logger = logging.getLogger("store-init")

WAIT_SECONDS = 180
PAUSE_SECONDS = 2
RUNS_DAYS = 30  # long enough to clear a task and to read why a gate refused


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
                _let_runs_expire(store)
            return
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def _let_runs_expire(store: S3Store) -> None:
    """What tasks hand to each other is of no use later; in a bucket of ours alone."""
    rule = {
        "ID": "churn-runs",
        "Status": "Enabled",
        "Filter": {"Prefix": f"{store.prefix}{RUNS_PREFIX}/"},
        "Expiration": {"Days": RUNS_DAYS},
    }
    try:
        with store.explained():
            store.client.put_bucket_lifecycle_configuration(
                Bucket=store.bucket, LifecycleConfiguration={"Rules": [rule]}
            )
    except StoreError as error:
        logger.warning("what is below %s/ stays for ever: %s", RUNS_PREFIX, error)


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
