"""Starting the training DAG, against an Airflow that answers from a script."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.champion.gate_decision import Decision
from include.store import LocalStore
from infra.airflow import dag_runs, training_run
from infra.airflow.client import AirflowClient, AirflowError
from infra.airflow.dag_runs import RunFailed
from tests.infra.scripted_airflow import DAG, RUN, a_run, airflow_answering, shown, task_is

BROKEN = {"filename": "churn_training.py", "stack_trace": "out of cheese"}
BROKEN_TOO = {"filename": "churn_drift.py", "stack_trace": "sky fell"}


pytestmark = pytest.mark.usefixtures("quick_polling")


def test_each_stage_is_shown_once_with_its_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AirflowClient, "trigger", lambda *_: RUN)
    done = task_is("ingest_data", "success", 0.31)
    script = {
        f"GET {DAG}": [None, {"is_paused": False}],
        "GET /api/v2/importErrors": [{"import_errors": [BROKEN_TOO]}],
        f"GET {DAG}/dagRuns": [{"dag_runs": []}],
        **a_run(
            "queued running success",
            [task_is("ingest_data", "running"), task_is("train_model", None)],
            [done, task_is("train_model", "running")],
            [done, task_is("train_model", "success", 2.25)],
        ),
    }
    with airflow_answering(script) as client:
        run = training_run.train(client, reason="a test", logs=tmp_path)
    assert run.seconds == 7.5
    assert shown(caplog) == [
        f"training run {RUN}",
        "  ingest_data          0.3 s",
        "  train_model          2.2 s",
    ]


def test_a_run_that_is_under_way_is_joined(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = {
        f"GET {DAG}": [{"is_paused": False}],
        f"GET {DAG}/dagRuns": [{"dag_runs": [QUEUED, WAITS]}],
        **a_run("success", []),
    }
    with airflow_answering(script) as client:
        training_run.train(client, reason="a test", logs=tmp_path)
    assert shown(caplog) == [f"joining the training run that is under way: {RUN}"]


WAITS = {"dag_run_id": RUN, "state": "running"}
QUEUED = {"dag_run_id": "manual__queued", "state": "queued"}
DETAILS = f"{DAG}/dagRuns/{RUN}/taskInstances/approve_promotion/-1/hitlDetails"
QUESTION = {"subject": "Put candidate 7 into production? Against version 3", "body": "- ROC-AUC"}
ASKS = task_is("approve_promotion", "awaiting_input")
SHOWN = "Put candidate 7 into production? Against version 3\n\n- ROC-AUC\n"


def test_what_waits_is_approved_from_a_terminal_and_followed_to_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done = task_is("promote_model", "success")
    script = {
        f"GET {DAG}/dagRuns": [{"dag_runs": [QUEUED, WAITS]}],
        **a_run("running success", [ASKS], [done]),
        f"GET {DETAILS}": [QUESTION],
        f"PATCH {DETAILS}": [{}],
    }
    asked: list[Any] = []
    with airflow_answering(script, asked) as client:
        assert training_run.approve(client, "7", why="looked at", logs=tmp_path).seconds == 7.5
    body = {"chosen_options": ["Approve"], "params_input": {"why": "looked at"}}
    assert [json.loads(each.content) for each in asked if each.method == "PATCH"] == [body]
    assert shown(caplog) == [SHOWN, "  promote_model"]


@pytest.mark.parametrize(
    ("named", "told"),
    [(None, "found candidate 7"), ("6", "candidate 6 to wait, found candidate 7")],
)
def test_what_was_not_named_is_shown_and_not_approved(
    named: str | None, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = {
        f"GET {DAG}/dagRuns": [{"dag_runs": [WAITS]}],
        **a_run("running", [ASKS]),
        f"GET {DETAILS}": [QUESTION],
    }
    asked: list[Any] = []
    with (
        airflow_answering(script, asked) as client,
        pytest.raises(RunFailed, match=rf"{told}, .* make promote CANDIDATE=7 REASON"),
    ):
        training_run.approve(client, named, why="looked at", logs=tmp_path)
    assert {each.method for each in asked} == {"GET"}
    assert shown(caplog) == [SHOWN]


def test_who_may_not_answer_is_told_who_may_and_where(tmp_path: Path) -> None:
    script = {
        f"GET {DAG}/dagRuns": [{"dag_runs": [WAITS]}],
        **a_run("running", [ASKS]),
        f"GET {DETAILS}": [QUESTION],
        f"PATCH {DETAILS}": [403],
    }
    told = r"may answer \(CHURN_APPROVERS\).* answer here: http://.*required_actions"
    with airflow_answering(script) as client, pytest.raises(AirflowError, match=told):
        training_run.approve(client, "7", why="looked at", logs=tmp_path)


@pytest.mark.parametrize("runs", [[], [WAITS]], ids=["none", "one that trains"])
def test_where_nothing_waits_a_version_must_be_named(runs: list[Any], tmp_path: Path) -> None:
    script = {
        f"GET {DAG}/dagRuns": [{"dag_runs": runs}],
        **a_run("running", [task_is("train_model", "running")]),
    }
    with airflow_answering(script) as client, pytest.raises(RunFailed, match="VERSION=3"):
        training_run.approve(client, "7", why="looked at", logs=tmp_path)


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
    with airflow_answering(script) as client, pytest.raises(RunFailed, match=message):
        dag_runs.wait_for_dag(client, "churn_training", seconds=0.1)


def test_who_asks_why_nothing_was_promoted_hears_the_gates_reasons(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    assert training_run.gate_told(store, RUN).startswith("what the gate decided cannot be read: ")
    decision = Decision(
        outcome="rejected",
        reasons=("the gain is +0.0000", "the interval does not exclude zero"),
        decided_at=datetime(2026, 1, 2, tzinfo=UTC),
        challenger="7",
        champion="3",
        holdout_rows=900,
        holdout_attrited_share=0.2,
        rules={},
    )
    key = f"runs/{RUN}/evaluate_model/gate.json"
    store.write(key, decision.to_bytes())
    assert training_run.gate_told(store, RUN) == (
        "the gate on candidate 7, rejected: the gain is +0.0000; the interval does not exclude "
        f"zero. All figures: {store.uri}/{key}"
    )
    store.write(key, decision.model_copy(update={"outcome": "accepted"}).to_bytes())
    told = training_run.gate_told(store, RUN)
    assert told.startswith("a person rejected candidate 7, or none answered in time: ")
