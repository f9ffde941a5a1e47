"""The whole service over real sockets: starts and stops; kills are in tests/e2e/faults."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from include.store import LocalStore
from tests.webapp.champions import Version, publish, records
from tests.webapp.conftest import PROJECT, Server, loopback_port
from tests.webapp.load import Load, logged_ids


def test_a_reload_goes_on_counting(server: Server, version_1: Version) -> None:
    publish(LocalStore(server.var_dir / "store"), version_1)
    server.start()
    assert server.http.post("/predict", json=records(1)[0]).status_code == 200
    before = server.workers()
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: not set(before) & set(server.workers()) and server.is_whole())
    assert server.metric("prediction_requests_total") == 1
    assert len(list(server.var_dir.glob("churn-metrics-*"))) == 1


@pytest.mark.slow
def test_a_gentle_stop_answers_what_has_begun_and_ships_everything(
    server: Server, server_store: LocalStore, version_1: Version
) -> None:
    publish(server_store, version_1)
    server.start()
    with Load(server, records(8)) as load:
        load.wait_for(100)
        server.stop()
    assert load.refused == [] and load.acknowledged == set(logged_ids(server_store))


def test_it_serves_where_loopback_is_ipv6(tmp_path: Path, version_1: Version) -> None:
    environment = {"CHURN_API_HOST": "::1", "CHURN_API_WORKERS": "1"}
    server = Server(loopback_port(), tmp_path, environment, host="::1")
    publish(LocalStore(server.var_dir / "store"), version_1)
    try:
        server.start()
        assert httpx.post(server.url + "/predict", json=records(1)[0]).status_code == 200
    finally:
        server.stop()


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "[::]:0"])
def test_it_refuses_to_be_reachable_without_keys(tmp_path: Path, bind: str) -> None:
    command = [sys.executable, "-m", "gunicorn", "-c", "webapp/gunicorn.conf.py", "-b", bind]
    done = subprocess.run(
        [*command, "webapp:create_app()"],
        cwd=PROJECT,
        env={**os.environ, "CHURN_VAR_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0 and "CHURN_API_KEYS is empty" in done.stderr
