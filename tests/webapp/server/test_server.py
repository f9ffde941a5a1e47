"""The whole service over real sockets: promotions, kills, store faults, slow clients, stops."""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pyarrow as pa
import pytest

from include.champion.onnx_scorer import Scorer
from include.champion.versions import MODEL_FILE, version_key
from include.predictions.log import read_predictions
from include.store import LocalStore, S3Store, Store
from tests.conftest import AWS_DUMMY
from tests.webapp.champions import Version, publish, records
from tests.webapp.conftest import PROJECT, Server, body, loopback_port
from tests.webapp.faults import Proxy
from tests.webapp.load import Load
from webapp.store_timeouts import READ_TIMEOUT_SECONDS

PROMOTIONS = 20
PLACES = 6


def answers_of(version: Version, rows: int = 8) -> list[float]:
    manifest, files = version
    column = {name: manifest.contract.column(name) for name in manifest.columns}
    matrix = [[column[n].number(row[n]) for n in manifest.columns] for row in records(rows)]
    return Scorer(files[MODEL_FILE]).score(np.array(matrix, dtype=np.float64)).tolist()


def log_of(store: Store) -> pa.Table:
    now = datetime.now(UTC)
    days = {now.date(), (now - timedelta(minutes=10)).date()}
    return pa.Table.from_batches([b for day in sorted(days) for b in read_predictions(store, day)])


def nothing_pending(server: Server) -> bool:
    return server.metric("prediction_log_pending_rows") == 0


@pytest.fixture
def running(server: Server, server_store: LocalStore, version_1: Version) -> Server:
    publish(server_store, version_1)
    return server.start()


def test_promotions_back_and_forth_fail_no_request(
    server: Server, server_store: LocalStore, version_1: Version, version_2: Version
) -> None:
    server.environment["CHURN_CHAMPION_POLL_SECONDS"] = "0.05"
    publish(server_store, version_1)
    server.start()
    own = {v[0].version: answers_of(v) for v in (version_1, version_2)}
    with Load(server, records(8)) as load:
        for version in itertools.islice(itertools.cycle((version_2, version_1)), PROMOTIONS):
            publish(server_store, version)
            time.sleep(0.25)
    assert load.refused == [] and load.cut_off == 0
    for place, answer in load.answers:
        assert answer["probabilities"] == pytest.approx([own[answer["model_version"]][place]])
    served = Counter(answer["model_version"] for _, answer in load.answers)
    changes = sum(
        a["model_version"] != b["model_version"]
        for (_, a), (_, b) in itertools.pairwise(load.answers)
    )
    assert min(served.values()) > 100 and len(served) == 2 and changes >= PROMOTIONS - 5


def test_killed_workers_and_a_killed_master_lose_no_acknowledged_answer(
    running: Server, server_store: LocalStore
) -> None:
    chance = random.Random(3)
    with Load(running, records(8)) as load:
        for _ in range(3):
            time.sleep(0.7)
            os.kill(chance.choice(running.workers()), signal.SIGKILL)
        time.sleep(0.7)
        workers = running.workers()
        running.stop(how=signal.SIGKILL)
        # The workers notice within a second that their master is gone.
        for worker in workers:
            _wait_until_gone(worker)
        running.start()
        time.sleep(0.5)
    running.until(lambda: nothing_pending(running))
    log = log_of(server_store)
    logged = log["request_id"].to_pylist()
    assert len(load.answers) > 200 and load.refused == []
    assert load.acknowledged <= set(logged), "an acknowledged answer is missing in the log"
    assert len(logged) == len(set(logged)), "an answer is logged twice"
    assert len(logged) - len(load.answers) <= load.cut_off


def test_clients_that_come_at_once_are_shared_out(running: Server) -> None:
    def both_serve() -> bool:
        with clients(running, 2) as shared:
            return shared == [1, 1]

    running.until(both_serve)
    with clients(running, 16) as shared:
        assert sum(shared) == 16 and max(shared) <= 10
    os.kill(running.workers()[0], signal.SIGKILL)
    running.until(both_serve)


@contextmanager
def clients(server: Server, number: int) -> Iterator[list[int]]:
    """So many idle clients; how many each worker has."""
    with ExitStack() as stack:
        for _ in range(number):
            address = ("127.0.0.1", server.port)
            stack.enter_context(socket.create_connection(address, timeout=5))
        deadline = time.monotonic() + 2
        found = _clients_of(server)
        while sum(found) < number and time.monotonic() < deadline:
            time.sleep(0.05)
            found = _clients_of(server)
        yield found


