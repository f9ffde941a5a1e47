"""A run's progress, against an Airflow that answers from a script."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from infra.local import airflow_client, training
from infra.local.airflow_client import AirflowClient, AirflowError
from infra.local.services import Layout

RUN = "manual__2026-01-02T03:04:05+00:00"
DAG = "/api/v2/dags/churn_training"
DagRun = dict[str, Any]
BROKEN = {"filename": "churn_training.py", "stack_trace": "out of cheese"}
BROKEN_TOO = {"filename": "churn_drift.py", "stack_trace": "sky fell"}


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


def tasks_are(*tasks: DagRun) -> DagRun:
    """A list of task instances as Airflow tells it."""
    return {"task_instances": list(tasks)}


@contextmanager
def airflow_answering(script: dict[str, list[Any]]) -> Iterator[AirflowClient]:
    """An Airflow that answers each path with the script's next entry, at last with the last."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            entries = script.get(f"{self.command} {self.path.partition('?')[0]}")
            answer = entries[0] if entries else None
            if entries and len(entries) > 1:
                entries.pop(0)
            data = json.dumps(answer).encode()
            self.send_response(200 if answer is not None else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        client = AirflowClient(f"http://127.0.0.1:{server.server_port}", user="a", password="b")
        yield client
        client.close()
        server.shutdown()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Poll without pauses, and keep what is shown."""
    monkeypatch.setattr(training, "POLL_SECONDS", 0.01)
    caplog.set_level("INFO", logger="infra.local.training")


def nothing() -> None:
    """No services to look after."""


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What a person saw."""
    return [record.getMessage() for record in caplog.records if "infra" in record.name]


def test_each_stage_is_shown_once_with_its_time(
    places: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    done = task_is("ingest_data", "success", 0.31)
    script = {
        f"GET {DAG}": [None, {"is_paused": False}],
        "GET /api/v2/importErrors": [{"import_errors": [BROKEN_TOO]}],
        f"GET {DAG}/dagRuns": [{"dag_runs": []}],
        f"POST {DAG}/dagRuns": [{"dag_run_id": RUN}],
        f"GET {DAG}/dagRuns/{RUN}": [run_is("queued"), run_is("running"), run_is("success")],
        f"GET {DAG}/dagRuns/{RUN}/taskInstances": [
            tasks_are(task_is("ingest_data", "running"), task_is("train_model", None)),
            tasks_are(done, task_is("train_model", "running")),
            tasks_are(done, task_is("train_model", "success", 2.25)),
        ],
    }
    with airflow_answering(script) as client:
        run = training.train(client, places, nothing, reason="a test")
    assert run.seconds == 7.5
    assert lines(caplog) == [
        f"training run {RUN}",
        "  ingest_data          0.3 s",
        "  train_model          2.2 s",
    ]


def test_a_run_that_is_under_way_is_joined(
    places: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    script = {
        f"GET {DAG}": [{"is_paused": False}],
        f"GET {DAG}/dagRuns": [{"dag_runs": [{"dag_run_id": RUN}]}],
        f"GET {DAG}/dagRuns/{RUN}": [run_is("success")],
        f"GET {DAG}/dagRuns/{RUN}/taskInstances": [tasks_are()],
    }
    with airflow_answering(script) as client:
        training.train(client, places, nothing, reason="a test")
    assert lines(caplog) == [f"joining the training run that is under way: {RUN}"]


def test_a_failure_names_task_error_and_log(
    places: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    log = {
        "content": [
            {"event": "::group::Log message source details"},
            {"event": "fine", "level": "info"},
            {
                "event": "Task failed with exception",
                "level": "error",
                "error_detail": [{"exc_type": "DataError", "exc_value": "the table is empty"}],
            },
        ]
    }
    script = {
        f"GET {DAG}/dagRuns/{RUN}": [run_is("failed")],
        f"GET {DAG}/dagRuns/{RUN}/taskInstances": [
            tasks_are(
                task_is("ingest_data", "failed", 0.5, tries=3),
                task_is("train_model", "upstream_failed"),
            )
        ],
        f"GET {DAG}/dagRuns/{RUN}/taskInstances/ingest_data/logs/3": [log],
    }
    with (
        airflow_answering(script) as client,
        pytest.raises(training.TrainingFailed) as caught,
    ):
        training.follow(client, places, RUN, nothing)
    assert "ingest_data failed in the training run" in str(caught.value)
    assert "DataError: the table is empty" in str(caught.value)
    path = f"dag_id=churn_training/run_id={RUN}/task_id=ingest_data/attempt=3.log"
    assert f"{places.airflow_home}/logs/{path}" in str(caught.value)
    assert lines(caplog) == ["  ingest_data          0.5 s  failed"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            {"GET /api/v2/importErrors": [{"import_errors": [BROKEN]}]},
            "cannot read the DAG:\nchurn_training.py: out of cheese",
        ),
        ({f"GET {DAG}": [{"is_paused": True}]}, "is paused"),
        ({"GET /api/v2/importErrors": [{"import_errors": []}]}, "has not found churn_training"),
    ],
)
def test_a_dag_that_cannot_run_is_explained(script: dict[str, list[Any]], message: str) -> None:
    with airflow_answering(script) as client, pytest.raises(training.TrainingFailed, match=message):
        training.wait_for_dag(client, nothing, seconds=0.1)


def test_the_services_are_looked_after_meanwhile(places: Layout) -> None:
    class Fallen(Exception):
        pass

    def tick() -> None:
        raise Fallen

    script = {
        f"GET {DAG}/dagRuns/{RUN}": [run_is("running")],
        f"GET {DAG}/dagRuns/{RUN}/taskInstances": [tasks_are()],
    }
    with airflow_answering(script) as client, pytest.raises(Fallen):
        training.follow(client, places, RUN, tick)


@pytest.mark.parametrize("call", [AirflowClient.dag, AirflowClient.unfinished_run])
def test_a_silent_airflow_is_an_error(
    call: Callable[[AirflowClient, str], object], free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airflow_client, "PAUSE_SECONDS", 0.01)
    client = AirflowClient(f"http://127.0.0.1:{free_port}", user="a", password="b")
    with pytest.raises(AirflowError, match="no answer from Airflow to GET"):
        call(client, "churn_training")
    client.close()
