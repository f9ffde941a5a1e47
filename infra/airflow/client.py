"""Airflow's REST API, as far as the stack needs it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from include.addresses import required_action_page

UNFINISHED_RUN = ("queued", "running")
AWAITING_ANSWER = "awaiting_input"
TIMEOUT_SECONDS = 30
ATTEMPTS = 3  # a machine that is busy starting everything may be slow, or its database locked, once
PAUSE_SECONDS = 1.0


class AirflowError(Exception):
    """Airflow did not do what it was asked; the message says what it answered."""


@dataclass(frozen=True)
class TaskState:
    """One task of a run, as it is now."""

    task_id: str
    state: str
    try_number: int
    seconds: float | None

    @property
    def awaits_answer(self) -> bool:
        """Whether it asks a person something on Airflow's page of required actions."""
        return self.state == AWAITING_ANSWER


@dataclass(frozen=True)
class RunState:
    """One run of a DAG, as it is now."""

    run_id: str
    state: str
    seconds: float | None

    @property
    def is_finished(self) -> bool:
        """Whether the run will not change any more."""
        return self.state not in UNFINISHED_RUN


class AirflowClient:
    """A logged-in user of one Airflow."""

    def __init__(self, url: str, *, user: str, password: str, public_url: str = "") -> None:
        self._public_url = public_url or url  # as a browser reaches it
        # No proxy: this is the same machine.
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._login = {"username": user, "password": password}

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """The DAG as Airflow knows it; None while its file is not parsed yet."""
        answer = self._request("GET", f"/api/v2/dags/{dag_id}", allowed=(404,))
        return None if answer.status_code == 404 else dict(answer.json())

    def import_errors(self) -> list[str]:
        """What went wrong while the DAG files were read."""
        found = self._request("GET", "/api/v2/importErrors").json()["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in found]

    def scheduler_silent_since(self) -> str | None:
        """Its last sign of life, where that is too long ago."""
        found = self._request("GET", "/api/v2/monitor/health").json()["scheduler"]
        return None if found["status"] == "healthy" else str(found["latest_scheduler_heartbeat"])

    def unfinished_runs(self, dag_id: str) -> list[str]:
        """The runs that are running, then those that are queued, of each the oldest first."""
        query = {"state": list(UNFINISHED_RUN), "order_by": "run_after"}
        answer = self._request("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=query)
        found = sorted(answer.json()["dag_runs"], key=lambda run: run["state"] != "running")
        return [str(run["dag_run_id"]) for run in found]

    def unfinished_run(self, dag_id: str) -> str | None:
        """The first of them."""
        return next(iter(self.unfinished_runs(dag_id)), None)

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a run; returns its id. AirflowError where the DAG refuses a parameter."""
        # An id of ours, so that asking again after a lost answer starts no second run.
        run_id = f"manual__{datetime.now(UTC).isoformat()}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        path = f"/api/v2/dags/{dag_id}/dagRuns"
        conflict, refused = httpx.codes.CONFLICT, httpx.codes.BAD_REQUEST
        answer = self._request("POST", path, allowed=(conflict, refused), json=body)
        if answer.status_code == refused:  # then come the schema and the value once more
            raise AirflowError(
                f"{dag_id} was not started: {answer.json()['detail'].splitlines()[0]}"
            )
        return run_id

    def run(self, dag_id: str, run_id: str) -> RunState:
        """One run."""
        found = self._request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}").json()
        return RunState(run_id, found["state"], _seconds(found["run_after"], found["end_date"]))

    def has_run(self, dag_id: str, run_id: str) -> bool:
        """Whether there is such a run."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
        return self._request("GET", path, allowed=(404,)).status_code != 404

    def tasks(self, dag_id: str, run_id: str) -> list[TaskState]:
        """The tasks of a run, the earlier first."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found = self._request("GET", path).json()["task_instances"]
        return [
            TaskState(
                task["task_id"], task["state"] or "none", task["try_number"], task["duration"]
            )
            for task in sorted(found, key=lambda task: task["start_date"] or "~")
        ]

    def question_page(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Where a browser answers what a task asks a person."""
        return required_action_page(self._public_url, dag_id=dag_id, run_id=run_id, task_id=task_id)

    def question(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """What a task asks a person (`subject`, `body`), and what was answered."""
        return dict(self._request("GET", _question(dag_id, run_id, task_id)).json())

    def answer(self, dag_id: str, run_id: str, task_id: str, *, option: str, why: str) -> None:
        """Answer what a task asks a person, as the user who is logged in.

        AirflowError where it was answered otherwise; the same answer may be given again.
        """
        path = _question(dag_id, run_id, task_id)
        body = {"chosen_options": [option], "params_input": {"why": why}}
        conflict, forbidden = httpx.codes.CONFLICT, httpx.codes.FORBIDDEN
        answer = self._request("PATCH", path, allowed=(conflict, forbidden), json=body)
        if answer.status_code == forbidden:
            page = self.question_page(dag_id, run_id, task_id)
            raise AirflowError(
                "expected the stack's own user to be among those who may answer (CHURN_APPROVERS), "
                f"found: {answer.text[:200]}. Sign in as one of them, and answer here: {page}"
            )
        if answer.status_code != conflict:
            return
        chosen = self.question(dag_id, run_id, task_id)["chosen_options"] or []
        if chosen != [option]:
            raise AirflowError(
                f"expected nobody to have answered {task_id} of {run_id}, or {option}, found "
                f"{', '.join(chosen) or 'no answer'}: it stands"
            )

    def errors(self, dag_id: str, run_id: str, task: TaskState) -> list[str]:
        """The error lines in the log of a task's last try."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task.task_id}/logs"
        answer = self._request(
            "GET", f"{path}/{task.try_number}", headers={"Accept": "application/json"}
        )
        lines = [line for line in answer.json()["content"] if isinstance(line, dict)]
        found = [cause for line in lines for cause in _causes(line)]
        return found or [str(line["event"]) for line in lines if line.get("level") == "error"]

    def _request(
        self, method: str, path: str, *, allowed: tuple[int, ...] = (), **options: Any
    ) -> httpx.Response:
        answer = self._answer(method, path, options)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._log_in()
            answer = self._answer(method, path, options)
        if answer.is_error and answer.status_code not in allowed:
            raise AirflowError(
                f"Airflow answers {answer.status_code} to {method} {path}: {answer.text[:500]}"
            )
        return answer

    def _answer(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        left = ATTEMPTS
        while True:
            left -= 1
            try:
                answer = self._http.request(method, path, **options)
                if left == 0 or not answer.is_server_error:
                    return answer
            except httpx.HTTPError as error:
                if left == 0:
                    raise AirflowError(
                        f"no answer from Airflow to {method} {path} ({error}): is it up?"
                    ) from error
            time.sleep(PAUSE_SECONDS)

    def _log_in(self) -> None:
        answer = self._answer("POST", "/auth/token", {"json": self._login})
        if answer.is_error:
            raise AirflowError(
                f"Airflow at {self._http.base_url} refuses this stack's password "
                f"({answer.status_code}): another Airflow may listen there, or the password was "
                "changed while it ran; stop the stack and start it again"
            )
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _question(dag_id: str, run_id: str, task_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"


def _causes(line: dict[str, Any]) -> list[str]:
    causes = line.get("error_detail") or ()  # the last of those that say the same began it
    return [
        *{each["exc_value"]: f"{each['exc_type']}: {each['exc_value']}" for each in causes}.values()
    ]


def _seconds(start: str | None, end: str | None) -> float | None:
    if start is None or end is None:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
