"""An Airflow that answers from a script, for those who follow its runs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

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


def tasks_are(*tasks: DagRun) -> DagRun:
    """A list of task instances as Airflow tells it."""
    return {"task_instances": list(tasks)}


def shown(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What a person saw."""
    return [record.getMessage() for record in caplog.records if "infra" in record.name]


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
