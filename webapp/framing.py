"""Where one HTTP/1.1 request ends in the bytes that came so far.

Only to know when a request is complete: gunicorn's own parser reads its head afterwards, and it
alone judges that.
"""

import re
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
MAX_HEAD_BYTES = 64 * 1024  # above gunicorn's own limits, so that it is gunicorn that refuses
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?")
_MAX_SIZE_LINE = 256


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
    chunks: list[tuple[int, int]] = field(default_factory=list)  # where a chunked body's data lies

    def complete(self, data: bytearray, *, max_body: int) -> bool:
        """Whether a whole request has come, or as much as anybody will read of it."""
        if not self.head and not self._find_head(data, max_body):
            return False
        if self.chunked and not self.size:
            self._follow_chunks(data, max_body)
        return 0 < self.size <= len(data)

    def body(self, data: bytes) -> bytes:
        """The body of a complete request, put together again if it came in chunks."""
        if self.chunked:
            return b"".join(data[start:end] for start, end in self.chunks)
        return data[self.head :]

    def _find_head(self, data: bytearray, max_body: int) -> bool:
        end = data.find(HEAD_END)
        if end < 0:
            if len(data) > MAX_HEAD_BYTES:
                self.head = len(data)
                self._stop(data)
            return self.cut
        self.head = self.next_chunk = end + len(HEAD_END)
        self.chunked = _CHUNKED.search(data, 0, self.head) is not None
        if not self.chunked:
            found = _LENGTH.search(data, 0, self.head)
            length = int(found[1]) if found else 0
            self.cut = length > max_body
            self.size = self.head + (0 if self.cut else length)
        if self.chunked or len(data) < self.size:
            self.expects = _EXPECTS.search(data, 0, self.head) is not None
        return True

    def _follow_chunks(self, data: bytearray, max_body: int) -> None:
        while not self.size:
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
        self.body_size += length
        if self.body_size > max_body:
            self._stop(data)
            return True
        if len(data) < start + length + 2:
            self.body_size -= length
            return False
        if data[start + length : start + length + 2] != b"\r\n":
            self._break(data)
            return True
        self.chunks.append((start, start + length))
        self.next_chunk = start + length + 2
        return True

    def _stop(self, data: bytearray) -> None:
        self.size, self.cut = len(data), True

    def _break(self, data: bytearray) -> None:
        self.broken = True
        self._stop(data)