def _clients_of(server: Server) -> list[int]:
    return [_clients_at(worker, server.port) for worker in server.workers()]


def _clients_at(worker: int, port: int) -> int:
    try:
        connections = psutil.Process(worker).net_connections("tcp")
    except psutil.NoSuchProcess:  # killed a moment ago, and not yet off the master's list
        return 0
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port for each in connections
    )


def _wait_until_gone(process_id: int) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and os.path.exists(f"/proc/{process_id}"):
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{process_id}")


def test_a_gentle_stop_answers_what_has_begun_and_ships_everything(
    running: Server, server_store: LocalStore
) -> None:
    with Load(running, records(8)) as load:
        time.sleep(1.0)
        running.stop()
    assert load.refused == [] and load.acknowledged == set(
        log_of(server_store)["request_id"].to_pylist()
    )


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[Proxy]:
    parts = urlsplit(s3_endpoint)
    found = Proxy(str(parts.hostname), parts.port or 0)
    yield found
    found.close()


@pytest.fixture
def on_s3(server: Server, s3_store: S3Store, proxy: Proxy, version_1: Version) -> Server:
    publish(s3_store, version_1)
    server.environment |= AWS_DUMMY
    server.environment |= {"AWS_ENDPOINT_URL": proxy.url, "CHURN_STORE_URI": s3_store.uri}
    return server.start()


@pytest.mark.parametrize("fault", ["refuse", "hang", "slow"])
def test_a_faulty_store_delays_no_answer_and_loses_none(
    on_s3: Server, s3_store: S3Store, proxy: Proxy, fault: str
) -> None:
    proxy.set(fault)
    with Load(on_s3, records(8), clients=2) as load:
        time.sleep(3.0)
    assert load.refused == [] and load.cut_off == 0 and len(load.answers) > 100
    assert load.slowest_seconds < READ_TIMEOUT_SECONDS / 2  # no answer waited for the store
    if fault != "slow":
        assert on_s3.metric("prediction_log_pending_rows") >= 0.5 * len(load.answers)
    proxy.set("pass")
    on_s3.until(lambda: nothing_pending(on_s3), seconds=60)
    assert sorted(log_of(s3_store)["request_id"].to_pylist()) == sorted(load.acknowledged)


@pytest.mark.parametrize("fault", ["refuse", "hang"])
def test_a_restart_while_the_store_is_away_serves_the_last_champion(
    on_s3: Server, proxy: Proxy, fault: str
) -> None:
    on_s3.stop()
    proxy.set(fault)
    started = time.monotonic()
    on_s3.start()
    assert time.monotonic() - started < 10
    answer = httpx.post(on_s3.url + "/predict", json=records(1)[0])
    assert answer.status_code == 200 and answer.json()["model_version"] == "1"


def test_it_starts_without_a_champion_and_becomes_ready_by_itself(
    server: Server, server_store: LocalStore, version_1: Version
) -> None:
    server.start(ready=False)
    assert httpx.get(server.url + "/ready").status_code == 503
    assert server.metric("model_loaded") == 0
    publish(server_store, version_1)
    server.until(lambda: httpx.get(server.url + "/ready").status_code == 200)


def test_a_bad_champion_is_refused_while_the_old_one_serves(
    running: Server, server_store: LocalStore, version_2: Version
) -> None:
    publish(server_store, version_2)  # whole, and followed
    running.until(lambda: running.metric("champion_info", version="2") == 1)
    path = server_store.root / version_key("3", MODEL_FILE)
    manifest, files = version_2
    version_3 = (manifest.model_copy(update={"version": "3"}), files)
    path.parent.mkdir(parents=True)
    publish(server_store, version_3)
    path.write_bytes(path.read_bytes()[:-1])
    running.stop()
    running.start()
    running.until(lambda: running.metric("champion_reloads_total", outcome="refused") == 2)
    assert httpx.get(running.url + "/health").json()["model_version"] == "2"
    assert "torn or was tampered with" in running.log


def test_counts_stay_exact_over_kills_and_dead_workers_leave_no_files(
    server: Server, server_store: LocalStore, version_1: Version
) -> None:
    server.environment["TMPDIR"] = str(server.var_dir)
    publish(server_store, version_1)
    server.start()
    (folder,) = server.var_dir.glob("churn-metrics-*")
    for _ in range(4):
        for _ in range(10):
            assert httpx.post(server.url + "/predict", json=records(1)[0]).status_code == 200
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        server.until(lambda victim=victim: not list(folder.glob(f"*_{victim}.db")))
        server.until(lambda: len(server.workers()) == 2)
    server.until(lambda: server.metric("model_loaded") == 1)
    assert server.metric("prediction_requests_total") == 40
    assert server.metric("http_requests_total", method="POST", route="/predict", status="200") == 40
    assert server.metric("champion_info", version="1") == 1
    assert len(list(folder.glob("*.db"))) <= 4 * 8


