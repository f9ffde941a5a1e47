"""The object store as a bucket of S3 or of a server that speaks it."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from include.errors import ObjectChanged, ObjectExists, ObjectNotFound, StoreError, StoreUnavailable
from include.store.objects import ObjectInfo, StoredObject, check_prefix, checked, is_key

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 20
ATTEMPTS = 5


class S3Store:
    """Objects in one bucket, below an optional prefix.

    `every_key` is for a backup: also what others put there under names that the system never gives.
    """

    def __init__(
        self, client: "S3Client", bucket: str, prefix: str = "", *, every_key: bool = False
    ) -> None:
        self.client = client
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._every_key = every_key
        client.meta.events.register("needs-retry.s3.HeadBucket", _redirect_once)

    def read(self, key: str) -> StoredObject:
        """Read one object; ObjectNotFound when there is none."""
        with self.explained(key):
            return self._get(key)

    def read_if_changed(self, key: str, etag: str | None) -> StoredObject | None:
        """Read one object unless it is still the one named by `etag` (a conditional GET)."""
        from botocore.exceptions import ClientError

        condition: Any = {"IfNoneMatch": etag} if etag else {}
        with self.explained(key):
            try:
                return self._get(key, **condition)
            except ClientError as error:
                if error.response["ResponseMetadata"].get("HTTPStatusCode") == 304:
                    return None
                raise

    def write(self, key: str, data: bytes) -> None:
        """Write one object, replacing what was there."""
        with self.explained(key):
            self.client.put_object(Bucket=self.bucket, Key=self.full_key(key), Body=data)

    def create(self, key: str, data: bytes) -> None:
        """Write a key for the first and only time; ObjectExists when it holds other bytes."""
        try:
            self._put_if(key, data, etag=None)
        except ObjectChanged as error:
            found = self._data(key)
            if found is None:
                raise StoreUnavailable(
                    f"another writer of {key!r} in {self.uri} was in the way and is gone: try again"
                ) from error
            if found != data:
                raise ObjectExists(
                    f"{key!r} in {self.uri} is written once and holds other bytes already"
                ) from error

    def replace(self, key: str, data: bytes, *, etag: str | None) -> None:
        """Write only if the key still holds `etag` (None: nothing), else ObjectChanged."""
        try:
            self._put_if(key, data, etag=etag)
        except (ObjectChanged, ObjectNotFound) as error:
            if self._data(key) != data:
                raise ObjectChanged(
                    f"{key!r} in {self.uri} was changed by somebody else: read it again, "
                    "then decide"
                ) from error

    def delete(self, key: str) -> None:
        """Remove one object; nothing happens when there is none."""
        with self.explained(key):
            self.client.delete_object(Bucket=self.bucket, Key=self.full_key(key))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, in the order of their keys, page by page."""
        check_prefix(prefix)
        with self.explained(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix
            )
            for page in pages:
                self._check_answer(page, "IsTruncated")
                for row in page.get("Contents", []):
                    key = row["Key"].removeprefix(self.prefix)
                    if self._is_object(key, row["Size"]):
                        yield ObjectInfo(key, row["Size"], row["LastModified"].timestamp())

    def has_bucket(self) -> bool:
        """Whether the bucket is there; asked by a listing, for a refused HEAD does not say why."""
        from botocore.exceptions import ClientError

        with self.explained():
            try:
                self.client.list_objects_v2(Bucket=self.bucket, MaxKeys=1)
            except ClientError as error:
                if error.response["Error"].get("Code") == "NoSuchBucket":
                    return False
                raise
        return True

    def make_bucket(self) -> None:
        """Make the bucket, in the client's region."""
        region = self.client.meta.region_name
        # The one region that must not be named.
        where: Any = {} if region == "us-east-1" else {"LocationConstraint": region}
        options: Any = {"CreateBucketConfiguration": where} if where else {}
        with self.explained():
            self.client.create_bucket(Bucket=self.bucket, **options)

    def explained(
        self, key: str = "", *, condition: str | None = None
    ) -> AbstractContextManager[None]:
        """One error of ours, in words, for whatever a request for the key raises."""
        from include.store.s3_errors import Asked, explained

        return explained(Asked(self.uri, key, condition))

    def full_key(self, key: str) -> str:
        """The key in the bucket; StoreError when it cannot be one."""
        return checked(key, below=self.prefix, every_key=self._every_key)

    def _is_object(self, key: str, size: int) -> bool:
        """Whether it is one of the store's objects, and no folder that a console or a tool drew."""
        if not key or (key.endswith("/") and size == 0):
            return False
        return self._every_key or is_key(key)

    def _get(self, key: str, **condition: Any) -> StoredObject:
        answer = self.client.get_object(Bucket=self.bucket, Key=self.full_key(key), **condition)
        self._check_answer(answer, "ETag")
        return StoredObject(answer["Body"].read(), answer["ETag"])

    def _check_answer(self, answer: Any, promised: str) -> None:
        """Botocore makes an empty answer of what a web server or a proxy says."""
        if promised not in answer:
            raise StoreError(
                f"{self.uri} answered without {promised}, as no S3 does: does AWS_ENDPOINT_URL "
                "name the port of an S3-compatible server?"
            )

    def _data(self, key: str) -> bytes | None:
        try:
            return self.read(key).data
        except ObjectNotFound:
            return None

    def _put_if(self, key: str, data: bytes, *, etag: str | None) -> None:
        condition: Any = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        with self.explained(key, condition="If-Match" if etag else "If-None-Match: *"):
            self.client.put_object(
                Bucket=self.bucket, Key=self.full_key(key), Body=data, **condition
            )


def s3_config(
    *,
    connect_timeout: float = CONNECT_TIMEOUT_SECONDS,
    read_timeout: float = READ_TIMEOUT_SECONDS,
    attempts: int = ATTEMPTS,
) -> "Config":
    """Time-outs in seconds, and retries with back-off, for every S3 client of the system."""
    from botocore.config import Config

    return Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        # The default adds a trailing checksum that several S3-compatible servers do not accept.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def s3_client(config: "Config | None" = None) -> "S3Client":
    """An S3 client from the usual AWS variables, files and roles."""
    import boto3

    from include.store.s3_errors import making_a_client

    with making_a_client():
        return boto3.client("s3", config=config or s3_config())


def _redirect_once(request_dict: dict[str, Any], **_: Any) -> None:
    """Botocore asks where a bucket is, and then of the answer to that again: without an end."""
    request_dict["context"].setdefault("s3_redirect", {})["redirected"] = True
