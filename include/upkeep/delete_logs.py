"""Airflow's logs of tasks and DAG files: on its own disk, and in the store where they go there."""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from include.upkeep.old_objects import EXPIRES, delete
from include.upkeep.retention import moment_before
from include.upkeep.run import Freed, UpkeepRun, left_alone, say

logger = logging.getLogger(__name__)

# Airflow's own names, so that a folder that is somebody else's as well loses nothing else.
TASKS = "dag_id="
AIRFLOWS = (f"{TASKS}*", "dag_processor*")
PATTERN = "*.log*"


def delete_logs(run: UpkeepRun) -> Freed:
    """Delete the logs that nobody has written to for so long."""
    return _delete_files(run) + _delete_remote(run)


def _delete_files(run: UpkeepRun) -> Freed:
    before = moment_before(run.now, run.retention.logs_days)
    folder = run.places.log_folder
    objects = size = 0
    for path, found in list(_old_files(folder, before.timestamp())):
        if not run.dry_run:
            path.unlink(missing_ok=True)
            _remove_empty(path.parent, below=folder)
        objects, size = objects + 1, size + found
    what = f"logs below {folder} of before {before:%Y-%m-%d}"
    return say(Freed(what, objects, size, run.dry_run))


def _old_files(folder: Path, before: float) -> Iterator[tuple[Path, int]]:
    for top in (each for pattern in AIRFLOWS for each in folder.glob(pattern)):
        for directory, _, names in os.walk(top):  # which follows no link
            for path in map(Path(directory).joinpath, names):
                if not path.match(PATTERN) or path.is_symlink():
                    continue
                with suppress(FileNotFoundError):  # another process of Airflow's was faster
                    stat = path.stat()
                    if stat.st_mtime < before:
                        yield path, stat.st_size


def _remove_empty(directory: Path, *, below: Path) -> None:
    while directory != below:
        try:
            directory.rmdir()
        except OSError:  # there is more in it
            return
        directory = directory.parent


def _delete_remote(run: UpkeepRun) -> Freed:
    before = moment_before(run.now, run.retention.logs_days)
    logs, root = run.places.remote_logs, f"{run.store.uri}/"
    if not logs:
        return Freed("", 0, 0, run.dry_run)
    if run.store_expires:
        return left_alone(run, f"logs in {logs}", EXPIRES)
    prefix = logs.removeprefix(root).strip("/")
    if not logs.startswith(root) or not prefix:
        return left_alone(
            run,
            f"logs in {logs}",
            f"they have no place of their own below {run.store.uri}; give them one there, or that "
            "bucket a lifecycle rule",
        )
    old = [
        info for info in run.store.list(f"{prefix}/{TASKS}") if info.modified < before.timestamp()
    ]
    return delete(run, f"logs in {logs} of before {before:%Y-%m-%d}", old)
