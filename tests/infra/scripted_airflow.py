"""An Airflow that answers from a script, for those who follow its runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from infra.airflow.client import AirflowClient

RUN = "manual__2026-01-02T03:04:05+00:00"
DAG = "/api/v2/dags/churn_training"
DagRun = dict[str, Any]


def run_is(state: str) -> DagRun:
    """A run as Airflow tells it."""
    ended = state in {"success", "failed"}
    end = "2026-01-02T03:04:12.500000Z" if ended else None
    return {"state": state, "run_after": "2026-01-02T03:04:05Z", "end_date": end}


def task_is(
    name: str, state: str | None, seconds: float | None = None, *, tries: int = 1
) -> DagRun:
    """A task instance as Airflow tells it."""
    started = f"2026-01-02T03:04:0{tries}Z" if state else None
    return {
        "task_id": name,
        "state": state,
        "try_number": tries,
        "duration": seconds,
        "start_date": started,
    }


def a_run(states: str, *tasks: list[DagRun]) -> dict[str, list[Any]]:
    """The script of a run whose states, and whose tasks, are these one after the other."""
    return {
        f"GET {DAG}/dagRuns/{RUN}": [run_is(state) for state in states.split()],
        f"GET {DAG}/dagRuns/{RUN}/taskInstances": [{"task_instances": each} for each in tasks],
    }


def shown(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What a person saw."""
    return [record.getMessage() for record in caplog.records if "infra" in record.name]


@contextmanager
def airflow_answering(
    script: dict[str, list[Any]], asked: list[httpx.Request] | None = None
) -> Iterator[AirflowClient]:
    """An Airflow that answers each path with the script's next entry, at last with the last.

    A number stands for an empty answer of that status. Each request is added to `asked`.
    """

    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        entries = script.get(f"{request.method} {request.url.path}", [None])
        found = entries.pop(0) if len(entries) > 1 else entries[0]
        if isinstance(found, int):
            return httpx.Response(found)
        return httpx.Response(404 if found is None else 200, json=found)

    client = AirflowClient("http://airflow", user="a", password="b")
    client._http = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(answer))
    yield client
    client.close()
