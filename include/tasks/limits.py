"""How long tasks and runs may take, and who ends a task that does not hear Airflow's limit.

`docs/growth.md` has the measured times behind the figures.
"""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from include.settings import MINUTES_MAX, load_settings

QUICK = timedelta(minutes=15)  # for what does not grow with the customers
SHORT_RUN = timedelta(hours=2)  # of two such tasks, tried again
RUN_TASKS = 6  # a run's limit in those of a task: tries again included, less than a day
GRACE = timedelta(minutes=1)
STDERR = 2  # of a task: its log
# At night: soon after a kill, then minutes later, as nobody helps while a database starts anew.
# The tries before a task was cleared count too: without a most, the wait would then be hours.
PATIENT: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 12,
    "max_retry_delay": timedelta(minutes=4),
}


def task_limit() -> timedelta:
    """For one try of a task that grows with the customers or with the predictions."""
    return timedelta(hours=load_settings().task_hours)


def run_limit() -> timedelta:
    """For a whole run of such tasks."""
    return RUN_TASKS * task_limit()


def search_limit() -> timedelta:
    """For a whole search, which may be given a week."""
    return timedelta(minutes=MINUTES_MAX) + run_limit()


@contextmanager
def ended_by_force(limit: timedelta | None) -> Iterator[None]:
    """End the process soon after `limit` unless the block has ended, and say where each thread was.

    Airflow ends a task by an exception in Python, which waits for native code to return; a search
    for trees or a database driver may never. The interpreter's own watchdog does not wait.
    """
    if limit is None:
        yield
        return
    faulthandler.dump_traceback_later((limit + GRACE).total_seconds(), exit=True, file=STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
