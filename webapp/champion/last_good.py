"""The last good champion on local disk, so that a restart while the store is away serves too."""

import fcntl
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from include.champion.versions import (
    POINTER_KEY,
    VERSIONS_PREFIX,
    Manifest,
    Pointer,
    read_files,
    read_manifest,
    read_pointer,
    version_key,
)
from include.errors import ChampionError, ObjectNotFound, StoreError
from include.store import LocalStore
from webapp.champion.served_champion import SERVING_FILES

logger = logging.getLogger(__name__)


class LastGood:
    """A small store of its own, under the same keys; several workers may write it at once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._store = LocalStore(directory)

    def read(self) -> tuple[Pointer, Manifest, dict[str, bytes]]:
        """The copy, checked like the original; ObjectNotFound when there is none."""
        with self._locked():
            found = read_pointer(self._store)
            if found is None:
                raise ObjectNotFound(f"no local copy of a champion in {self._directory}")
            manifest = read_manifest(self._store, found[0])
            return found[0], manifest, read_files(self._store, manifest, SERVING_FILES)

    def keep(self, pointer: Pointer, manifest: bytes, files: Mapping[str, bytes]) -> None:
        """Replace the copy; a disk that refuses costs the copy, never the champion."""
        try:
            with self._locked():
                self._write(pointer, manifest, files)
        except (StoreError, OSError) as error:
            logger.warning("could not keep a local copy of version %s: %s", pointer.version, error)

    def _write(self, pointer: Pointer, manifest: bytes, files: Mapping[str, bytes]) -> None:
        if self._holds(pointer):
            return
        # The pointer goes last: a crash before it leaves a copy that fails its hashes, never a
        # mixture that passes.
        for name in SERVING_FILES:
            self._store.write(version_key(pointer.version, name), files[name])
        self._store.write(pointer.manifest_key, manifest)
        self._store.write(POINTER_KEY, pointer.to_bytes())
        for found in list(self._store.list(f"{VERSIONS_PREFIX}/")):
            if not found.key.startswith(version_key(pointer.version, "")):
                self._store.delete(found.key)

    def _holds(self, pointer: Pointer) -> bool:
        try:
            found = read_pointer(self._store)
        except (ChampionError, StoreError):
            return False
        return found is not None and found[0] == pointer

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
