"""Small files below CHURN_VAR_DIR that every worker of the dashboard sees, each kept for a time."""

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from include.errors import ChurnError


class DiskError(ChurnError):
    """The dashboard's own directory takes nothing more."""


class Marks:
    """Names that count for a time: an empty file for each, so that one worker's count for all."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds

    def add(self, name: str) -> None:
        """Let the name count from now on; DiskError where it cannot be kept."""
        with disk_errors(self._folder):
            open_folder(self._folder, kept_seconds=self._seconds)
            (self._folder / name).touch(mode=0o600)

    def __contains__(self, name: str) -> bool:
        return _is_young(self._folder / name, self._seconds)

    def count(self, prefix: str) -> int:
        """How many names that begin so count now."""
        return sum(_is_young(each, self._seconds) for each in self._folder.glob(f"{prefix}*"))

    def remove(self, name: str) -> None:
        """Let the name count no more; a full disk is no hindrance."""
        (self._folder / name).unlink(missing_ok=True)

    def remove_all(self, prefix: str) -> None:
        """Let no name count any more that begins so."""
        for each in self._folder.glob(f"{prefix}*"):
            each.unlink(missing_ok=True)


def open_folder(folder: Path, *, kept_seconds: float) -> Path:
    """The folder, for this user alone, without the files that were kept long enough."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in folder.iterdir():
        if not _is_young(path, kept_seconds):
            path.unlink(missing_ok=True)
    return folder


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Say what to do where the disk is full or the folder cannot be written."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        found = "the disk is full" if full else (error.strerror or str(error)).lower()
        raise DiskError(
            f"the dashboard cannot write to {folder}: {found}. Free some space there, or give it "
            "another directory with CHURN_VAR_DIR"
        ) from error


def _is_young(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime < seconds
    except FileNotFoundError:
        return False
