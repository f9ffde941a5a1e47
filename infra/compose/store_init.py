"""Before anything uses the object store: it answers, it has the bucket, it writes on a condition.

The champion pointer moves by compare-and-swap. A server that ignores If-Match or If-None-Match
would lose a champion some day, so it is refused at the start.
"""

import logging
import sys
import time
import uuid
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

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
            _make_bucket(store)
            return
        except (ClientError, BotoCoreError) as error:
            passing = not isinstance(error, ClientError) or _status(error) >= 500
            if not passing or time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"the bucket {store.bucket!r} can be neither used nor made: {error}. Check "
                    "CHURN_STORE_URI, AWS_ENDPOINT_URL and the credentials"
                ) from error
        time.sleep(PAUSE_SECONDS)


def _make_bucket(store: S3Store) -> None:
    try:
        store.client.head_bucket(Bucket=store.bucket)
        return
    except ClientError as error:
        if _status(error) != 404:
            raise
    region = store.client.meta.region_name
    # The one region that must not be named.
    where: Any = {} if region == "us-east-1" else {"LocationConstraint": region}
    options: Any = {"CreateBucketConfiguration": where} if where else {}
    store.client.create_bucket(Bucket=store.bucket, **options)
    logger.info("made the bucket %s", store.bucket)
    _let_runs_expire(store)


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _let_runs_expire(store: S3Store) -> None:
    """What tasks hand to each other is of no use later; in a bucket of ours alone."""
    rule = {
        "ID": "churn-runs",
        "Status": "Enabled",
        "Filter": {"Prefix": f"{store.prefix}{RUNS_PREFIX}/"},
        "Expiration": {"Days": RUNS_DAYS},
    }
    try:
        store.client.put_bucket_lifecycle_configuration(
            Bucket=store.bucket, LifecycleConfiguration={"Rules": [rule]}
        )
    except (ClientError, BotoCoreError) as error:
        logger.warning("what is below %s/ stays for ever: %s", RUNS_PREFIX, error)


def check_conditions(store: Store) -> None:
    """StoreError unless a write with a condition that does not hold is refused."""
    key = f"probe/{uuid.uuid4().hex}"
    try:
        store.replace(key, b"first", etag=None)
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
