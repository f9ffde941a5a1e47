"""Where one HTTP/1.1 request ends in the bytes that came so far.

Only to know when a request is complete: gunicorn's own parser reads its head afterwards, and it
alone judges that.
"""

import re
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
MAX_HEAD_BYTES = 64 * 1024  # above gunicorn's own limits, so that it is gunicorn that refuses
_LENGTH = re.compile(rb"\r\ncontent-length:([^\r]*)", re.IGNORECASE)
_CODING = re.compile(rb"\r\ntransfer-encoding:([^\r]*)", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?")
_MAX_SIZE_LINE = 256
_MAX_DIGITS = 18
_ABSURD_LENGTH = 10**18


@dataclass(slots=True)
class Frame:
    """What is known of the request that is arriving."""

    head: int = 0  # bytes up to and including the empty line; 0 while that has not come
    size: int = 0  # all bytes of the request; 0 while that is not known
    cut: bool = False  # larger than allowed: answer what has come, then hang up
    broken: bool = False  # no request at all
    expects: bool = False  # the client waits for 100 Continue before it sends the body
    chunked: bool = False
    next_chunk: int = 0
    body_size: int = 0
    content: bytearray = field(default_factory=bytearray)  # what a chunked body's chunks hold

    def complete(self, data: bytearray, *, max_body: int) -> bool:
        """Whether a whole request has come, or as much as anybody will read of it."""
        if not self.head and not self._find_head(data, max_body):
            return False
        if self.chunked and not self.size:
            self._follow_chunks(data, max_body)
        return 0 < self.size <= len(data)

    def body(self, data: bytes) -> bytes:
        """The body of a complete request, put together again if it came in chunks."""
        return bytes(self.content) if self.chunked else data[self.head :]

    def _find_head(self, data: bytearray, max_body: int) -> bool:
        end = data.find(HEAD_END)
        if end < 0:
            if len(data) > MAX_HEAD_BYTES:
                self.head = len(data)
                self._stop(data)
            return self.cut
        self.head = self.next_chunk = end + len(HEAD_END)
        self.chunked = _CODING.search(data, 0, self.head) is not None
        found = _LENGTH.search(data, 0, self.head)
        if not self.chunked:
            length = _length(found[1]) if found else 0
            self.cut = length > max_body
            self.size = self.head + (0 if self.cut else length)
        elif found or not _only_chunked(_CODING.findall(data, 0, self.head)):
            self._break(data)
        if self.chunked or len(data) < self.size:
            self.expects = _EXPECTS.search(data, 0, self.head) is not None
        return True

    def _follow_chunks(self, data: bytearray, max_body: int) -> None:
        while not self.size:
            # Chunks of one byte have long headers: what they hold does not limit what is sent.
            if self.next_chunk - self.head > 2 * max_body + MAX_HEAD_BYTES:
                self._break(data)
                return
            end = data.find(b"\r\n", self.next_chunk, self.next_chunk + _MAX_SIZE_LINE)
            if end < 0:
                if len(data) - self.next_chunk >= _MAX_SIZE_LINE:
                    self._break(data)
                return
            found = _CHUNK_SIZE.fullmatch(data, self.next_chunk, end)
            if found is None:
                self._break(data)
            elif not self._follow_chunk(data, end, int(found[1], 16), max_body):
                return

    def _follow_chunk(self, data: bytearray, line_end: int, length: int, max_body: int) -> bool:
        """Step over one chunk; False when its end has not come yet."""
        start = line_end + 2
        if length == 0:
            # The empty line after the last size line, or after the trailers, which nobody reads.
            stop = data.find(HEAD_END, line_end)
            if stop < 0:
                if len(data) - line_end > MAX_HEAD_BYTES:
                    self._break(data)
                return False
            self.size = stop + len(HEAD_END)
            return True
        self.body_size = len(self.content) + length
        if self.body_size > max_body:
            self._stop(data)
            return True
        end = start + length
        if len(data) < end + 2:
            return False
        if data[end : end + 2] != b"\r\n":
            self._break(data)
            return True
        self.content += memoryview(data)[start:end]
        self.next_chunk = end + 2
        return True

    def _stop(self, data: bytearray) -> None:
        self.size, self.cut = len(data), True

    def _break(self, data: bytearray) -> None:
        self.broken = True
        self._stop(data)


def _length(value: bytes) -> int:
    """What a Content-Length says; more than anybody takes if that is absurd, or no number.

    What follows an unreadable length must never be taken for the next request.
    """
    digits = value.strip(b" \t")
    significant = digits.lstrip(b"0")
    if not digits.isdigit() or len(significant) > _MAX_DIGITS:
        return _ABSURD_LENGTH
    return int(significant or b"0")


def _only_chunked(codings: list[bytes]) -> bool:
    """Whether a body's end is beyond doubt (RFC 9112, 6.1): chunked, once, and nothing else."""
    return [coding.strip(b" \t").lower() for coding in codings] == [b"chunked"]
