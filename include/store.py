"""The object store: a directory (`file:///dir`) or S3 (`s3://bucket/prefix`), under the same verbs.

Both kinds promise the same. A reader sees a whole object or none. `create` writes a key once.
`replace` is compare-and-swap on the etag that the caller read. Repeating either with the same bytes
succeeds, because a client that retries after a lost answer must not be told that it lost to itself.
"""

import fcntl
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

from include.errors import (
    ConfigurationError,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    StoreError,
    StoreForbidden,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

SCRATCH = ".scratch"  # in a local store: unfinished writes and the lock; never listed
ABANDONED_AFTER_SECONDS = 3600
CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 20
ATTEMPTS = 5


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


def open_store(uri: str, *, client: "S3Client | None" = None) -> "Store":
    """Open `file:///dir` or `s3://bucket[/prefix]`; `client` replaces the default S3 client."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return LocalStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(client or s3_client(), parts.netloc, parts.path.strip("/"))
    raise ConfigurationError(
        "CHURN_STORE_URI must look like file:///absolute/directory or s3://bucket/prefix, "
        f"found {uri!r}"
    )


class LocalStore:
    """Objects as files below one directory; safe for many processes of one machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = root.as_uri()

    def read(self, key: str) -> StoredObject:
        """Read one object; ObjectNotFound when there is none."""
        try:
            data = self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ObjectNotFound(f"no object {key!r} in {self.uri}") from error
        except PermissionError as error:
            raise StoreForbidden(
                f"may not read {self._path(key)}: check its owner and mode"
            ) from error
        except OSError as error:
            raise StoreUnavailable(f"could not read {self._path(key)}: {error.strerror}") from error
        return StoredObject(data, _digest(data))

    def read_if_changed(self, key: str, etag: str | None) -> StoredObject | None:
        """Read one object unless it is still the one named by `etag`."""
        found = self.read(key)
        return None if found.etag == etag else found

    def write(self, key: str, data: bytes) -> None:
        """Write one object, replacing what was there."""
        with self._disk_errors(key):
            self._put(key, data)

    def create(self, key: str, data: bytes) -> None:
        """Write a key for the first and only time; ObjectExists when it holds other bytes."""
        with self._disk_errors(key), self._lock():
            found = self._etag(key)
            if found is None:
                self._put(key, data)
                return
        if found != _digest(data):
            raise ObjectExists(
                f"{key!r} in {self.uri} is written once and holds other bytes already"
            )

    def replace(self, key: str, data: bytes, *, etag: str | None) -> None:
        """Write only if the key still holds `etag` (None: nothing), else ObjectChanged."""
        with self._disk_errors(key), self._lock():
            found = self._etag(key)
            if found == etag:
                self._put(key, data)
                return
        if found != _digest(data):
            raise ObjectChanged(
                f"{key!r} in {self.uri} was changed by somebody else: read it again, then decide"
            )

    def delete(self, key: str) -> None:
        """Remove one object; nothing happens when there is none."""
        with self._disk_errors(key):
            self._path(key).unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, in the order of their keys."""
        # Sorting "a/" below "a." as S3 does needs whole keys, so the walk is collected first.
        _checked_prefix(prefix)
        keys = sorted(self._keys(prefix))
        for key in keys:
            try:
                stat = self._path(key).stat()
            except FileNotFoundError:
                continue
            yield ObjectInfo(key, stat.st_size, stat.st_mtime)

    def _keys(self, prefix: str) -> Iterator[str]:
        top = self.root / prefix.rpartition("/")[0]
        for directory, names, files in os.walk(top):
            if SCRATCH in names:
                names.remove(SCRATCH)
            for name in files:
                key = Path(directory, name).relative_to(self.root).as_posix()
                if key.startswith(prefix):
                    yield key

    def _path(self, key: str) -> Path:
        return self.root / _checked(key)

    def _etag(self, key: str) -> str | None:
        try:
            return self.read(key).etag
        except ObjectNotFound:
            return None

    def _put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._scratch()
        handle, name = tempfile.mkstemp(dir=scratch)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)

    def _scratch(self) -> Path:
        scratch = self.root / SCRATCH
        scratch.mkdir(parents=True, exist_ok=True)
        # What a killed process left behind is swept by the next writer.
        for left in scratch.glob("tmp*"):
            try:
                if time.time() - left.stat().st_mtime > ABANDONED_AFTER_SECONDS:
                    left.unlink()
            except FileNotFoundError:
                continue
        return scratch

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self._scratch() / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _disk_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise StoreForbidden(
                f"may not write {self.root / key}: check the owner and mode of {self.root}"
            ) from error
        except OSError as error:
            raise StoreUnavailable(
                f"could not write {self.root / key}: {error.strerror}"
            ) from error


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
        _checked_prefix(prefix)
        with self._errors(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix
            )
            for page in pages:
                for row in page.get("Contents", []):
                    key = row["Key"].removeprefix(self.prefix)
                    yield ObjectInfo(key, row["Size"], row["LastModified"].timestamp())

    def _full(self, key: str) -> str:
        return self.prefix + _checked(key)

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


Store: TypeAlias = LocalStore | S3Store


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


def _checked(key: str) -> str:
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


def _checked_prefix(prefix: str) -> None:
    _checked(f"{prefix}x")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
