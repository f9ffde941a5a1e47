"""What the tasks of old DAG runs handed to each other."""

from itertools import groupby

from include.handover import RUNS_PREFIX
from include.store import ObjectInfo
from include.upkeep.old_objects import EXPIRES, delete
from include.upkeep.retention import moment_before
from include.upkeep.run import Freed, UpkeepRun, left_alone


def delete_runs(run: UpkeepRun) -> Freed:
    """Delete the runs whose last object is old; one in which something was written lately stays."""
    before = moment_before(run.now, run.retention.runs_days)
    what = f"objects below {RUNS_PREFIX}/ of runs that wrote nothing since {before:%Y-%m-%d}"
    if run.store_expires:
        return left_alone(run, what, EXPIRES)
    old: list[ObjectInfo] = []
    for _, objects in groupby(run.store.list(f"{RUNS_PREFIX}/"), key=_run_of):
        of_run = list(objects)
        if max(info.modified for info in of_run) < before.timestamp():
            old += of_run
    return delete(run, what, old)


def _run_of(info: ObjectInfo) -> str:
    return info.key.split("/")[1]
