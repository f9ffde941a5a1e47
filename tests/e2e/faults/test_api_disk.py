"""A disk that is full or takes no more files: answers go on, and what is not kept is counted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from include.store import LocalStore
from tests.full_disk import fill, fill_bytes
from tests.webapp.champions import Version, publish, records
from tests.webapp.conftest import GUNICORN, PROJECT, Server
from tests.webapp.load import Load, logged_ids, logged_rows

pytestmark = pytest.mark.slow

NO_ROOM = "answers are given but not logged"


def answered(server: Server, version: str) -> bool:
    answer = server.http.post("/predict", json=records(1)[0], headers={"X-Churn-Source": "test"})
    assert answer.status_code == 200
    found: str = answer.json()["model_version"]
    return found == version


@pytest.mark.parametrize("small_disk", ["size=8m,nr_inodes=300"], indirect=True)
def test_the_api_lives_on_a_disk_that_takes_nothing_more_and_counts_what_it_cannot_log(
    small_disk: Path,
    server: Server,
    server_store: LocalStore,
    version_1: Version,
    version_2: Version,
) -> None:
    names = {"TMPDIR": "tmp", "CHURN_SPOOL_DIR": "spool", "CHURN_CHAMPION_DIR": "champion"}
    for variable, name in names.items():
        (small_disk / name).mkdir()
        server.environment[variable] = str(small_disk / name)
    publish(server_store, version_1)
    server.start()
    assert answered(server, "1")
    filler = fill(small_disk)

    assert server.process is not None
    server.process.send_signal(signal.SIGTTIN)  # one worker more
    server.environment["CHURN_API_WORKERS"] = "3"
    server.until(lambda: server.log.count("counts in memory") == 1)
    os.kill(server.workers()[0], signal.SIGKILL)
    server.until(server.is_whole)
    publish(server_store, version_2)
    server.until(lambda: answered(server, "2"))
    server.until(lambda: answered(server, "2") and server.log.count(NO_ROOM) >= 2)
    assert "could not keep a local copy of version 2" in server.log
    assert server.metric("prediction_log_lost_rows_total") > 0
    assert "keeping the prediction spool failed" not in server.log
    server.until(lambda: "1" in {row["model_version"] for row in logged_rows(server_store)})

    for path in filler:
        path.unlink()
    rows = len(logged_rows(server_store))
    server.until(lambda: answered(server, "2") and len(logged_rows(server_store)) > rows)


@pytest.mark.parametrize("small_disk", ["size=4m,nr_inodes=300"], indirect=True)
@pytest.mark.parametrize(
    ("variable", "lost"),
    [("CHURN_SPOOL_DIR", True), ("TMPDIR", False), ("CHURN_CHAMPION_DIR", False)],
    ids=["spool", "metrics", "local copy"],
)
def test_a_disk_that_is_full_under_one_part_alone_stops_no_other(
    small_disk: Path,
    server: Server,
    server_store: LocalStore,
    version_1: Version,
    version_2: Version,
    variable: str,
    lost: bool,
) -> None:
    server.environment[variable] = str(small_disk)
    publish(server_store, version_1)
    server.start()
    filler = fill(small_disk)
    assert server.http.get("/metrics").status_code == 200
    os.kill(server.workers()[0], signal.SIGKILL)
    server.until(server.is_whole)
    publish(server_store, version_2)
    server.until(lambda: server.http.get("/health").json()["model_version"] == "2")
    with Load(server, records(4), clients=2) as load:
        load.wait_for(100)
    assert load.refused == [] and load.cut_off == 0
    if lost:
        assert NO_ROOM in server.log
    else:
        server.until(lambda: load.acknowledged <= set(logged_ids(server_store)))
    for path in filler:
        path.unlink()
    with Load(server, records(4), clients=2) as load:
        load.wait_for(50)
    server.until(lambda: load.acknowledged <= set(logged_ids(server_store)))


@pytest.mark.parametrize("small_disk", ["size=4m"], indirect=True)
def test_no_answer_is_lost_while_the_disk_under_the_store_is_full(
    small_disk: Path, server: Server, version_1: Version
) -> None:
    store = LocalStore(small_disk)
    server.environment["CHURN_STORE_URI"] = store.uri
    publish(store, version_1)
    server.start()
    room = fill_bytes(small_disk)
    with Load(server, records(4), clients=2) as load:
        load.wait_for(100, seconds=3)
    assert load.refused == [] and load.cut_off == 0
    server.until(lambda: "answers stay in the spool until the store takes them" in server.log)
    room.unlink()
    server.until(server.has_shipped, seconds=60)
    logged = logged_ids(store)
    assert set(logged) == load.acknowledged and len(logged) == len(set(logged))


@pytest.mark.parametrize("small_disk", ["size=200k"], indirect=True)
def test_the_api_answers_and_ships_where_its_log_takes_no_more(
    small_disk: Path, server: Server, server_store: LocalStore, version_1: Version
) -> None:
    log = small_disk / "api.log"
    server.environment["CHURN_ACCESS_LOG"] = "true"  # a line for each request
    server.command = ("tests.e2e.faults.logging_to", str(log), *GUNICORN)
    publish(server_store, version_1)
    server.start(ready=False)
    server.until(lambda: server.http.get("/ready").status_code == 200)
    size = log.stat().st_size
    fill_bytes(small_disk)
    with Load(server, records(4), clients=2) as load:
        load.wait_for(200)
    assert log.stat().st_size < size + 4096, "the disk had room"
    assert load.refused == [] and load.cut_off == 0
    server.until(lambda: load.acknowledged <= set(logged_ids(server_store)))


@pytest.mark.parametrize("small_disk", ["size=600k"], indirect=True)
def test_a_disk_without_room_for_metrics_ends_neither_workers_nor_their_master(
    small_disk: Path, server: Server, server_store: LocalStore, version_1: Version
) -> None:
    server.environment["TMPDIR"] = str(small_disk)
    publish(server_store, version_1)
    server.start()
    os.kill(server.workers()[0], signal.SIGKILL)
    server.until(lambda: server.log.count("counts in memory") == 3)
    server.until(server.is_whole)
    assert server.http.post("/predict", json=records(1)[0]).status_code == 200
    assert server.metric("model_loaded") == 1


START_WITHOUT_ROOM = """
import logging, os, runpy, tempfile
from pathlib import Path
from types import SimpleNamespace

