"""Customers in a CSV file, to load or to score: one reader for loader, check and dashboard.

pyarrow parses, block by block, every value as text; the contract judges; a fault names its row.
Rows count from 1, with the header and empty rows, as an editor or a spreadsheet shows them.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from include.contract import CUSTOMER_ID, CUSTOMER_ID_CHARACTERS, Column, Contract, TableFault
from include.customers.csv_header import Layout, read_columns, read_layout
from include.customers.csv_points import Points
from include.customers.csv_text import BLOCK_BYTES, utf8_text
from include.customers.labels import future_labels
from include.errors import DataError, FaultyFile
from include.values import describe

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPORTED_FAULTS = 20
FAULTS_KEPT = 10_000
SCORED_ROWS_MAX = 100_000  # at most this many rows, and bytes, are scored at a time
SCORED_BYTES_MAX = 30 * 2**20
WHOLE_NUMBER = "every digit of the number, which a spreadsheet has rounded or hidden (give the \
column a number's format without decimals, or a text's, and save it again)"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# A customer's number that is loaded has no exponent; one that is scored may be a text like 1E5.
_ROUNDED = r"^[+-]?\d+([.,]\d*)?[eE][+-]?\d+$"
_ROUNDED_TEXT = r"^\d+([.,]\d+[eE]\+?|[eE]\+)\d+$|^#(#+|N/A|DIV/0!|[A-Z]+[!?])$"
# As describe() shows a number with a currency, a percent sign, or separators that are not ours.
_WRITTEN = re.compile(r"""['"]\W*\d[\d\W]*['"]""", re.ASCII)


@dataclass(frozen=True)
class RowFault:
    """One thing in a file that is not right."""

    row: int
    column: str  # empty where the whole row is at fault
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.without_value()}, found {self.found}"

    def without_value(self) -> str:
        """The same for what is kept, such as a log: where it is, not whose or what."""
        name = f"{self.column}: " if self.column else ""
        return f"row {self.row}: {name}expected {self.expected}"


@dataclass(frozen=True)
class CsvFile:
    """What a file holds: its customers, by their rows in it, and all that is wrong."""

    name: str
    frame: pd.DataFrame  # its index is the row in the file
    customers: int
    faults: list[RowFault]  # the first of them
    faults_found: int
    ignored: list[str]  # columns

    def refuse(self) -> None:
        """FaultyFile that lists the faults, where there are any."""
        if not self.faults_found:
            return
        shown = self.faults[:REPORTED_FAULTS]
        begin = f"{self.name} cannot be used. Faults: {self.faults_found:,}"
        more = self.faults_found - len(shown)
        end = [f"  and {more:,} more"] if more else []
        raise FaultyFile(
            "\n".join([begin, *(f"  {fault}" for fault in shown), *end]),
            "\n".join([begin, *(f"  {fault.without_value()}" for fault in shown), *end]),
        )


class Taker(Protocol):
    """Who takes the rows block by block, in the place of memory."""

    each_key_once: bool
    listed_in: str  # where a person finds the columns

    def faults(self, frame: pd.DataFrame) -> list[TableFault]:
        """What is wrong beyond the contract; values may be wrong by it."""

    def take(self, frame: pd.DataFrame) -> list[TableFault]:
        """Take a block while nothing was wrong; what cannot be taken."""


def read_csv_customers(source: Path | bytes, contract: Contract) -> pd.DataFrame:
    """All customers of a file, in the contract's columns; DataError lists what is wrong with it.

    An empty `Attrition_Flag` is a customer without a label. A `labelled_at` without a time zone is
    UTC; the column may be absent.
    """
    read = read_csv(source, contract)
    read.refuse()
    frame, moments = read.frame.reset_index(drop=True), contract.labelled_at.name
    given = frame.get(moments, pd.Series(pd.NaT, index=frame.index))
    frame[moments] = pd.to_datetime(given, utc=True, format="ISO8601").dt.as_unit("us")
    integers = {c.name: np.int64 for c in contract.columns if c.type == "integer"}
    return frame.astype(integers)[[column.name for column in contract.columns]]


