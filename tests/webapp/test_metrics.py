"""The metrics of one process."""

from typing import Any

from flask.testing import FlaskClient

from include.champion.versions import MODEL_FILE, version_key
from include.store import LocalStore
from tests.webapp.champions import MADE_AT, Version, publish, records
from tests.webapp.conftest import samples


def test_answers_are_counted_by_record_label_and_time(client: FlaskClient) -> None:
    found = client.post("/predict_batch", json={"records": records(20)}).get_json()
    client.post("/predict", json={})
    after = samples(client.get("/metrics").text)
    assert after["prediction_requests_total"] == 20
    positives = sum(found["predictions"])
    assert after['prediction_output_distribution_total{label="1"}'] == positives
    assert after['prediction_output_distribution_total{label="0"}'] == 20 - positives
    assert after["prediction_request_latency_seconds_count"] == 1
    assert after['http_requests_total{method="POST",route="/predict",status="422"}'] == 1


def test_the_champion_is_shown(client: FlaskClient) -> None:
    found = samples(client.get("/metrics").text)
    assert found["model_loaded"] == found['champion_info{version="1"}'] == 1
    assert found["champion_trained_timestamp_seconds"] == MADE_AT.timestamp()
    assert found['champion_reloads_total{outcome="loaded"}'] == 1


def test_a_refused_champion_is_counted_and_the_old_one_shown(
    client: FlaskClient, var_store: LocalStore, version_2: Version
) -> None:
    publish(var_store, version_2)
    (var_store.root / version_key("2", MODEL_FILE)).write_bytes(b"torn")
    client.application.extensions["churn"].holder.poll()
    found = samples(client.get("/metrics").text)
    assert found['champion_reloads_total{outcome="refused"}'] == 1
    assert found["model_loaded"] == found['champion_info{version="1"}'] == 1
    assert client.get("/health").get_json()["model_version"] == "1"


def test_unsent_answers_are_pending(client: FlaskClient, record: dict[str, Any]) -> None:
    for _ in range(3):
        client.post("/predict", json=record)
    assert samples(client.get("/metrics").text)["prediction_log_pending_rows"] == 3
    assert samples(client.get("/metrics").text)["prediction_log_lost_rows_total"] == 0


def test_the_disk_of_the_spool_is_shown(client: FlaskClient) -> None:
    found = samples(client.get("/metrics").text)
    assert 0 < found["churn_disk_free_bytes"] < found["churn_disk_size_bytes"]


def test_a_scan_of_paths_and_methods_makes_no_series(client: FlaskClient) -> None:
    for place in range(5):
        client.get(f"/scan/{place}")
        client.open("/", method=f"SCAN{place}")
    found = samples(client.get("/metrics").text)
    assert found['http_requests_total{method="GET",route="unmatched",status="404"}'] == 5
    assert found['http_requests_total{method="other",route="/",status="405"}'] == 5
