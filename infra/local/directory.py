"""A stack's own directory: usable, closed to others, held by one `make run`, emptied on request."""

import fcntl
import logging
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from include.customers.database import open_engine, shown_url
from include.settings import Settings
from infra.local.services import Layout
from infra.local.stack import StackError

logger = logging.getLogger(__name__)

PROBE_BYTES = 2**20
OWNER_ALONE = 0o077  # umask: what a stack holds is for nobody else on the machine
SHOWN_NAMES = 5
# All that a stack leaves in its directory; what else lies there is somebody's own, and stays.
DATABASE_FILES = tuple(f"churn.db{end}" for end in ("", "-journal", "-shm", "-wal"))
ENTRIES = (
    *("airflow", "champion", *DATABASE_FILES, "dashboard_key", "id_key", "logs", "matplotlib"),
    *("mlflow", "run", "sessions", "spool", "stack.json", "store", "tmp", "tuning", "uploads"),
    "wrong_passwords",
)


def settled(settings: Settings) -> Settings:
    """The settings with the whole path of their directory: ~ is the home, wherever it came from."""
    try:
        var = settings.var_dir.expanduser().resolve()
    except (OSError, RuntimeError) as error:  # nobody's home, links in a circle
        raise unusable(settings.var_dir, str(error)) from error
    if "?" in str(var):
        raise unusable(var, "a ? would end the path in the databases' URLs")
    return settings.model_copy(update={"var_dir": var})


def data_of(settings: Settings) -> dict[str, str]:
    """Where customers and objects are, by their settings' names, without a password."""
    database = shown_url(open_engine(settings.resolved_database_url))
    return {"database_url": database, "store_uri": settings.resolved_store_uri}


def data_elsewhere(settings: Settings) -> list[str]:
    """Which of the stack's data does not lie in its directory."""
    inside: dict[str, Any] = {"database_url": "", "store_uri": ""}
    usual = data_of(Settings(var_dir=settings.var_dir, **inside))
    found = [place for name, place in data_of(settings).items() if place != usual[name]]
    copies = (settings.resolved_spool_dir, settings.resolved_champion_dir)
    return found + [str(path) for path in copies if path.resolve().parent != settings.var_dir]


def unusable(var: Path, reason: str) -> StackError:
    """What is said of a directory in which no stack can be."""
    return StackError(
        f"CHURN_VAR_DIR must name a directory that a stack can have for itself, found {var}: "
        f"{reason}. Mend that, or name another"
    )


def prepare(places: Layout) -> None:
    """Make the directory, or keep others out of the one that is there; StackError if it is no use.

    Its names are common ones (tmp, logs), so a directory with things of other people is refused,
    unless a stack was there before: then only what is the stack's own is closed.
    """
    var = places.var
    try:
        var.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = {each.name for each in var.iterdir() if not each.name.startswith(".")}
        theirs = sorted(found.difference({*ENTRIES, "lost+found"}))
        if theirs and not places.lock.exists():
            raise unusable(var, f"it holds {', '.join(theirs[:SHOWN_NAMES])}")
        for each in map(var.joinpath, found.intersection(ENTRIES)) if theirs else [var]:
            _close(each)
        with tempfile.TemporaryFile(dir=var, buffering=0) as probe:
            if probe.write(bytes(PROBE_BYTES)) < PROBE_BYTES:
                raise unusable(var, f"its disk has no {PROBE_BYTES:,} bytes left")
    except OSError as error:
        raise unusable(var, error.strerror or str(error)) from error


def _close(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OWNER_ALONE:
        try:
            path.chmod(mode & ~OWNER_ALONE)
        except PermissionError as error:
            logger.warning("others may read %s: it is not yours to close (%s)", path, error)


@contextmanager
def alone(places: Layout) -> Iterator[None]:
    """Hold the directory's lock, which the system frees however this process ends."""
    with ExitStack() as held:
        try:
            places.lock.parent.mkdir(exist_ok=True)
            lock = held.enter_context(places.lock.open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(
                f"another `make run` uses {places.var}; {places.stack_file} says where it is. "
                "Stop it, or give this one its own CHURN_VAR_DIR and ports"
            ) from error
        except OSError as error:
            raise unusable(places.var, str(error)) from error
        places.stack_file.unlink(missing_ok=True)  # of a start that was killed
        yield


def is_held(places: Layout) -> bool:
    """Whether a `make run` is alive there; the pid in stack.json may be another's by now."""
    try:
        with places.lock.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except BlockingIOError:
        return True
    except OSError as error:  # of another user perhaps
        raise unusable(places.var, str(error)) from error
    return False


def empty(places: Layout) -> list[str]:
    """Delete all that a stack that is down left in its directory; the names of what there was.

    Everything is out of the way before the first file is deleted, so that whoever is killed
    meanwhile leaves no half of a stack.
    """
    shutil.rmtree(places.scratch, ignore_errors=True)
    places.scratch.mkdir()
    kept = {places.scratch.name, places.lock.parent.name}
    found = [name for name in ENTRIES if name not in kept and (places.var / name).exists()]
    for name in found:
        (places.var / name).rename(places.scratch / name)
    shutil.rmtree(places.scratch)
    places.scratch.mkdir()
    return found
