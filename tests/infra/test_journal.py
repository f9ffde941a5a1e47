"""The S3 stand-in of the container test forgets nothing that it has acknowledged."""

import io
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from tests.containers.standins.seaweedfs.journal import Journal

Memory = dict[str, bytes]
uploads = itertools.count()


def application(memory: Memory) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """Keeps bodies in memory; an upload gets a number that no other one has; refuses b"no"."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        name, method = environ["PATH_INFO"] + environ["QUERY_STRING"], environ["REQUEST_METHOD"]
        body = environ["wsgi.input"].read()
        start_response("412 Precondition Failed" if body == b"no" else "200 OK", [])
        if method == "PUT" and body != b"no":
            memory[name] = body
        if method == "POST":
            return [b"<UploadId>upload-%d</UploadId>" % next(uploads)]
        return [memory.get(name, b"")]

    return answer


def ask(journal: Journal, method: str, path: str, body: bytes = b"", query: str = "") -> bytes:
    """One request; what was answered."""
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
    setup_testing_defaults(environ)
    environ |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    return b"".join(journal(environ, lambda *_: None))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal lies."""
    return tmp_path / "data" / "s3.jsonl"


def test_a_new_process_knows_what_the_old_one_acknowledged(path: Path) -> None:
    first = Journal(application({}), path)
    ask(first, "PUT", "/key", b"one")
    ask(first, "PUT", "/key", b"two")
    assert ask(Journal(application({}), path), "GET", "/key") == b"two"


def test_half_a_record_is_cut_off_and_the_next_one_is_whole(path: Path) -> None:
    ask(Journal(application({}), path), "PUT", "/key", b"whole")
    with path.open("ab") as file:
        file.write(b'{"environ": {"REQUEST_ME')
    ask(Journal(application({}), path), "PUT", "/next", b"too")
    last = Journal(application({}), path)
    assert [ask(last, "GET", key) for key in ("/key", "/next")] == [b"whole", b"too"]


@pytest.mark.parametrize(("method", "body"), [("PUT", b"no"), ("GET", b"")])
def test_reads_and_refused_writes_are_not_kept(path: Path, method: str, body: bytes) -> None:
    ask(Journal(application({}), path), method, "/key", body)
    assert path.read_bytes() == b""


def test_parts_of_an_upload_find_it_under_its_new_id(path: Path) -> None:
    first = Journal(application({}), path)
    old = ask(first, "POST", "/key")[10:-11].decode()
    ask(first, "PUT", "/key", b"part", query=f"uploadId={old}")
    memory: Memory = {}
    Journal(application(memory), path)
    assert list(memory.values()) == [b"part"]
    assert old not in str(list(memory))


def test_health_is_answered_without_asking_the_application(path: Path) -> None:
    def broken(*_: object) -> Iterable[bytes]:
        raise AssertionError

    assert ask(Journal(broken, path), "GET", "/healthz") == b""