def full(**_):
    raise OSError(28, "No space left on device")

tempfile.mkdtemp = full
conf = runpy.run_path("webapp/gunicorn.conf.py")
server = SimpleNamespace(cfg=SimpleNamespace(address=[("127.0.0.1", 1)]), log=logging.getLogger())
conf["on_starting"](server)
from webapp.metrics import Metrics
metrics = Metrics()
metrics.answered(rows=5, positives=1, seconds=0.003)
print(metrics.exposition(pending_rows=0, spool_dir=Path(".")).decode())
"""
LOG_WITHOUT_ROOM = """
import logging.config
from webapp import logs

logging.config.dictConfig(logs.configuration("INFO"))
for _ in range(1000):
    logging.getLogger().error("x" * 1000)
print("alive")
"""


def alone(code: str, errors: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        check=False,
    )


def test_it_starts_where_no_directory_for_metrics_can_be_made() -> None:
    done = alone(START_WITHOUT_ROOM, subprocess.PIPE)
    assert "prediction_requests_total 5.0" in done.stdout, done.stderr
    assert "no room in TMPDIR: /metrics tells only of the worker that answers" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_log_that_takes_no_more_stops_nobody() -> None:
    with open("/dev/full", "w") as full:
        assert alone(LOG_WITHOUT_ROOM, full.fileno()).stdout == "alive\n"
