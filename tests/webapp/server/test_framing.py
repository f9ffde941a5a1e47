"""Where a request ends, however its bytes are cut up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.server.framing import MAX_HEAD_BYTES, Frame

PLAIN = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SIZED = b"POST / HTTP/1.1\r\ncontent-LENGTH:  5 \r\nHost: x\r\n\r\nhello"
CHUNKED = (
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;name=value\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
)
BODIES = {PLAIN: b"", SIZED: b"hello", CHUNKED: b"hello world"}


@pytest.mark.parametrize("request_bytes", BODIES)
def test_a_request_is_complete_with_its_last_byte(request_bytes: bytes) -> None:
    frame, data = Frame(), bytearray()
    for place, byte in enumerate(request_bytes, start=1):
        data.append(byte)
        assert frame.complete(data, max_body=100) is (place == len(request_bytes))
    assert frame.body(bytes(data)) == BODIES[request_bytes]
    assert not frame.cut and not frame.broken


@given(cuts=st.lists(st.integers(0, len(CHUNKED)), max_size=5))
def test_any_cuts_give_the_same_body(cuts: list[int]) -> None:
    frame, data, complete = Frame(), bytearray(), False
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(CHUNKED)], strict=True):
        data += CHUNKED[start:end]
        complete = complete or frame.complete(data, max_body=100)
    assert complete and frame.body(bytes(data)) == b"hello world"


@pytest.mark.parametrize("request_bytes", BODIES)
def test_the_next_request_does_not_belong_to_this_one(request_bytes: bytes) -> None:
    frame = Frame()
    assert frame.complete(bytearray(request_bytes + PLAIN), max_body=100)
    assert frame.size == len(request_bytes)


@pytest.mark.parametrize(("request_bytes", "body"), [(SIZED, 0), (CHUNKED, 10)])
def test_a_body_that_is_too_large_is_cut_at_once(request_bytes: bytes, body: int) -> None:
    frame = Frame()
    assert frame.complete(bytearray(request_bytes), max_body=4)
    assert frame.cut


@pytest.mark.parametrize("length", [b"9" * 19, b"9" * 5000, b"\xb2", b"+5", b"5, 5", b""])
def test_a_length_that_nobody_will_read_ends_the_connection(length: bytes) -> None:
    frame = Frame()
    data = bytearray(b"POST / HTTP/1.1\r\nContent-Length: %s\r\n\r\n" % length + PLAIN)
    assert frame.complete(data, max_body=100) and frame.cut


def test_leading_zeros_do_not_make_a_body_large() -> None:
    frame, data = Frame(), bytearray(SIZED.replace(b"5", b"0" * 30 + b"5"))
    assert frame.complete(data, max_body=100)
    assert not frame.cut and frame.body(bytes(data)) == b"hello"


@pytest.mark.parametrize(
    "headers",
    [
        b"Transfer-Encoding: identity\r\nContent-Length: 5",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 5\r\ntransfer-encoding:chunked",
    ],
)
def test_a_body_that_could_be_read_in_two_ways_is_refused_at_once(headers: bytes) -> None:
    frame = Frame()
    data = bytearray(b"POST / HTTP/1.1\r\n%s\r\n\r\nhello" % headers)
    assert frame.complete(data, max_body=100) and frame.broken


def test_small_chunks_with_long_extensions_are_not_collected_for_ever() -> None:
    frame, max_body, sent = Frame(), 10_000, 0
    data = bytearray(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not frame.complete(data, max_body=max_body):
        data += b"1;%s\r\nx\r\n" % (b"e" * 200)
        sent += 1
    assert frame.broken and sent < max_body and len(data) <= 2 * max_body + MAX_HEAD_BYTES + 500


@pytest.mark.parametrize("chunks", [b"x\r\n", b"-1\r\n", b"5\r\nhelloworld\r\n", b"1" * 300])
def test_broken_chunks_are_noticed(chunks: bytes) -> None:
    frame = Frame()
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert frame.complete(bytearray(head + chunks), max_body=100)
    assert frame.broken


def test_a_head_without_end_is_cut() -> None:
    frame = Frame()
    assert not frame.complete(bytearray(b"a" * 60_000), max_body=100)
    assert frame.complete(bytearray(b"a" * 70_000), max_body=100) and frame.cut


def test_a_client_that_expects_100_continue_is_noticed() -> None:
    frame = Frame()
    head = b"POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    assert not frame.complete(bytearray(head), max_body=100) and frame.expects