def test_slow_clients_are_in_nobodys_way(running: Server) -> None:
    slow = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(20)]
    head = b"POST /predict HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
    slowest = 0.0
    for turn in range(100):
        for sock in slow:
            if turn < len(head):
                sock.sendall(head[turn : turn + 1])
        answer = httpx.post(running.url + "/predict", json=records(1)[0], timeout=10)
        assert answer.status_code == 200
        slowest = max(slowest, answer.elapsed.total_seconds())
    for sock in slow:
        sock.close()
    assert slowest < 1.0


def test_a_client_that_does_not_take_its_answer_is_in_nobodys_way(running: Server) -> None:
    batch = body({"records": records(1) * 5000})
    head = b"POST /predict_batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(batch)
    stubborn = []
    for _ in range(4):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", running.port))
        sock.sendall(head + batch)
        stubborn.append(sock)
    for _ in range(50):
        answer = httpx.post(running.url + "/predict", json=records(1)[0], timeout=5)
        assert answer.status_code == 200
    for sock in stubborn:
        sock.close()


@pytest.fixture
def alone(server: Server, server_store: LocalStore, version_1: Version) -> Server:
    """One worker, with room for a few clients."""
    publish(server_store, version_1)
    server.environment["CHURN_API_WORKERS"] = "1"
    server.environment["GUNICORN_CMD_ARGS"] = f"--worker-connections={PLACES}"
    return server.start()


def crowd(server: Server, stack: ExitStack, number: int) -> list[socket.socket]:
    address = ("127.0.0.1", server.port)
    return [
        stack.enter_context(socket.create_connection(address, timeout=5)) for _ in range(number)
    ]


def health(client: socket.socket) -> bytes:
    client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    return client.recv(4096)[:15]


def test_a_full_worker_rests_until_a_client_leaves(alone: Server) -> None:
    worker = psutil.Process(alone.workers()[0])
    with ExitStack() as stack:
        first, *others = crowd(alone, stack, PLACES)
        assert health(first) == b"HTTP/1.1 200 OK"
        late = stack.enter_context(socket.create_connection(("127.0.0.1", alone.port), timeout=5))
        time.sleep(0.2)
        before = worker.cpu_times()
        time.sleep(1.5)
        after = worker.cpu_times()
        assert after.user + after.system - before.user - before.system < 0.5
        others[0].close()
        started = time.monotonic()
        assert health(late) == b"HTTP/1.1 200 OK" and time.monotonic() - started < 0.5


def test_a_worker_without_file_descriptors_lives_on(alone: Server) -> None:
    worker = psutil.Process(alone.workers()[0])
    with ExitStack() as stack:
        (first,) = crowd(alone, stack, 1)
        assert health(first) == b"HTTP/1.1 200 OK"
        allowed = worker.rlimit(psutil.RLIMIT_NOFILE)
        worker.rlimit(psutil.RLIMIT_NOFILE, (worker.num_fds(), allowed[1]))
        (late,) = crowd(alone, stack, 1)
        time.sleep(1.5)
        assert health(first) == b"HTTP/1.1 200 OK"
        worker.rlimit(psutil.RLIMIT_NOFILE, allowed)
        assert health(late) == b"HTTP/1.1 200 OK"
    assert alone.workers() == [worker.pid] and alone.log.count("no file descriptor is left") == 1


def test_a_full_worker_still_stops_gently(alone: Server) -> None:
    with ExitStack() as stack:
        clients_too_many = crowd(alone, stack, PLACES + 2)
        assert health(clients_too_many[0]) == b"HTTP/1.1 200 OK"
        started = time.monotonic()
        alone.stop()
        assert time.monotonic() - started < 10 and '"level":"error"' not in alone.log


