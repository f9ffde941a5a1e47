"""What the operators of `churn_snapshot` call: light to import, heavy only inside a task."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from include.tasks.adapter import Context, task

if TYPE_CHECKING:
    from include.history.run import HistoryRun


def history_task(name: str) -> Callable[..., Any]:
    """What the operator of that name calls."""
    return task("history", name, open_run)


def open_run(context: Context) -> "HistoryRun":
    """The run's connection, and its moment: a snapshot is of the present, whatever was due."""
    from include.handover import now
    from include.history.run import HistoryRun
    from include.settings import load_settings
    from include.tasks import connections

    return HistoryRun(engine=connections.customer_engine(load_settings()), now=now())
