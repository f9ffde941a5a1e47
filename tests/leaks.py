"""Where customers' numbers are found: in files as they are, and in what can be decoded of them.

The customers' numbers are chosen so that no match is an accident: twelve digits that begin alike,
in bytes all but the two lowest the same.
"""

import gzip
import io
import re
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FIRST, APART, MOST = 0xAA_1234_0000, 61, 1000
NUMBERS = frozenset(FIRST + APART * place for place in range(MOST))
_DIGITS = re.compile(rb"7304\d{8}")
_LITTLE = re.compile(rb"(?s)(?=(..\x34\x12\xaa\0\0\0))")  # as Arrow and NumPy keep an int64
_BIG = re.compile(rb"(?s)(?=\0(\xaa\x12\x34..))")  # as SQLite keeps a number of six bytes


def renumbered(people: pd.DataFrame, key: str = "CLIENTNUM") -> pd.DataFrame:
    """The customers under these numbers."""
    return people.assign(**{key: sorted(NUMBERS)[: len(people)]})


def numbers_in(data: bytes) -> set[int]:
    """The customers' numbers in a file, whatever it is."""
    found = set[int]()
    for part in _decoded(data):
        found |= {int(each) for each in _DIGITS.findall(part)}
        found |= {int.from_bytes(each, "little") for each in _LITTLE.findall(part)}
        found |= {int.from_bytes(each, "big") for each in _BIG.findall(part)}
    return found & NUMBERS


def leaks(files: Iterable[tuple[str, bytes]]) -> dict[str, int]:
    """How many customers each file names, of those that name any."""
    counted = ((name, len(numbers_in(data) | numbers_in(name.encode()))) for name, data in files)
    return {name: count for name, count in counted if count}


def files_below(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a directory, by its path there."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield path.relative_to(root).as_posix(), path.read_bytes()


def _decoded(data: bytes) -> Iterator[bytes]:
    """The bytes, and what is packed in them."""
    yield data
    if data[:4] == b"PAR1" == data[-4:]:
        yield from _of_parquet(data)
    elif data[:2] == b"\x1f\x8b":
        yield from _decoded(gzip.decompress(data))
    elif data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield from _decoded(archive.read(name))
    elif data[:16] == b"SQLite format 3\0":
        connection = sqlite3.connect(":memory:")
        connection.deserialize(data[:18] + b"\1\1" + data[20:])  # it has no log beside it here
        yield "\n".join(connection.iterdump()).encode(errors="surrogatepass")
        connection.close()


def _of_parquet(data: bytes) -> Iterator[bytes]:
    """Its values, and what stands beside them."""
    file = pq.ParquetFile(pa.BufferReader(data))
    yield str(file.metadata).encode() + str(file.schema_arrow.metadata).encode()
    for column in file.read().columns:
        yield "\n".join(map(str, column.to_pylist())).encode(errors="surrogatepass")
