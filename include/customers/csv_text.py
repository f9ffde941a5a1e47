"""A CSV file's text as UTF-8, whatever it is written in, checked to its end before it is parsed."""

import codecs
import io
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa

from include.errors import DataError

BLOCK_BYTES = 2**20
# How files begin that are often only named .csv
NO_TEXT = {
    b"PK\x03\x04": "a workbook or a zip archive",
    b"\xd0\xcf\x11\xe0": "a workbook",
    b"\x1f\x8b": "packed by gzip",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
}
# The last two without the mark: a header's first letters are of ASCII.
UTF16 = {
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    rb"[!-~]\0[!-~]\0": "utf-16-le",
    rb"\0[!-~]\0[!-~]": "utf-16-be",
}


@contextmanager
def utf8_text(source: Path | bytes, name: str) -> Iterator["pa.NativeFile"]:
    """A file's text in UTF-8; DataError where it cannot be read, or is no text.

    It is Arrow's own file: a thread of Arrow's reads ahead, also when nobody wants to know any
    more, and one that needed Python for it would hang the process at its end.
    """
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(_opened(source))
            encoding = _encoding(raw.peek(BLOCK_BYTES), name)
            # What comes by a pipe cannot be read a second time.
            kept = encoding == "utf-8" and (isinstance(source, bytes) or source.is_file())
            copy = None if kept else stack.enter_context(tempfile.NamedTemporaryFile())
            _check(raw, encoding, copy, name)
        except OSError as error:
            raise DataError(f"cannot read {name}: {error.strerror or error}") from error
        if copy is None and isinstance(source, bytes):
            yield pa.BufferReader(source)
        else:
            yield pa.OSFile(str(source) if copy is None else copy.name)


def _opened(source: Path | bytes) -> io.BufferedReader:
    raw = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb", buffering=0)
    return io.BufferedReader(raw, BLOCK_BYTES)


def _encoding(head: bytes, name: str) -> str:
    for start, kind in NO_TEXT.items():
        if head.startswith(start):
            raise _no_text(name, kind)
    return next((e for start, e in UTF16.items() if re.match(start, head)), "utf-8")


def _check(raw: io.BufferedReader, encoding: str, copy: IO[bytes] | None, name: str) -> None:
    """Decode to the end, block by block; into `copy`, where there is one, as UTF-8."""
    decoder, lines, block = codecs.getincrementaldecoder(encoding)(), 1, b" "
    while block:
        block = raw.read(BLOCK_BYTES)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            lines += error.object.count(b"\n", 0, error.start)
            byte = f"byte {error.object[error.start]:#04x} in line {lines}"
            raise _no_text(name, byte) from error
        if "\0" in text:
            lines += text.count("\n", 0, text.index("\0"))
            raise _no_text(name, f"a byte of zero in line {lines}")
        lines += text.count("\n")
        if copy is not None:
            copy.write(text.encode())
    if copy is not None:
        copy.flush()


def _no_text(name: str, found: str) -> DataError:
    return DataError(
        f"{name} is not UTF-8 text ({found}): save it as CSV (UTF-8), not as a workbook or packed"
    )
