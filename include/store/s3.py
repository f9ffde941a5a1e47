"""The object store as a bucket of S3 or of a server that speaks it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from include.errors import (
    ConfigurationError,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    StoreError,
    StoreForbidden,
    StoreUnavailable,
)
from include.store.objects import ObjectInfo, StoredObject, check_prefix, checked

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 20
ATTEMPTS = 5


class S3Store:
    """Objects in one bucket, below an optional prefix."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str = "") -> None:
        self.client = client
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")

    def read(self, key: str) -> StoredObject:
        """Read one object; ObjectNotFound when there is none."""
        with self._errors(key):
            answer = self.client.get_object(Bucket=self.bucket, Key=self._full(key))
            return StoredObject(answer["Body"].read(), answer["ETag"])

    def read_if_changed(self, key: str, etag: str | None) -> StoredObject | None:
        """Read one object unless it is still the one named by `etag` (a conditional GET)."""
        from botocore.exceptions import ClientError

        condition: Any = {"IfNoneMatch": etag} if etag else {}
        with self._errors(key):
            try:
                answer = self.client.get_object(
                    Bucket=self.bucket, Key=self._full(key), **condition
                )
            except ClientError as error:
                if _status(error) == 304:
                    return None
                raise
            return StoredObject(answer["Body"].read(), answer["ETag"])

    def write(self, key: str, data: bytes) -> None:
        """Write one object, replacing what was there."""
        self._put(key, data)

    def create(self, key: str, data: bytes) -> None:
        """Write a key for the first and only time; ObjectExists when it holds other bytes."""
        try:
            self._put(key, data, IfNoneMatch="*")
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
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        try:
            self._put(key, data, **condition)
        except (ObjectChanged, ObjectNotFound) as error:
            if self._data(key) != data:
                raise ObjectChanged(
                    f"{key!r} in {self.uri} was changed by somebody else: read it again, "
                    "then decide"
                ) from error

    def delete(self, key: str) -> None:
        """Remove one object; nothing happens when there is none."""
        with self._errors(key):
            self.client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, in the order of their keys, page by page."""
        check_prefix(prefix)
        with self._errors(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix
            )
            for page in pages:
                for row in page.get("Contents", []):
                    key = row["Key"].removeprefix(self.prefix)
                    yield ObjectInfo(key, row["Size"], row["LastModified"].timestamp())

    def _full(self, key: str) -> str:
        return self.prefix + checked(key)

    def _data(self, key: str) -> bytes | None:
        try:
            return self.read(key).data
        except ObjectNotFound:
            return None

    def _put(self, key: str, data: bytes, **condition: Any) -> None:
        with self._errors(key):
            self.client.put_object(Bucket=self.bucket, Key=self._full(key), Body=data, **condition)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            yield
        except ClientError as error:
            raise self._translated(error, key) from error
        except NoCredentialsError as error:
            raise StoreForbidden(
                f"no credentials for {self.uri}: set the AWS variables, a role, or in Airflow the "
                "connection aws_default"
            ) from error
        except BotoCoreError as error:
            raise StoreUnavailable(
                f"no answer from {self.uri} for {key!r} after {ATTEMPTS} attempts ({error}): "
                "check AWS_ENDPOINT_URL, the credentials and the network"
            ) from error

    def _translated(self, error: Any, key: str) -> StoreError:
        code, status = error.response.get("Error", {}).get("Code", ""), _status(error)
        if code == "NoSuchBucket":
            return StoreError(
                f"bucket {self.bucket!r} does not exist: create it, or correct CHURN_STORE_URI"
            )
        if code in {"NoSuchKey", "404"} or status == 404:
            return ObjectNotFound(f"no object {key!r} in {self.uri}")
        # 409 is S3's answer to two conditional writes that meet.
        if code in {"PreconditionFailed", "ConditionalRequestConflict"} or status == 412:
            return ObjectChanged(f"{key!r} in {self.uri} is not what the writer expected")
        if status in {401, 403}:
            return StoreForbidden(
                f"{self.uri} refuses these credentials for {key!r} ({code}): check role and policy"
            )
        if status >= 500 or code in {"SlowDown", "Throttling", "RequestTimeout"}:
            return StoreUnavailable(
                f"{self.uri} answered {status} {code} for {key!r} {ATTEMPTS} times: try later"
            )
        return StoreError(f"{self.uri} refused {key!r}: {status} {code}")


def s3_config() -> Any:
    """Time-outs and retries with back-off for every S3 client of the system (a botocore Config)."""
    from botocore.config import Config

    return Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        # The default adds a trailing checksum that several S3-compatible servers do not accept.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def s3_client() -> "S3Client":
    """An S3 client from the usual AWS variables, files and roles."""
    import boto3

    try:
        return boto3.client("s3", config=s3_config())
    except ValueError as error:
        raise ConfigurationError(
            f"AWS_ENDPOINT_URL must be a URL such as http://127.0.0.1:9000: {error}"
        ) from error


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
