"""Logs are one JSON object a line, and say nothing about customers."""

import json
import logging
import os
from typing import Any

import pytest
from flask.testing import FlaskClient

from include.settings import Settings
from include.store import LocalStore
from tests.webapp.champions import Version, publish
from tests.webapp.conftest import client_of
from webapp.logs import JsonFormatter, request_id


def test_a_record_is_one_line_of_json_with_its_exception() -> None:
    error = ValueError("why")
    info = (ValueError, error, None)
    record = logging.LogRecord("webapp", logging.INFO, "", 1, "a\n%s", ("b",), info)
    record.route = "/predict"
    token = request_id.set("r-1")
    line = JsonFormatter().format(record)
    request_id.reset(token)
    found = json.loads(line)
    assert "\n" not in line and found.pop("time").endswith("+00:00")
    assert found == {
        "level": "info",
        "logger": "webapp",
        "message": "a\nb",
        "process": os.getpid(),
        "request_id": "r-1",
        "route": "/predict",
        "exception": "ValueError: why",
    }


@pytest.mark.parametrize("log_all", [True, False])
def test_requests_are_logged_on_request(
    settings: Settings,
    var_store: LocalStore,
    version_1: Version,
    record: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    log_all: bool,
) -> None:
    publish(var_store, version_1)
    client: FlaskClient = client_of(settings.model_copy(update={"access_log": log_all}))
    with caplog.at_level(logging.INFO):
        client.post("/predict", json={**record, "customer_id": 708082083})
        client.post("/predict", json={**record, "Gender": "secret"})
    lines = [r for r in caplog.records if r.name == "webapp.middleware"]
    assert len(lines) == (2 if log_all else 0)
    assert "708082083" not in caplog.text and "secret" not in caplog.text
