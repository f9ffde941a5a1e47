"""HTTP over real sockets: malformed requests, and bodies however they come."""

import itertools
import json
import random
import socket
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from include.store import LocalStore
from tests.webapp.champions import Version, publish, records
from tests.webapp.conftest import Server, body

pytestmark = pytest.mark.slow


@pytest.fixture
def quiet(running: Server) -> Iterator[Server]:
    """The shared server, which must not have logged an error at the end."""
    before = len(running.log)
    yield running
    news = running.log[before:]
    assert '"level":"error"' not in news, news


def exchange(server: Server, data: bytes, *, seconds: float = 10.0) -> bytes:
    """Send bytes, close the sending side, and take what comes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        parts = []
        with suppress(ConnectionResetError):
            while part := sock.recv(65536):
                parts.append(part)
        return b"".join(parts)


def request_of(data: bytes, *headers: bytes) -> bytes:
    return start(b"/predict", *headers, b"Content-Length: %d" % len(data)) + data


def start(path: bytes, *headers: bytes) -> bytes:
    lines = [
        b"POST %s HTTP/1.1" % path,
        b"Host: localhost",
        b"Content-Type: application/json",
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


CHUNKED, TWO = b"Transfer-Encoding: chunked", b"Content-Length: 2"
MALFORMED = {
    b"GET\r\n\r\n": b"400",
    b"\x16\x03\x01\x00\xff" * 20 + b"\r\n\r\n": b"400",
    b"GET / HTTP/9.9\r\n\r\n": b"400",
    b"GET / HTTP/1.1\r\nHost x\r\n\r\n": b"400",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: y\r\n\r\n": b"400",
    b"GET / HTTP/1.1\nHost: x\n\n": b"400",
    b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n": b"400",
    b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n": b"421",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": b"421",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": b"421",
    b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n": b"400",
    b"GET / HTTP/1.1\r\nA: " + b"a" * 9000 + b"\r\n\r\n": b"431",
    b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n": b"414",
    start(b"/", b"Content-Length: -1"): b"400",
    start(b"/", b"Content-Length: 1", b"Content-Length: 2") + b"ab": b"400",
    start(b"/predict", b"Content-Length: " + b"9" * 18): b"413",
    start(b"/predict", b"Content-Length: " + b"9" * 19): b"4",
    start(b"/predict", b"Content-Length: " + b"9" * 4000): b"4",
    start(b"/", b"Content-Length: " + b"9" * 5000): b"431",
    start(b"/", TWO, CHUNKED) + b"0\r\n\r\n": b"400",
    start(b"/", CHUNKED, CHUNKED) + b"0\r\n\r\n": b"400",
    start(b"/", b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n": b"501",
    start(b"/", b"Transfer-Encoding: cow") + b"0\r\n\r\n": b"501",
    start(b"/", b"Transfer-Encoding: identity", TWO) + b"{}": b"501",
    start(b"/", b"Transfer-Encoding : chunked") + b"0\r\n\r\n": b"400",
    start(b"/predict", CHUNKED) + b"zz\r\n\r\n": b"400",
    start(b"/predict", CHUNKED) + b"5\r\nhelloworld\r\n": b"400",
    start(b"/predict", b"Content-Length: 99") + b"{}": b"400",
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n": b"415",
}


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_http_is_refused_and_what_follows_is_no_request(
    quiet: Server, data: bytes
) -> None:
    answer = exchange(quiet, data + b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + MALFORMED[data]), answer[:200]
    assert b"HTTP/1.1 200" not in answer
    head, _, content = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    found = json.loads(content)
    assert answer.split()[1] == b"%d" % found["status"] and found["detail"]
    assert f"X-Request-ID: {found['request_id']}".encode() in head


SECRET = b"708082083"
UNREADABLE = [
    b"GET /predict?customer=%s\r\n\r\n",
    b"get%s / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nAuthorization Bearer %s\r\n\r\n",
    b"GET / HTTP/1.1\r\nX-API-Key\xff: %s\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: %s\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: %s\r\n\r\n",
    b"GET /customers/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %s",
]


def test_the_log_repeats_nothing_of_what_could_not_be_read(running: Server) -> None:
    before = len(running.log)
    for data in UNREADABLE:
        exchange(running, data % SECRET)
    news = running.log[before:]
    assert news.count("refused what is no HTTP/1.1") == 6 and '"kind":"InvalidHeader"' in news
    assert SECRET.decode() not in news


def test_the_fault_of_what_could_not_be_read_is_named(running: Server) -> None:
    for line, told in {
        b"GET": "HTTP/1.1 only (RFC 9112): Invalid HTTP request line: 'GET'",
        b"GET /" + b"a" * 5000 + b" HTTP/1.1": "the request line must have at most 4094 bytes",
        b"GET / HTTP/1.1\r\nA: " + b"a" * 5000: "at most 60 header fields, each of at most 4094",
    }.items():
        assert told in exchange(running, line + b"\r\n\r\n").decode()


def test_an_ordinary_request_is_no_line_in_the_log(quiet: Server) -> None:
    before = len(quiet.log)
    assert quiet.http.get("/health?name=Jane+Doe").status_code == 200
    assert "health" not in quiet.log[before:]


def test_a_header_moves_no_path(quiet: Server) -> None:
    headers = {"SCRIPT_NAME": "/foo", "X-Forwarded-Proto": "gopher", "X-Forwarded-Ssl": "on"}
    assert quiet.http.get("/health", headers=headers).status_code == 200


def test_what_stands_beside_chunks_is_bounded_too(server: Server, version_1: Version) -> None:
    publish(LocalStore(server.var_dir / "store"), version_1)
    server.environment["CHURN_MAX_BODY_BYTES"] = "10000"
    server.start()
    for before in (b"1;", b"0\r\nX: "):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
            sock.sendall(start(b"/predict", CHUNKED) + before + b"a" * 100_000)
            assert b"HTTP/1.1 400 " in sock.recv(65536)


def test_requests_in_one_packet_are_answered_in_their_order(quiet: Server) -> None:
    one = request_of(body(records(1)[0]), b"X-Request-ID: one")
    answer = exchange(quiet, one + one.replace(b": one", b": two"))
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert 0 < answer.find(b'"request_id":"one"') < answer.find(b'"request_id":"two"')


def test_a_client_that_expects_100_continue_gets_it_once(quiet: Server) -> None:
    data = request_of(body(records(1)[0]), b"Expect: 100-continue")
    head, _, rest = data.partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", quiet.port), timeout=10) as sock:
        for _ in range(2):
            sock.sendall(head + b"\r\n\r\n")
            assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(rest[:9])
            sock.sendall(rest[9:])
            answer = b""
            while not answer.endswith(b"}"):
                answer += sock.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (b"/predict", b"Content-Length: 99999999", b"413"),
        (b"/predict", b"Content-Length: 9\r\nContent-Encoding: gzip", b"415"),
        (b"/nowhere", b"Content-Length: 9", b"404"),
        (b"/health", b"Content-Length: 0", b"405"),
    ],
)
def test_a_body_that_nobody_wants_is_not_asked_for(
    quiet: Server, path: bytes, headers: bytes, status: bytes
) -> None:
    answer = exchange(quiet, start(path, b"Expect: 100-continue", headers))
    assert answer.startswith(b"HTTP/1.1 " + status) and b"100 Continue" not in answer


def test_a_body_that_is_not_read_ends_the_connection(quiet: Server) -> None:
    for path, status in (("/nowhere", 404), ("/model", 405), ("/predict", 415)):
        answer = httpx.post(quiet.url + path, content=b"x" * 100)
        assert answer.status_code == status and answer.headers["Connection"] == "close"
    answer = httpx.post(quiet.url + "/predict", json={})
    assert answer.status_code == 422 and answer.headers["Connection"] == "keep-alive"


def test_half_a_body_is_no_body_though_it_reads_as_one(quiet: Server) -> None:
    data = body(records(1)[0])
    answer = exchange(quiet, start(b"/predict", b"Content-Length: %d" % (len(data) + 1)) + data)
    assert answer.startswith(b"HTTP/1.1 400") and b"not come as announced" in answer


def test_chunked_bodies_are_read(quiet: Server) -> None:
    def pieces() -> Iterator[bytes]:
        yield from (bytes([byte]) for byte in body(records(1)[0]))

    headers = {"Content-Type": "application/json"}
    answer = quiet.http.post("/predict", content=pieces(), headers=headers)
    assert answer.status_code == 200
    too_much = itertools.repeat(b" " * 2**20, 17)
    answer = quiet.http.post("/predict", content=too_much, headers=headers)
    assert answer.status_code == 413


def test_no_body_makes_the_server_fail_or_hang(quiet: Server) -> None:
    chance = random.Random(11)
    valid = body({"records": records(2)})
    statuses = set()
    with httpx.Client(base_url=quiet.url, timeout=10, verify=False) as client:
        for turn in range(400):
            data = bytearray(valid) if turn % 2 else bytearray(chance.randbytes(turn))
            for _ in range(chance.randrange(1, 6)):
                place = chance.randrange(len(data) + 1)
                data[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
            path = chance.choice(["/predict", "/predict_batch", "/explain"])
            headers = {"Content-Type": "application/json"}
            statuses.add(client.post(path, content=bytes(data), headers=headers).status_code)
    assert statuses <= {200, 400, 415, 422} and len(statuses) >= 2
