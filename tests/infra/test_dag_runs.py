"""A run's progress, against an Airflow that answers from a script."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from infra.airflow import client as airflow_client
from infra.airflow import dag_runs
from infra.airflow.client import AirflowClient, AirflowError
from infra.airflow.dag_runs import RunFailed
from tests.infra.scripted_airflow import DAG, RUN, a_run, airflow_answering, shown, task_is

DAG_ID = "churn_training"


pytestmark = pytest.mark.usefixtures("quick_polling")


def test_a_failure_names_task_error_and_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = {"content": [{"event": "the database does not answer", "level": "error"}]}
    log = {
        "content": [
            {"event": "::group::Log message source details"},
            {"event": "fine", "level": "info"},
            {
                "event": "Task failed with exception",
                "level": "error",
                "error_detail": [
                    {"exc_type": kind, "exc_value": "the table is empty"}
                    for kind in ("AirflowFailException", "DataError")  # one raised from the other
                ],
            },
        ]
    }
    script = a_run(
        "running failed",
        [task_is("ingest_data", "up_for_retry", 0.2, tries=2)],
        [task_is("ingest_data", "failed", 0.5, tries=3), task_is("train_model", "upstream_failed")],
    )
    for tries, found in ((2, first), (3, log)):
        script[f"GET {DAG}/dagRuns/{RUN}/taskInstances/ingest_data/logs/{tries}"] = [found]
    with airflow_answering(script) as client, pytest.raises(RunFailed) as caught:
        dag_runs.follow(client, DAG_ID, RUN, logs=tmp_path)
    assert "ingest_data failed in the churn_training run" in str(caught.value)
    assert ":\n  DataError: the table is empty\n" in str(caught.value)
    path = f"dag_id=churn_training/run_id={RUN}/task_id=ingest_data"
    assert f"{tmp_path}/{path}" in str(caught.value)
    assert shown(caplog) == [
        "  ingest_data          0.2 s  up for retry",
        "    the database does not answer",
        "  ingest_data          0.5 s  failed",
    ]


def test_a_parameter_that_a_dag_refuses_is_told_in_one_line() -> None:
    detail = "Invalid input for param minutes: 0.0 is too few\n\nFailed validating 'minimum'"
    refuses = httpx.MockTransport(lambda _: httpx.Response(400, json={"detail": detail}))
    with (
        airflow_answering({}) as client,
        httpx.Client(transport=refuses, base_url="http://a") as http,
    ):
        client._http = http
        with pytest.raises(AirflowError, match="^churn_training was not started: .* too few$"):
            client.trigger(DAG_ID, {"minutes": 0.0})


def test_of_a_mapped_task_is_told_how_many_are_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waiting, failed = task_is("score_range", "running"), task_is("score_range", "up_for_retry", 9)
    done = [task_is("score_range", "success", seconds) for seconds in (1.0, 2.0, 3.0)]
    script = a_run(
        "running running running success",
        [waiting, waiting, waiting],
        [done[0], done[1], waiting],
        [done[0], done[1], failed],
        done,
    )
    with airflow_answering(script) as client:
        dag_runs.follow(client, DAG_ID, RUN, logs=tmp_path)
    assert shown(caplog) == [
        "  score_range          3.0 s  2 of 3",
        "  score_range          6.0 s  3 of 3",
    ]


def test_a_run_that_asks_a_person_is_left_to_wait_and_says_where_to_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = a_run(
        "running",
        [task_is("evaluate_model", "success", 1.0)],
        [task_is("approve_promotion", "awaiting_input")],
    )
    with airflow_answering(script) as client:
        run = dag_runs.follow(client, DAG_ID, RUN, logs=tmp_path)
    assert not run.is_finished
    page = f"http://airflow/dags/{DAG_ID}/runs/{RUN}/tasks/approve_promotion/required_actions"
    assert shown(caplog) == [
        "  evaluate_model       1.0 s",
        f"approve_promotion waits for a person, answer here: {page}",
    ]


def test_who_waits_for_a_dead_scheduler_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dag_runs, "QUIET_SECONDS", 0)
    beats = [("unhealthy", "2026-01-02T03:00:00Z"), ("healthy", "2026-01-02T03:04:10Z")]
    health = [
        {"scheduler": {"status": status, "latest_scheduler_heartbeat": at}} for status, at in beats
    ]
    script = a_run("queued queued success", []) | {"GET /api/v2/monitor/health": health}
    with airflow_answering(script) as client:
        dag_runs.follow(client, DAG_ID, RUN, logs=tmp_path)
    (told,) = shown(caplog)
    assert told.startswith("Airflow's scheduler gave no sign of life since 2026-01-02T03:00:00Z")


def test_the_services_are_looked_after_meanwhile(tmp_path: Path) -> None:
    class Fallen(Exception):
        pass

    def tick() -> None:
        raise Fallen

    with airflow_answering(a_run("running", [])) as client, pytest.raises(Fallen):
        dag_runs.follow(client, DAG_ID, RUN, logs=tmp_path, tick=tick)


@pytest.mark.parametrize("call", [AirflowClient.dag, AirflowClient.unfinished_run])
def test_a_silent_airflow_is_an_error(
    call: Callable[[AirflowClient, str], object], free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airflow_client, "PAUSE_SECONDS", 0.01)
    client = AirflowClient(f"http://127.0.0.1:{free_port}", user="a", password="b")
    with pytest.raises(AirflowError, match="no answer from Airflow to GET"):
        call(client, "churn_training")
    client.close()


def test_an_answer_may_be_given_twice_but_not_contradict_another() -> None:
    path = f"{DAG}/dagRuns/{RUN}/taskInstances/approve_promotion/-1/hitlDetails"
    where, answer = (DAG_ID, RUN, "approve_promotion"), {"option": "Approve", "why": "looked at"}
    given = [{"chosen_options": ["Approve"]}, {"chosen_options": ["Reject"]}]
    with airflow_answering({f"PATCH {path}": [409], f"GET {path}": given}) as client:
        client.answer(*where, **answer)
        with pytest.raises(AirflowError, match=r"or Approve, found Reject: it stands"):
            client.answer(*where, **answer)


def test_a_locked_database_is_asked_again_and_one_run_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(airflow_client, "PAUSE_SECONDS", 0.01)
    # The first answer was lost after the run was made, so the second finds it.
    with airflow_answering({f"POST {DAG}/dagRuns": [500, 409]}) as client:
        assert client.trigger(DAG_ID, {}).startswith("manual__")
    with (
        airflow_answering({f"POST {DAG}/dagRuns": [500]}) as client,
        pytest.raises(AirflowError, match="Airflow answers 500 to POST"),
    ):
        client.trigger(DAG_ID, {})
