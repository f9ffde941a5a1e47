"""The answering routes, in this process: right answers, every fault, and what is logged of them."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from flask.testing import FlaskClient

from include.champion.native_trees import trees_input
from include.champion.versions import TREES_FILE
from include.contract import CUSTOMER_ID_CHARACTERS
from include.predictions.log import customer_key
from include.settings import Settings
from include.store import LocalStore
from research.customers import EIGHT_COLUMNS
from tests.webapp.champions import (
    Version,
    expected,
    make_version,
    model_input,
    publish,
    records,
)
from tests.webapp.conftest import client_of
from webapp.prediction_log.shipper import read_segment

JSON = {"Content-Type": "application/json"}


def logged(client: FlaskClient) -> list[dict[str, Any]]:
    spool = client.application.extensions["churn"].spool
    found = spool.directory.glob("*.open")
    return [row for path in found for row in read_segment(path).rows.to_pylist()]


def test_an_answer_is_the_champions(
    client: FlaskClient, version_1: Version, record: dict[str, Any]
) -> None:
    answer = client.post("/predict", json=record)
    assert answer.status_code == 200 and answer.content_type == "application/json"
    found = answer.get_json()
    assert found["probabilities"] == expected(version_1, [record])
    assert found["predictions"] == [int(found["probabilities"][0] >= 0.5)]
    assert found["model_version"] == "1" and found["num_samples"] == 1
    assert found["timestamp"].endswith("Z") and found["request_id"]
    assert set(found) == {
        *("predictions", "probabilities", "model_version"),
        *("timestamp", "num_samples", "request_id"),
    }


@pytest.mark.parametrize("rows", [1, 31, 32, 300])
def test_a_batch_is_answered_in_its_order(
    client: FlaskClient, version_1: Version, rows: int
) -> None:
    found = client.post("/predict_batch", json={"records": records(rows)}).get_json()
    assert found["probabilities"] == pytest.approx(expected(version_1, records(rows)), abs=1e-6)
    assert found["num_samples"] == len(found["predictions"]) == rows


def test_a_champion_on_eight_columns_asks_for_eight(
    settings: Settings, var_store: LocalStore
) -> None:
    version = make_version("8", columns=EIGHT_COLUMNS)
    publish(var_store, version)
    client = client_of(settings)
    record = records(1, columns=EIGHT_COLUMNS)[0]
    assert client.post("/predict", json=record).get_json()["probabilities"] == expected(
        version, [record]
    )
    everything = records(1)[0]
    assert client.post("/predict", json=everything).status_code == 200
    assert logged(client)[1]["Gender"] == everything["Gender"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"", JSON, 400, "not JSON"),
        (b"{", JSON, 400, "not JSON"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "found 'text/plain'"),
        (b"{}", {}, 415, "Content-Type: application/json"),
        (b'{"Credit_Limit": 1, "Credit_Limit": 2}', JSON, 422, '"expected":"each key once"'),
        (b"[]", JSON, 422, "a JSON object"),
        (b'"x"', JSON, 422, "a JSON object"),
        (b'{"Credit_Limit": NaN}', JSON, 422, '"found":"nan"'),
        (b'{"Credit_Limit": 1e999}', JSON, 422, '"found":"inf"'),
        (b'{"\\ud800": NaN}', JSON, 422, "an unknown field"),
        (b" " * (2**24 + 1), JSON, 413, "Too Large"),
        (b"[" + b"{}," * 2**20 + b"{}]", JSON, 413, "at most 10000 records"),
        (b"[" * 2**21 + b"]" * 2**21, JSON, 413, "at most 10000 records"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(
    client: FlaskClient, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = client.post("/predict", data=body, headers=headers)
    assert answer.status_code == status and words in answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.get_json(force=True)["request_id"] == answer.headers["X-Request-ID"]
    assert len(answer.data) < 20_000


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        ({}, 422, 'found":"nothing'),
        ({"records": []}, 422, "an empty array"),
        ({"records": {}}, 422, "a JSON object"),
        ({"records": None}, 422, "nothing"),
        ({"records": [1]}, 422, '"row":0'),
        ({"records": [{}], "more": 1}, 422, "no other member than records"),
        ([], 422, "a JSON object with the member records"),
        ({"records": [0] * 10_001}, 413, "at most 10000 records"),
    ],
)
def test_what_is_wrong_with_a_batch_is_said(
    client: FlaskClient, document: Any, status: int, words: str
) -> None:
    answer = client.post("/predict_batch", json=document)
    assert answer.status_code == status and words in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("get", "/nowhere", 404), ("get", "/predict", 405), ("delete", "/health", 405)],
)
def test_an_unknown_route_or_method_is_a_problem_too(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    answer = getattr(client, method)(path)
    assert answer.status_code == status and answer.content_type == "application/problem+json"


def test_without_a_champion_nothing_is_answered(settings: Settings) -> None:
    client = client_of(settings)
    answer = client.post("/predict", json={})
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "5"
    assert client.get("/ready").status_code == 503
    assert client.get("/health").get_json() == {
        "status": "OK",
        "model_loaded": False,
        "model_version": None,
    }


def test_a_whole_batch_is_answered_whatever_its_customers_are_called(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    row = {**record, "customer_id": "," * CUSTOMER_ID_CHARACTERS}
    answer = client.post("/predict_batch", json={"records": [row] * 10_000})
    assert len(answer.get_json()["predictions"]) == 10_000


def test_every_answer_is_logged_before_it_leaves(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    single = client.post("/predict", json=record, headers={"X-Request-ID": "mine"}).get_json()
    batch = client.post("/predict_batch", json={"records": records(2)}).get_json()
    rows = logged(client)
    assert [row["row"] for row in rows] == [0, 0, 1]
    assert rows[0]["request_id"] == single["request_id"] == "mine"
    assert [row["probability"] for row in rows[1:]] == batch["probabilities"]
    assert rows[0]["predicted_at"] == datetime.fromisoformat(single["timestamp"])
    assert rows[0]["model_version"] == "1"
    assert {key: rows[0][key] for key in record} == record
    assert rows[0]["prediction_id"] != rows[1]["prediction_id"] == rows[2]["prediction_id"]
    assert 0 < rows[0]["latency_seconds"] < 5


def test_a_refused_request_is_not_logged(client: FlaskClient, record: dict[str, Any]) -> None:
    client.post("/predict", json={**record, "Gender": "?"})
    assert logged(client) == []


def test_a_customer_is_logged_under_a_keyed_hash(
    client: FlaskClient, settings: Settings, record: dict[str, Any]
) -> None:
    client.post("/predict", json={**record, "customer_id": 708082083})
    (row,) = logged(client)
    assert row["customer_key"] == customer_key(708082083, settings.customer_id_key())
    spool = client.application.extensions["churn"].spool.directory
    assert all(b"708082083" not in path.read_bytes() for path in spool.iterdir())


@pytest.mark.parametrize("source", ["customer", "what-if", "bulk", "test"])
def test_the_source_is_logged(client: FlaskClient, record: dict[str, Any], source: str) -> None:
    client.post("/predict", json=record, headers={"X-Churn-Source": source})
    assert logged(client)[0]["source"] == source


def test_an_unknown_source_is_refused(client: FlaskClient, record: dict[str, Any]) -> None:
    answer = client.post("/predict", json=record, headers={"X-Churn-Source": "drift"})
    assert answer.status_code == 422 and "one of customer, what-if, bulk, test" in answer.text


@pytest.mark.parametrize("family", ["xgboost", "random_forest"])
def test_an_explanation_adds_up_and_is_xgboosts_own(
    settings: Settings, var_store: LocalStore, family: str
) -> None:
    version = make_version("7", family=family)
    publish(var_store, version)
    record = records(1, seed=3)[0]
    found = client_of(settings).post("/explain", json=record).get_json()
    total = found["base_value"] + sum(c["contribution"] for c in found["contributions"])
    (served,) = expected(version, [record])
    assert total == pytest.approx(np.log(served / (1 - served)), abs=1e-3)
    assert found["probability"] == pytest.approx(served, abs=1e-6)
    assert found["log_odds"] == pytest.approx(total, abs=1e-9)
    sizes = [abs(c["contribution"]) for c in found["contributions"]]
    assert sizes == sorted(sizes, reverse=True)
    engineered = {c["feature"] for c in found["contributions"] if c["engineered"]}
    assert engineered == set(version[0].engineered)
    theirs = shap_by_xgboost(version, record)
    ours = {c["feature"]: c["contribution"] for c in found["contributions"]}
    assert ours == pytest.approx(theirs, abs=1e-5)


def shap_by_xgboost(version: Version, record: dict[str, Any]) -> dict[str, float]:
    manifest, files = version
    booster = xgb.Booster()
    booster.load_model(bytearray(files[TREES_FILE]))
    scaled = trees_input(manifest, model_input(manifest, [record]))
    found = booster.predict(xgb.DMatrix(scaled), pred_contribs=True)[0]
    names = manifest.columns + manifest.engineered
    return {n: float(v) * manifest.calibration.slope for n, v in zip(names, found, strict=False)}


def test_an_explanation_is_not_logged(client: FlaskClient, record: dict[str, Any]) -> None:
    assert client.post("/explain", json=record).status_code == 200
    assert logged(client) == []


def test_a_failure_of_our_own_tells_no_data(
    client: FlaskClient,
    record: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"Credit_Limit was {12_000_000 + 3456}")

    monkeypatch.setattr(client.application.extensions["churn"], "answer", fail)
    answer = client.post("/predict", json=record)
    assert answer.status_code == 500 and answer.content_type == "application/problem+json"
    assert "12003456" not in answer.text + caplog.text and "RuntimeError" in caplog.text
    assert caplog.records[-1].name == "webapp.problems"  # what the runbook ChurnApiErrors looks for


def test_the_index_links_to_routes_that_exist(client: FlaskClient) -> None:
    found = client.get("/").get_json()
    known = {rule.rule for rule in client.application.url_map.iter_rules()}
    assert found["name"] == "churn" and set(found["links"].values()) < known


def test_the_model_route_gives_the_manifest(client: FlaskClient, version_1: Version) -> None:
    found = client.get("/model").get_json()
    assert found.items() >= json.loads(version_1[0].to_bytes()).items()
    assert found["promotion_reason"] == "test"


HEADERS: list[tuple[str, Callable[[str], bool]]] = [
    ("X-Content-Type-Options", lambda value: value == "nosniff"),
    ("X-Frame-Options", lambda value: value == "DENY"),
    ("Referrer-Policy", lambda value: value == "no-referrer"),
    ("Cache-Control", lambda value: value == "no-store"),
    ("Content-Security-Policy", lambda value: "default-src 'none'" in value),
    ("X-Request-ID", bool),
]


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/nowhere", "/metrics"])
def test_every_answer_has_the_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert all(right(headers[name]) for name, right in HEADERS)
    assert len(headers.getlist("Content-Security-Policy")) == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-1", True), ("a" * 128, True), ("a" * 129, False), ("a b", False), ("é", False)],
)
def test_a_request_id_comes_back_if_it_is_one(client: FlaskClient, given: str, kept: bool) -> None:
    answer = client.get("/nowhere", headers={"X-Request-ID": given})
    assert (answer.headers["X-Request-ID"] == given) is kept
    assert answer.get_json(force=True)["request_id"] == answer.headers["X-Request-ID"]
