"""The whole service over real sockets: starts, promotions, kills, stops."""

import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
import pytest

from include.store import LocalStore
from tests.webapp.champions import Version, expected, publish, records
from tests.webapp.conftest import POLL_SECONDS, PROJECT, Server, loopback_port
from tests.webapp.load import Load, logged_ids

PROMOTIONS = 10


@pytest.mark.slow
def test_promotions_and_rollbacks_reach_every_worker_and_fail_no_request(
    running: Server, version_1: Version, version_2: Version
) -> None:
    store = LocalStore(running.var_dir / "store")
    own = {v[0].version: expected(v, records(8)) for v in (version_1, version_2)}
    seconds = []
    with Load(running, records(8)) as load:
        for version in [version_2, version_1] * (PROMOTIONS // 2):
            publish(store, version)
            started = time.monotonic()
            running.until(lambda version=version: load.last_versions(40) == {version[0].version})
            seconds.append(time.monotonic() - started)
    assert load.refused == [] and load.cut_off == 0
    assert statistics.median(seconds) < POLL_SECONDS + 2  # a busy machine loads more slowly
    for place, answer in load.answers:
        assert answer["probabilities"] == pytest.approx([own[answer["model_version"]][place]])
    served = Counter(answer["model_version"] for _, answer in load.answers)
    assert min(served.values()) > 100 and len(served) == 2


@pytest.mark.slow
def test_killed_workers_and_a_killed_master_lose_no_acknowledged_answer(
    server: Server, server_store: LocalStore, version_1: Version
) -> None:
    publish(server_store, version_1)
    server.start()
    chance = random.Random(3)
    with Load(server, records(8)) as load:
        for _ in range(2):
            load.wait_for(100)
            os.kill(chance.choice(server.workers()), signal.SIGKILL)
        load.wait_for(100)
        workers = server.workers()
        server.stop(how=signal.SIGKILL)
        # The workers notice within a second that their master is gone.
        for worker in workers:
            _wait_until_gone(worker)
        server.start()
        load.wait_for(100)
    server.until(server.has_shipped)
    logged = logged_ids(server_store)
    assert load.refused == []
    assert load.acknowledged <= set(logged), "an acknowledged answer is missing in the log"
    assert len(logged) == len(set(logged)), "an answer is logged twice"
    assert len(logged) - len(load.answers) <= load.cut_off


def _wait_until_gone(process_id: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and os.path.exists(f"/proc/{process_id}"):
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{process_id}")


def test_counts_stay_exact_over_kills_and_damaged_files(running: Server) -> None:
    *_, folder = sorted(running.var_dir.glob("churn-metrics-*"))
    labels = {"method": "POST", "route": "/predict", "status": "200"}
    before = [
        running.metric("prediction_requests_total"),
        running.metric("http_requests_total", **labels),
    ]
    if np.isnan(before).any():
        before = [0.0, 0.0]
    for _ in range(2):
        for _ in range(10):
            assert running.http.post("/predict", json=records(1)[0]).status_code == 200
        victim = running.workers()[0]
        os.kill(victim, signal.SIGKILL)
        running.until(lambda victim=victim: victim not in running.workers())
        (folder / f"counter_{victim}.db").touch()
        running.until(running.is_whole)
    running.until(lambda: running.metric("model_loaded") == 1)
    assert running.metric("prediction_requests_total") == before[0] + 20
    assert running.metric("http_requests_total", **labels) == before[1] + 20
    assert running.metric("champion_info", version="1") == 1
    assert len(list(folder.glob("histogram_*.db"))) <= 4  # two workers, at most one slot more each


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


def test_it_starts_without_a_champion_and_becomes_ready_by_itself(
    server: Server, server_store: LocalStore, version_1: Version
) -> None:
    server.environment["CHURN_API_WORKERS"] = "1"
    server.start(ready=False)
    assert server.http.get("/ready").status_code == 503
    assert server.metric("model_loaded") == 0
    publish(server_store, version_1)
    server.until(lambda: server.http.get("/ready").status_code == 200)


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