def read_csv(
    source: Path | bytes,
    contract: Contract,
    *,
    scoring: bool = False,
    keeps_rows: bool = True,
    now: datetime | None = None,
    taker: Taker | None = None,
) -> CsvFile:
    """Read and check a file; DataError where it is no file of customers at all.

    To score, it takes the features alone, and the customer's number, which may be any text; other
    columns are ignored. Without `keeps_rows` memory holds one block and the keys. Given `now`, a
    label that became known later is a fault.
    """
    name = "the file" if isinstance(source, bytes) else str(source)
    with utf8_text(source, name) as file:
        layout = read_layout(file, name)
        listed = {"listed_in": taker.listed_in} if taker else {}
        columns = read_columns(layout.header, contract, name, scoring=scoring, **listed)
        rows = Rows(
            layout,
            columns,
            contract,
            scoring=scoring,
            keeps_rows=keeps_rows,
            now=now,
            taker=taker,
        )
        with _arrow_errors(name, rows):
            for block in _blocks(file, layout, rows):
                rows.add(block)
                if scoring and rows.customers > SCORED_ROWS_MAX:
                    raise DataError(f"{name} has more than {SCORED_ROWS_MAX:,} rows: split it")
    return rows.end(name)


def _blocks(file: "pa.NativeFile", layout: Layout, rows: "Rows") -> Iterator[Any]:
    """The rows below the header, every value as text."""
    names = [str(place) for place in range(len(layout.header))]
    yield from pa_csv.open_csv(
        file,
        pa_csv.ReadOptions(
            use_threads=False,  # with threads a ragged row has no number
            block_size=BLOCK_BYTES,
            skip_rows=layout.header_row,
            column_names=names,
        ),
        pa_csv.ParseOptions(
            delimiter=layout.delimiter,
            newlines_in_values=True,
            ignore_empty_lines=False,
            invalid_row_handler=rows.skip,
        ),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )


@contextmanager
def _arrow_errors(name: str, rows: "Rows") -> Iterator[None]:
    try:
        yield
    except pa.ArrowInvalid as error:
        if "Could not skip" in str(error):  # a header without a line end, and nothing more
            return
        told = (
            f"{name} cannot be read as CSV after row {rows.last_row}: look for a quote that is "
            f"never closed, or a row of more than {BLOCK_BYTES:,} bytes"
        )
        raise FaultyFile(f"{told} ({str(error)[:200]})", told) from error


