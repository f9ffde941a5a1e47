"""Logs are one JSON object a line, and say nothing about customers."""

import json
import logging
import os
import subprocess
import sys
from typing import Any

import pytest
from flask.testing import FlaskClient

from include.errors import StoreError
from include.settings import Settings
from include.store import LocalStore
from tests.webapp.champions import Version, publish
from tests.webapp.conftest import PROJECT, client_of
from webapp.logs import JsonFormatter, request_id


def test_a_record_is_one_line_of_json_with_its_exception() -> None:
    error = OSError(28, "why")
    info = (OSError, error, None)
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
        "exception": "OSError: [Errno 28] why",
    }


CUSTOMER = 708082083


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError(CUSTOMER), "ValueError"),
        (KeyError(CUSTOMER), "KeyError"),
        (OSError(f"Invalid chunk size: {CUSTOMER}"), "OSError"),
        (OSError(28, "No space left on device", "spool"), "No space left on device: 'spool'"),
        (StoreError("no access to s3://bucket"), "StoreError: no access to s3://bucket"),
        (ImportError("No module named 'redis'"), "No module named 'redis'"),
    ],
)
def test_an_errors_words_are_told_where_they_cannot_be_a_customers(
    error: Exception, told: str
) -> None:
    try:
        try:
            raise ValueError(f"Credit_Limit was {CUSTOMER}")
        except ValueError as cause:
            raise error from cause
    except Exception:
        info = sys.exc_info()
    found = json.loads(JsonFormatter().format(_record(info)))["exception"]
    first, second = found.split("\nled to\n")
    assert str(CUSTOMER) not in found
    assert first.endswith("\nValueError") and second.endswith(told)
    assert "test_logs.py" in first and "raise error from cause" in second


def _record(info: Any) -> logging.LogRecord:
    return logging.LogRecord("webapp", logging.ERROR, "", 1, "failed", (), info)


def test_a_process_that_ends_by_an_error_tells_no_customers() -> None:
    code = (
        "import logging.config, sys; from webapp import logs; sys.excepthook = logs.log_uncaught; "
        "logging.config.dictConfig(logs.configuration('INFO')); int(sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"{CUSTOMER}x"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    found = json.loads(line)
    assert done.returncode == 1 and found["exception"].endswith("ValueError")
    assert str(CUSTOMER) not in line


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
        client.post("/predict", json={**record, "customer_id": CUSTOMER})
        client.post("/predict", json={**record, "Gender": "secret"})
        client.open(f"/customers/{CUSTOMER}?id={CUSTOMER}", method=f"GET{CUSTOMER}")
        client.post("/predict", json={**record, str(CUSTOMER): 1}, headers={"X-Api-Key": "secret"})
    lines = [r for r in caplog.records if r.name == "webapp.middleware"]
    assert len(lines) == (4 if log_all else 0)
    told = "".join(map(JsonFormatter().format, caplog.records))
    assert str(CUSTOMER) not in told and "secret" not in told
