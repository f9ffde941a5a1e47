"""Kills at the worst moment: while answers are given, logged and shipped, and champions change."""

import os
import random
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest

from include.champion.versions import read_pointer
from include.errors import ObjectChanged
from include.store import LocalStore
from tests.conftest import AWS_DUMMY, empty_bucket
from tests.e2e.faults.proxy import Proxy
from tests.webapp.champions import Version, expected, publish, records
from tests.webapp.conftest import POLL_SECONDS, Server, loopback_port
from tests.webapp.load import Load, logged_ids

pytestmark = pytest.mark.slow

PROMOTIONS = 10


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
    assert statistics.median(seconds) < POLL_SECONDS + 5  # a busy machine loads more slowly
    for place, answer in load.answers:
        assert answer["probabilities"] == pytest.approx([own[answer["model_version"]][place]])
    served = Counter(answer["model_version"] for _, answer in load.answers)
    assert min(served.values()) > 100 and len(served) == 2


def test_no_acknowledged_answer_is_lost_or_doubled_when_workers_and_master_are_killed(
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


def test_counts_stay_exact_when_workers_are_killed_and_files_damaged(running: Server) -> None:
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


def shippers(server: Server) -> list[psutil.Process]:
    """The shipper, a child of one of the workers; none for a moment after it was killed."""
    assert server.process is not None
    below = psutil.Process(server.process.pid).children(recursive=True)
    return [each for each in below if "webapp.prediction_log.shipper" in _command(each)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def test_no_acknowledged_answer_is_lost_or_doubled_when_the_shipper_is_killed_while_it_ships(
    tmp_path: Path, s3_endpoint: str, version_1: Version
) -> None:
    bucket = empty_bucket(s3_endpoint)
    publish(bucket, version_1)
    with behind_proxy(s3_endpoint) as proxy:
        environment = {**AWS_DUMMY, "AWS_ENDPOINT_URL": proxy.url, "CHURN_STORE_URI": bucket.uri}
        server = Server(loopback_port(), tmp_path, environment | {"CHURN_LOG_FLUSH_SECONDS": "0.2"})
        try:
            server.start()
            proxy.set("slow")  # so that a kill meets an object on its way
            with Load(server, records(8), clients=2) as load:
                for _ in range(3):
                    load.wait_for(50)
                    server.until(lambda: bool(shippers(server)))
                    time.sleep(0.7)
                    for each in shippers(server):
                        each.kill()
            proxy.set("pass")
            server.until(server.has_shipped, seconds=60)
        finally:
            proxy.set("pass")
            server.stop()
    logged = logged_ids(bucket)
    assert load.refused == [] and load.cut_off == 0
    assert set(logged) == load.acknowledged and len(logged) == len(set(logged))


def test_workers_killed_while_they_read_a_new_champion_serve_it_whole_afterwards(
    tmp_path: Path, s3_endpoint: str, version_1: Version, version_2: Version
) -> None:
    bucket = empty_bucket(s3_endpoint)
    publish(bucket, version_1)
    own = {each[0].version: expected(each, records(8)) for each in (version_1, version_2)}
    with behind_proxy(s3_endpoint) as proxy:
        environment = {**AWS_DUMMY, "AWS_ENDPOINT_URL": proxy.url, "CHURN_STORE_URI": bucket.uri}
        server = Server(loopback_port(), tmp_path, environment)
        try:
            server.start()
            proxy.set("slow")  # a second for each part of the model
            publish(bucket, version_2)
            with Load(server, records(8), clients=2) as load:
                load.wait_for(20, seconds=1.5)
                for worker in server.workers():
                    os.kill(worker, signal.SIGKILL)
                load.wait_for(20)
                proxy.set("pass")
                server.until(lambda: load.last_versions(40) == {"2"}, seconds=60)
        finally:
            proxy.set("pass")
            server.stop()
    assert load.refused == []
    for place, answer in load.answers:
        assert answer["probabilities"] == pytest.approx([own[answer["model_version"]][place]])


@contextmanager
def behind_proxy(endpoint: str) -> Iterator[Proxy]:
    """A proxy in front of the store, as slow as a second for each part."""
    parts = urlsplit(endpoint)
    proxy = Proxy(str(parts.hostname), parts.port or 0)
    yield proxy
    proxy.close()


def test_two_promotions_that_race_leave_one_whole_version_in_every_answer(
    running: Server, version_1: Version, version_2: Version
) -> None:
    store = LocalStore(running.var_dir / "store")
    own = {each[0].version: expected(each, records(8)) for each in (version_1, version_2)}
    lost = []

    def promote_often(version: Version) -> None:
        for _ in range(15):
            try:
                publish(store, version)
            except ObjectChanged:  # the other one was first
                lost.append(version[0].version)

    with Load(running, records(8)) as load:
        racers = [
            threading.Thread(target=promote_often, args=(each,)) for each in (version_1, version_2)
        ]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        winner = read_pointer(store)
        assert winner is not None
        running.until(lambda: load.last_versions(40) == {winner[0].version})
    assert load.refused == [] and load.cut_off == 0
    for place, answer in load.answers:
        assert answer["probabilities"] == pytest.approx([own[answer["model_version"]][place]])
    publish(store, version_1)
    running.until(lambda: running.http.get("/health").json()["model_version"] == "1")
