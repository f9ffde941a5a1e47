"""Each alert by its real cause, from the service to the receiver, in a stack that is in a hurry."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from include.champion.versions import (
    MODEL_FILE,
    POINTER_KEY,
    move_pointer,
    read_pointer,
    version_key,
    write_version,
)
from include.store import LocalStore
from tests.infra.watched import RUNBOOKS, Watched, watched_stack
from tests.webapp.champions import Version, make_version, publish, records

LARGE_ROWS = 50_000  # some seconds of work
CLIENTS = 3
JSON = {"Content-Type": "application/json"}
SPOOL_BYTES = 2**20

pytestmark = pytest.mark.slow  # one stack for all, and each waits for what the one before did


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One stack for all; the tests break it in their order, and mend it."""
    with watched_stack(tmp_path_factory.mktemp("watched")) as found:
        found.api.environment |= {
            "CHURN_SPOOL_MAX_BYTES": str(SPOOL_BYTES),
            "CHURN_MAX_BATCH_ROWS": str(LARGE_ROWS),
            "CHURN_MAX_BODY_BYTES": str(2**28),
            "CHURN_LOG_FLUSH_SECONDS": "0.2",
        }
        yield found


@pytest.fixture(scope="module")
def store(stack: Watched) -> LocalStore:
    """What the API reads its champion from."""
    return LocalStore(stack.api.var_dir / "store")


@pytest.fixture(scope="module")
def champion() -> Version:
    """A sound version; it was made long ago."""
    return make_version("1")


def directory(store: LocalStore) -> Path:
    return Path(store.uri.removeprefix("file://"))


def ask(stack: Watched, *, rows: int = 1) -> int:
    document = {"records": records(rows)}
    return httpx.post(f"{stack.api.url}/predict_batch", json=document, timeout=60).status_code


def test_a_service_that_is_not_there_is_down(stack: Watched) -> None:
    told = stack.hears("ChurnApiDown")
    assert told["labels"]["severity"] == "critical"


def test_a_database_that_is_not_there_is_down(stack: Watched) -> None:
    stack.hears("ChurnDatabaseDown")


def test_without_a_champion_it_is_up_and_of_no_use(stack: Watched) -> None:
    stack.api.start(ready=False)
    stack.hears("ChurnApiDown", "resolved")
    stack.hears("ChurnApiNotReady")
    stack.until(lambda: stack.query('ALERTS{alertname="ChurnModelNotLoaded",alertstate="firing"}'))


def test_refused_requests_are_errors(stack: Watched) -> None:
    assert [ask(stack) for _ in range(5)] == [503] * 5
    stack.until(lambda: stack.query('ALERTS{alertname="ChurnApiErrors",alertstate="firing"}'))


def test_a_champion_ends_it_and_its_age_is_told(
    stack: Watched, store: LocalStore, champion: Version
) -> None:
    publish(store, champion)
    stack.hears("ChurnApiNotReady", "resolved")
    told = stack.hears("ChurnChampionOld")
    assert "days ago" in told["annotations"]["summary"]
    assert ask(stack) == 200


def test_a_pointer_that_somebody_deletes_is_missed(stack: Watched, store: LocalStore) -> None:
    data = store.read(POINTER_KEY).data
    store.delete(POINTER_KEY)
    stack.hears("ChurnChampionPointerMissing")
    assert ask(stack) == 200
    store.write(POINTER_KEY, data)


def test_a_damaged_version_is_refused(stack: Watched, store: LocalStore) -> None:
    pointer = write_version(store, *make_version("2", seed=2))
    damaged = directory(store) / version_key("2", MODEL_FILE)
    damaged.chmod(0o600)
    damaged.write_bytes(b"not a model")
    found = read_pointer(store)
    assert found is not None
    now = datetime.now(UTC)
    move_pointer(store, pointer, etag=found[1], previous="1", reason="test", now=now)
    stack.hears("ChurnChampionRefused")
    assert ask(stack) == 200