def exchange(server: Server, data: bytes, *, seconds: float = 10.0) -> bytes:
    """Send bytes, close the sending side, and take what comes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        parts = []
        try:
            while part := sock.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            pass
        return b"".join(parts)


def request_of(data: bytes, *headers: bytes) -> bytes:
    lines = [b"POST /predict HTTP/1.1", b"Host: x", b"Content-Type: application/json", *headers]
    lines.append(b"Content-Length: %d" % len(data))
    return b"\r\n".join(lines) + b"\r\n\r\n" + data


MALFORMED = {
    b"GET\r\n\r\n": b"400",
    b"\x16\x03\x01\x00\xff" * 20 + b"\r\n\r\n": b"400",
    b"GET / HTTP/9.9\r\n\r\n": b"400",
    b"GET / HTTP/1.1\r\nHost x\r\n\r\n": b"400",
    b"GET / HTTP/1.1\r\nA: " + b"a" * 9000 + b"\r\n\r\n": b"431",
    b"GET /" + b"a" * 70_000: b"400",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n": b"400",
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab": b"400",
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": b"400",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n": b"400",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n": b"400",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}": b"400",
    b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n": b"400",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n": b"415",
}


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_http_is_refused(running_once: Server, data: bytes) -> None:
    answer = exchange(running_once, data)
    assert answer.startswith(b"HTTP/1.1 " + MALFORMED[data]), answer[:200]
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("digits", [b"9" * 18, b"9" * 19, b"9" * 4000])
def test_the_body_after_an_absurd_length_is_no_request(running_once: Server, digits: bytes) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    hidden = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = exchange(running_once, head + b"Content-Length: " + digits + b"\r\n\r\n" + hidden)
    assert answer.startswith(b"HTTP/1.1 413") and answer.count(b"HTTP/1.1") == 1


def test_requests_in_one_packet_are_answered_in_their_order(running_once: Server) -> None:
    one = request_of(body(records(1)[0]), b"X-Request-ID: one")
    answer = exchange(running_once, one + one.replace(b": one", b": two"))
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert 0 < answer.find(b'"request_id":"one"') < answer.find(b'"request_id":"two"')


def test_a_client_that_waits_for_encouragement_gets_it(running_once: Server) -> None:
    data = request_of(body(records(1)[0]), b"Expect: 100-continue")
    head, _, rest = data.partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", running_once.port), timeout=10) as sock:
        sock.sendall(head + b"\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(rest)
        assert sock.recv(15) == b"HTTP/1.1 200 OK"


def test_chunked_bodies_are_read(running_once: Server) -> None:
    def pieces() -> Iterator[bytes]:
        yield from (bytes([byte]) for byte in body(records(1)[0]))

    headers = {"Content-Type": "application/json"}
    answer = httpx.post(running_once.url + "/predict", content=pieces(), headers=headers)
    assert answer.status_code == 200
    too_much = itertools.repeat(b" " * 2**20, 17)
    answer = httpx.post(running_once.url + "/predict", content=too_much, headers=headers)
    assert answer.status_code == 413


def test_no_body_makes_it_fail_or_hang(running_once: Server) -> None:
    chance = random.Random(11)
    valid = body({"records": records(2)})
    statuses = set()
    with httpx.Client(base_url=running_once.url, timeout=10) as client:
        for turn in range(400):
            data = bytearray(valid) if turn % 2 else bytearray(chance.randbytes(turn))
            for _ in range(chance.randrange(1, 6)):
                place = chance.randrange(len(data) + 1)
                data[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
            path = chance.choice(["/predict", "/predict_batch", "/explain"])
            headers = {"Content-Type": "application/json"}
            statuses.add(client.post(path, content=bytes(data), headers=headers).status_code)
    assert statuses <= {200, 400, 422} and len(statuses) >= 2


@pytest.fixture(scope="module")
def running_once(tmp_path_factory: pytest.TempPathFactory, version_1: Version) -> Iterator[Server]:
    server = Server(loopback_port(), tmp_path_factory.mktemp("server"))
    publish(LocalStore(server.var_dir / "store"), version_1)
    yield server.start()
    log = server.log
    server.stop()
    assert '"level":"error"' not in log, log


def test_it_serves_where_loopback_is_ipv6(
    server: Server, server_store: LocalStore, version_1: Version
) -> None:
    publish(server_store, version_1)
    server.environment["CHURN_API_HOST"] = server.host = "::1"
    server.start()
    assert httpx.post(server.url + "/predict", json=records(1)[0]).status_code == 200


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "[::]:0"])
def test_it_refuses_to_be_reachable_without_keys(server: Server, bind: str) -> None:
    command = [sys.executable, "-m", "gunicorn", "-c", "webapp/gunicorn.conf.py", "-b", bind]
    done = subprocess.run(
        [*command, "webapp:create_app()"],
        cwd=PROJECT,
        env={**os.environ, "CHURN_VAR_DIR": str(server.var_dir)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0 and "CHURN_API_KEYS is empty" in done.stderr
