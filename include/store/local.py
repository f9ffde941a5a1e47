"""The object store as a directory."""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from include.documents import sha256
from include.errors import (
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    StoreForbidden,
    StoreUnavailable,
)
from include.store.objects import (
    SCRATCH,
    ObjectInfo,
    StoredObject,
    check_prefix,
    checked,
    is_key,
)

logger = logging.getLogger(__name__)

ABANDONED_AFTER_SECONDS = 3600


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
        return StoredObject(data, sha256(data))

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
        if found != sha256(data):
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
        if found != sha256(data):
            raise ObjectChanged(
                f"{key!r} in {self.uri} was changed by somebody else: read it again, then decide"
            )

    def delete(self, key: str) -> None:
        """Remove one object and what it leaves empty; nothing happens when there is none."""
        with self._disk_errors(key):
            path = self._path(key)
            path.unlink(missing_ok=True)
            for directory in path.parents[: key.count("/")]:
                try:
                    directory.rmdir()
                except OSError:  # not there, or there is more in it
                    return

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, in the order of their keys."""
        # Sorting "a/" below "a." as S3 does needs whole keys, so the walk is collected first.
        check_prefix(prefix)
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
                if key.startswith(prefix) and is_key(key):
                    yield key

    def full_key(self, key: str) -> str:
        """The key as a path below the root; StoreError when it cannot be one."""
        return checked(key)

    def _path(self, key: str) -> Path:
        return self.root / self.full_key(key)

    def _etag(self, key: str) -> str | None:
        try:
            return self.read(key).etag
        except ObjectNotFound:
            return None

    def _put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._scratch() / f"tmp{secrets.token_hex(8)}"
        try:
            with draft.open("xb") as file:  # for whom the umask says
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _move(draft, path)
        except BaseException:
            draft.unlink(missing_ok=True)
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


def _move(draft: Path, path: Path) -> None:
    try:
        draft.replace(path)
    except FileNotFoundError:  # whoever deleted the directory's last object took it along
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(path)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
