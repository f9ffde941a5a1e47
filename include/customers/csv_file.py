"""Customers from a CSV file, the published one or the bank's own: all of them or none."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from include.contract import Column, Contract, describe
from include.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPORTED_FAULTS = 20
CHUNK_ROWS = 5000
LEFTOVER = "Naive_Bayes"  # the published file carries two columns of somebody's classifier
LEFTOVERS = 2

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def read_csv_customers(path_or_file: Path | str | IO[Any], contract: Contract) -> pd.DataFrame:
    """All customers of a CSV file, in the contract's columns; DataError names the lines at fault.

    Takes UTF-8 with or without a byte order mark. An empty `Attrition_Flag` is a customer without a
    label. A `labelled_at` without a time zone is UTC; the column may be absent.
    """
    with _opened(path_or_file) as (file, name):
        reader = csv.reader(file, strict=True)
        with _text_errors(reader, name):
            header = _header(next(reader, None), contract, name)
            body = _read_body(reader, header, contract)
    if not body.frames and not body.faults:
        raise DataError(f"{name} has a header and no customers")
    frame = _checked(body, contract, name)
    return _typed(frame, contract)


@dataclass
class _Body:
    """What lies below the header: rows, the line that each ends on, lines of a wrong length."""

    frames: list[pd.DataFrame] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)


@contextmanager
def _opened(source: Path | str | IO[Any]) -> Iterator[tuple[IO[str], str]]:
    if isinstance(source, Path | str):
        try:
            with open(source, encoding="utf-8-sig", newline="") as file:
                yield file, str(source)
        except OSError as error:
            raise DataError(f"cannot read {source}: {error.strerror}") from error
        return
    name = str(getattr(source, "name", "the file"))
    if isinstance(source, io.TextIOBase):
        yield source, name
        return
    text = io.TextIOWrapper(source, encoding="utf-8-sig", newline="")
    try:
        yield text, name
    finally:
        text.detach()  # the caller's file stays the caller's to close


@contextmanager
def _text_errors(reader: Any, name: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not UTF-8 text (byte {error.object[error.start]:#04x} near line "
            f"{reader.line_num + 1}): save it as CSV in UTF-8, unpacked"
        ) from error
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: not CSV: {error}") from error


def _header(names: list[str] | None, contract: Contract, source: str) -> list[str]:
    """The file's column names; DataError unless they are the contract's, each once."""
    if not names:
        raise DataError(f"{source} is empty: expected a header and customers")
    names[0] = names[0].removeprefix("\ufeff")  # of a text file that the caller opened
    known = {column.name for column in contract.columns}
    leftovers = [name for name in names if name.startswith(LEFTOVER)]
    kept = [name for name in names if name not in leftovers]
    faults = {
        "missing": contract.missing_columns(names),
        "unknown": [describe(name) for name in kept if name not in known],
        "repeated": sorted({name for name in kept if kept.count(name) > 1}),
        "too many": leftovers if len(leftovers) not in {0, LEFTOVERS} else [],
    }
    if any(faults.values()):
        found = "; ".join(
            f"{kind}: {', '.join(names[:REPORTED_FAULTS])}"
            for kind, names in faults.items()
            if names
        )
        raise DataError(
            f"{source} does not have the columns that include/config/schema.yaml lists; {found}"
        )
    return names


def _read_body(reader: Any, header: list[str], contract: Contract) -> _Body:
    body, width = _Body(), len(header)
    while rows := [(reader.line_num, row) for row in islice(reader, CHUNK_ROWS)]:
        whole = []
        for line, row in rows:
            if len(row) == width:
                whole.append(row)
                body.lines.append(line)
            elif row:
                body.faults.append((line, f"expected {width} fields, found {len(row)}"))
        if whole:
            body.frames.append(_converted(whole, header, contract))
    return body


def _converted(rows: list[list[str]], header: list[str], contract: Contract) -> pd.DataFrame:
    texts = dict(zip(header, zip(*rows, strict=True), strict=True))
    return pd.DataFrame(
        {
            column.name: _values(texts[column.name], column)
            for column in contract.columns
            if column.name in texts
        }
    )


def _values(texts: Sequence[str], column: Column) -> "pd.Series[Any] | NDArray[Any]":
    """Numbers where there should be numbers; any other text stays, for the contract to name."""
    if column.type not in {"integer", "float"}:
        return pd.Series([text or None for text in texts], dtype="str")
    try:
        numbers: NDArray[np.float64] = pa.array(texts).cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all():
        return pd.Series([_number_or_text(text) for text in texts], dtype=object)
    integral = column.type == "integer" and (numbers == np.floor(numbers)).all()
    small = np.abs(numbers).max() < 2**63
    return numbers.astype(np.int64) if integral and small else numbers


def _number_or_text(text: str) -> float | str | None:
    return float(text) if _NUMBER.fullmatch(text) else text or None


def _checked(body: _Body, contract: Contract, name: str) -> pd.DataFrame:
    faults = body.faults
    frame = pd.concat(body.frames, ignore_index=True) if body.frames else pd.DataFrame()
    if len(frame):
        found = contract.check_frame(frame).faults
        texts = found["column"] + ": expected " + found["expected"] + ", found " + found["found"]
        lines = np.array(body.lines)[found["position"].to_numpy(dtype=np.int64)]
        faults = sorted([*faults, *zip(lines.tolist(), texts, strict=True)], key=lambda f: f[0])
    if not faults:
        return frame
    listed = [f"  line {line}: {text}" for line, text in faults[:REPORTED_FAULTS]]
    if len(faults) > REPORTED_FAULTS:
        listed.append(f"  and {len(faults) - REPORTED_FAULTS:,} more")
    raise DataError(
        f"{name} breaks the data contract, nothing of it was loaded. Faults: {len(faults):,}\n"
        + "\n".join(listed)
    )


def _typed(frame: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    moments = contract.labelled_at.name
    given = frame.get(moments, pd.Series(pd.NaT, index=frame.index))
    frame[moments] = pd.to_datetime(given, utc=True, format="ISO8601").dt.as_unit("us")
    integers = {c.name: np.int64 for c in contract.columns if c.type == "integer"}
    return frame.astype(integers)[[column.name for column in contract.columns]]