class Rows:
    """What lies below the header, block by block, and what is wrong with it."""

    def __init__(
        self,
        layout: Layout,
        columns: dict[str, Column],
        contract: Contract,
        *,
        scoring: bool = False,
        keeps_rows: bool = False,
        now: datetime | None = None,
        taker: Taker | None = None,
    ) -> None:
        self.layout, self.columns, self.contract = layout, columns, contract
        self.scoring, self.keeps_rows, self.now, self.taker = scoring, keeps_rows, now, taker
        self.each_key_once = not scoring and (taker is None or taker.each_key_once)
        self.customers, self.faults_found = 0, 0
        self.last_row = layout.header_row
        self.frames: list[pd.DataFrame] = []
        self.faults: list[RowFault] = []
        self._keys: list[pd.Series[Any]] = []
        self._points = {name: Points(column) for name, column in columns.items()}
        self._ragged: list[int] = []

    def skip(self, row: Any) -> str:
        """What pyarrow asks about each row that has more or fewer fields than the header."""
        self._ragged.append(row.number)
        if row.text.strip(self.layout.delimiter + '" '):
            open_quote = ", and a quote that is open to here" if "\n" in row.text else ""
            nameless = "" if self.layout.header[-1] else ", the last of the header without a name"
            expected = f"{row.expected_columns} fields{nameless}"
            found = f"{row.actual_columns}{open_quote}"
            self._fault(RowFault(row.number, "", expected, found))
        return "skip"

    def add(self, block: Any) -> None:
        """Take a block's rows; those that hold nothing are none."""
        rows = self._numbered(block.num_rows)
        texts = [pc.utf8_trim_whitespace(each) for each in block.columns]
        filled = np.zeros(len(rows), dtype=bool)
        for each in texts:
            if filled.all():
                break
            filled |= pc.not_equal(each, "").to_numpy(zero_copy_only=False)
        if not filled.all():
            rows, texts = rows[filled], [each.filter(pa.array(filled)) for each in texts]
        self.customers += len(rows)
        for place, each in enumerate(self.layout.header):
            if not each:
                expected = f"nothing in column {place + 1}, which has no name"
                self._text_faults(rows, texts[place], "", expected, pc.not_equal(texts[place], ""))
        named = dict(zip(self.layout.header, texts, strict=True))
        self._check(pd.DataFrame(self._values(rows, named), index=rows))

    def end(self, name: str) -> CsvFile:
        """What was read, and what only whole columns show: repeated keys, points of two meanings.

        DataError where nothing was.
        """
        if self._keys:
            keys = pd.concat(self._keys)
            self._table_faults(self.contract.repeated_keys(keys), keys.index)
        for column, points in self._points.items():
            for row, expected, found in points.faults():
                self._fault(RowFault(row, column, expected, repr(found)))
        if not self.customers and not self.faults_found:
            raise DataError(f"{name} has a header and no customers")
        frame = pd.concat(self.frames) if self.frames else pd.DataFrame()
        faults = sorted(self.faults, key=lambda fault: fault.row)
        ignored = [each for each in self.layout.header if each and each not in self.columns]
        return CsvFile(name, frame, self.customers, faults, self.faults_found, ignored)

    def _numbered(self, count: int) -> "NDArray[np.int64]":
        """The rows of the next `count` lines that are whole, which ragged ones stand between."""
        reach = np.arange(self.last_row + 1, self.last_row + 1 + count + len(self._ragged))
        rows = np.setdiff1d(reach, self._ragged, assume_unique=True)[:count]
        if count:
            self.last_row = int(rows[-1])
        self._ragged = [row for row in self._ragged if row > self.last_row]
        return rows

    def _values(self, rows: "NDArray[np.int64]", texts: dict[str, Any]) -> dict[str, Any]:
        values = {}
        for name, column in self.columns.items():
            if column.role == "key":
                pattern = _ROUNDED_TEXT if self.scoring else _ROUNDED
                rounded = pc.match_substring_regex(texts[name], pattern)
                self._text_faults(rows, texts[name], name, WHOLE_NUMBER, rounded)
            if column.role == "key" and self.scoring:
                long = pc.greater(pc.utf8_length(texts[name]), CUSTOMER_ID_CHARACTERS)
                expected = f"at most {CUSTOMER_ID_CHARACTERS} characters"
                self._text_faults(rows, texts[name], name, expected, long)
                # 123.0 is the 123 that a program took for a measurement.
                plain = pc.replace_substring_regex(texts[name], r"^(\d+)\.0+$", r"\1")
                values[CUSTOMER_ID] = pd.array(plain, dtype="str")
            else:
                self._points[name].add(rows, texts[name])
                values[name] = _typed(texts[name], column)
        return values

    def _check(self, frame: pd.DataFrame) -> None:
        found = self.contract.column_faults(frame)
        if self.now is not None:
            found += future_labels(frame, self.contract, self.now)
        if self.taker is not None:
            found += self.taker.faults(frame)
            if not found and not self.faults_found:
                found = self.taker.take(frame)
        self._table_faults([_with_digits(fault) for fault in found], frame.index)
        if self.each_key_once:
            self._keys.append(frame[self.contract.key.name])
        if self.keeps_rows:
            self.frames.append(frame)

    def _text_faults(
        self, rows: "NDArray[np.int64]", texts: Any, column: str, expected: str, wrong: Any
    ) -> None:
        for place in np.flatnonzero(wrong.to_numpy(zero_copy_only=False)):
            found = describe(texts[int(place)].as_py())
            self._fault(RowFault(int(rows[place]), column, expected, found))

    def _table_faults(self, found: list[TableFault], rows: "pd.Index[Any]") -> None:
        kept = sorted(found, key=itemgetter(0))[: FAULTS_KEPT - len(self.faults)]
        self.faults += [RowFault(int(rows[fault.position]), *fault[1:]) for fault in kept]
        self.faults_found += len(found)

    def _fault(self, fault: RowFault) -> None:
        self.faults_found += 1
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(fault)


def _with_digits(fault: TableFault) -> TableFault:
    if not _WRITTEN.fullmatch(fault.found):
        return fault
    if fault.expected.startswith("an integer"):
        return fault._replace(expected=f"{fault.expected}, of digits alone")
    if fault.expected.startswith("a number"):
        return fault._replace(expected=f"{fault.expected}, of digits and a decimal point alone")
    return fault


def _typed(texts: Any, column: Column) -> Any:
    """Numbers where there should be numbers; any other text stays, for the contract to name."""
    if column.type not in {"integer", "float"}:
        return pd.array(pc.if_else(pc.equal(texts, ""), None, texts), dtype="str")
    try:
        numbers: NDArray[np.float64] = texts.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all():
        return np.array([_number_or_text(text) for text in texts.to_pylist()], dtype=object)
    integral = column.type == "integer" and (numbers == np.floor(numbers)).all()
    return numbers.astype(np.int64) if integral and (np.abs(numbers) < 2**63).all() else numbers


def _number_or_text(text: str) -> float | str | None:
    return float(text) if _NUMBER.fullmatch(text) else text or None