def test_a_store_that_takes_nothing_leaves_a_backlog_and_then_losses(
    stack: Watched, store: LocalStore
) -> None:
    predictions = directory(store) / "predictions"
    stack.until(lambda: stack.api.metric("prediction_log_pending_rows") == 0)
    moved = predictions.rename(predictions.with_name("away"))
    predictions.write_text("not a directory")
    ask(stack, rows=3)
    stack.hears("ChurnPredictionLogBacklog")
    assert not stack.receiver.alerts("ChurnPredictionLogLostRows")
    ask(stack, rows=5_000)
    told = stack.hears("ChurnPredictionLogLostRows")
    assert "could not be logged" in told["annotations"]["summary"]
    predictions.unlink()
    moved.rename(predictions)
    stack.hears("ChurnPredictionLogBacklog", "resolved")


def test_answers_that_take_long_are_noticed(stack: Watched) -> None:
    body = json.dumps({"records": records(LARGE_ROWS)}).encode()
    noticed = threading.Event()

    def keep_asking() -> None:
        while not noticed.is_set():
            httpx.post(f"{stack.api.url}/predict_batch", content=body, headers=JSON, timeout=60)

    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [clients.submit(keep_asking) for _ in range(CLIENTS)]
        try:
            stack.hears("ChurnApiSlow", seconds=90)
        finally:
            noticed.set()
    assert not [client.exception() for client in asked if client.exception()]


def test_dags_tell_of_drift_and_failures(stack: Watched) -> None:
    stack.signal("training=failed", "asks=waiting", "drift=3", "airflow=churn_scoring")
    stack.signal("performance=0.88")
    assert "3 features" in stack.hears("ChurnDriftFound")["annotations"]["summary"]
    stack.hears("ChurnTrainingNeedsPerson")
    stack.signal("asks=answered")
    stack.hears("ChurnTrainingNeedsPerson", "resolved")
    stack.hears("ChurnTrainingFailed")
    stack.hears("ChurnPerformanceLost")
    told = stack.hears("ChurnDagRunFailed")
    assert "churn_scoring" in told["annotations"]["summary"]
    stack.signal("task_failed=churn_drift.publish_report")
    stack.hears("ChurnDriftReportFailed")
    assert not stack.receiver.alerts("ChurnDriftCheckMissing")


def test_a_quiet_check_ends_the_drift_and_a_late_one_is_missed(stack: Watched) -> None:
    stack.signal("late=", "performance=0.95")
    stack.hears("ChurnDriftFound", "resolved")
    stack.hears("ChurnPerformanceLost", "resolved")
    stack.hears("ChurnDriftCheckMissing")
    stack.signal("drift=0")
    stack.hears("ChurnDriftCheckMissing", "resolved")


def test_a_scheduler_that_stops_is_silent(stack: Watched) -> None:
    stack.signal("airflow=churn_training")
    stack.hears("ChurnSchedulerSilent")
    assert stack.query('airflow_heartbeat_total{component="scheduler"}')


def test_a_receiver_that_refuses_is_told_of_once_it_listens(stack: Watched) -> None:
    stack.receiver.accepts = False
    stack.signal("drift=1")
    name = 'ALERTS{alertname="ChurnAlertsNotDelivered",alertstate="firing"}'
    stack.until(lambda: stack.query(name))
    stack.receiver.accepts = True
    stack.hears("ChurnAlertsNotDelivered")


def test_what_was_told_reads_well(stack: Watched) -> None:
    for notification in stack.receiver.heard:
        for alert in notification["alerts"]:
            text = json.dumps(alert["annotations"])
            assert "{{" not in text and "error" not in alert["annotations"]["summary"]
            assert "<no value>" not in text and "%!" not in text
            page = f"{RUNBOOKS}/{alert['labels']['alertname']}.md"
            assert alert["annotations"]["runbook_url"] == page
            assert "runbooks" not in alert["labels"]


def test_an_exporter_that_falls_is_missed(stack: Watched) -> None:
    os.kill(stack.exporter.pid, signal.SIGKILL)
    told = stack.hears("ChurnTargetDown")
    assert told["labels"]["job"] == "statsd-exporter"
