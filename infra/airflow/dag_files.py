"""Whether Airflow has read every DAG of ours: one that it cannot read is missing without a word."""

import time
from datetime import datetime

from include.settings import PROJECT
from infra.airflow.client import AirflowClient
from infra.airflow.dag_runs import RunFailed, Tick, nothing

POLL_SECONDS = 0.5
READ_SECONDS = 120
REST_SECONDS = 30  # whoever has read one file of ours has soon read all


def dag_ids() -> list[str]:
    """The DAGs that must be there: each file is named by its DAG."""
    return sorted(path.stem for path in (PROJECT / "dags").glob("*.py"))


def wait_for_dags(client: AirflowClient, *, since: datetime, tick: Tick = nothing) -> None:
    """Wait until each DAG was read after `since`; RunFailed names those that were not, and why.

    What Airflow read before may be of a file that it cannot read any more.
    """
    wanted = dag_ids()
    deadline = time.monotonic() + READ_SECONDS
    while missing := [dag_id for dag_id in wanted if not _was_read(client, dag_id, since)]:
        if len(missing) < len(wanted):
            deadline = min(deadline, time.monotonic() + REST_SECONDS)
        if time.monotonic() > deadline:
            raise RunFailed(_told(client, missing))
        tick()
        time.sleep(POLL_SECONDS)


def _was_read(client: AirflowClient, dag_id: str, since: datetime) -> bool:
    read_at = (client.dag(dag_id) or {}).get("last_parsed_time")
    return read_at is not None and datetime.fromisoformat(read_at) >= since


def _told(client: AirflowClient, missing: list[str]) -> str:
    errors = client.import_errors()
    lines = [
        next((error for error in errors if f"{dag_id}.py" in error), f"{dag_id}.py: (not read yet)")
        for dag_id in missing
    ]
    return "\n  ".join(
        [
            f"Airflow cannot read {', '.join(missing)}: nothing of it runs, asked for or by "
            "schedule. Mend what is named here, and Airflow reads the file again by itself:",
            *(line.strip().replace("\n", "\n  ") for line in lines),
        ]
    )
