"""CSV files that analysts upload: read, checked row by row, scored in parts, kept for a day."""

import base64
import binascii
import csv
import io
import json
import math
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.data.api_client import ChurnApi
from dashboard.data.spreadsheet import spreadsheet
from include.contract import Column, Contract
from include.errors import DataError

CUSTOMER_ID = "customer_id"
CUSTOMER_ID_CHARACTERS = 128  # both limits are the API's
CUSTOMER_ID_INTEGER_MAX = 2**53 - 1
ROWS_MAX = 100_000
BYTES_MAX = 30 * 2**20
PART_ROWS = 1000
KEPT_SECONDS = 24 * 3600
FAULTS_KEPT = 10_000
RESULT_COLUMNS = ("risk_of_leaving_percent", "will_leave", "model_version")
EXAMPLE = {"integer": 12, "float": 1200.5}
_TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class RowFault:
    """One value of a file that breaks the contract; `line` as a spreadsheet counts."""

    line: int
    column: str
    expected: str
    found: str


@dataclass(frozen=True)
class Upload:
    """A file that was read: records as the API takes them, and every fault."""

    records: list[dict[str, Any]]
    faults: list[RowFault]
    ignored: list[str]


def template(contract: Contract) -> bytes:
    """A file to fill in: the header, and one made-up customer."""
    row = [1001, *(_example(column) for column in contract.features)]
    return spreadsheet([CUSTOMER_ID, *contract.feature_names], [row])


def decode(contents: str) -> str:
    """The text of an uploaded file, as the browser sends it; DataError when it is none."""
    try:
        data = base64.b64decode(contents.partition(",")[2], validate=True)
    except binascii.Error as error:
        raise DataError("the upload did not arrive whole: try again") from error
    if len(data) > BYTES_MAX:
        raise DataError(f"the file has {len(data):,} bytes, at most {BYTES_MAX:,} are read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            "the file is not text in UTF-8: save it as CSV (UTF-8), not as a workbook"
        ) from error


def read_upload(text: str, contract: Contract) -> Upload:
    """Read and check a file; DataError when it has no rows or lacks columns as a whole."""
    rows = _rows(text)
    _, first = next(rows, (1, []))
    header = [name.strip() for name in first]
    keys = {CUSTOMER_ID, contract.key.name}
    # Labels are the answer: the API would refuse them, so they are left out, and it is said so.
    known = [*contract.feature_names, *keys]
    missing = [name for name in contract.feature_names if name not in header]
    if missing:
        raise DataError(
            f"the file lacks {len(missing)} columns: {', '.join(missing)}; "
            "the template has them all"
        )
    records: list[dict[str, Any]] = []
    faults: list[RowFault] = []
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(records) >= ROWS_MAX:
            raise DataError(f"the file has more than {ROWS_MAX:,} rows: split it")
        record, found = _record(dict(zip(header, row, strict=False)), line, contract)
        records.append(record)
        faults += found[: max(0, FAULTS_KEPT - len(faults))]
    if not records:
        raise DataError("the file has a header and no rows")
    return Upload(records, faults, [name for name in header if name and name not in known])


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with its line, as a spreadsheet counts; DataError where a row cannot be read."""
    # Excel's "CSV (Macintosh)" ends its lines with CR alone, which csv.reader refuses.
    lines = io.StringIO(text, newline=None)
    delimiter = _delimiter(lines.readline())
    lines.seek(0)
    line = 0
    try:
        for line, row in enumerate(csv.reader(lines, delimiter=delimiter), start=1):
            yield line, row
    except csv.Error as error:
        raise DataError(
            f"line {line + 1} cannot be read as CSV ({error}): look for a quote that is never "
            "closed, there or after it"
        ) from error


def _record(
    row: dict[str, str], line: int, contract: Contract
) -> tuple[dict[str, Any], list[RowFault]]:
    record: dict[str, Any] = {}
    faults = []
    key = CUSTOMER_ID if CUSTOMER_ID in row else contract.key.name
    customer = row.get(key, "").strip()
    if len(customer) > CUSTOMER_ID_CHARACTERS:
        expected = f"at most {CUSTOMER_ID_CHARACTERS} characters"
        faults.append(RowFault(line, key, expected, f"{len(customer):,} characters"))
    elif customer:
        record[CUSTOMER_ID] = _customer_id(customer)
    for column in contract.features:
        text = row.get(column.name, "").strip()
        value = parse_value(text, column)
        if column.number(value) is None:
            faults.append(RowFault(line, column.name, column.expected, text or "nothing"))
        record[column.name] = value
    return record, faults


def _customer_id(text: str) -> int | str:
    """A number as such while every JSON reader keeps it exact, else the text."""
    if not text.isdecimal():
        return text
    number = int(text)
    return number if number <= CUSTOMER_ID_INTEGER_MAX else text


def column_names(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every name in the records, the customer first: some rows may have one and others none."""
    names = dict.fromkeys(name for record in records for name in record)
    return sorted(names, key=lambda name: name != CUSTOMER_ID)


def parse_value(text: str, column: Column) -> Any:
    """A cell as the API wants it: a number where the column is one, else the text."""
    if column.categories:
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if column.type == "integer" and number.is_integer() else number


def keep(var_dir: Path, upload: Upload) -> str:
    """Keep the records on disk until they are scored; the token that names them."""
    token = secrets.token_hex(16)
    folder = _folder(var_dir)
    _sweep(folder)
    with (folder / f"{token}.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in upload.records)
    return token


def score_part(var_dir: Path, token: str, start: int, api: ChurnApi) -> int:
    """Score the next rows through the API and append the answers; how many rows are done."""
    folder = _folder(var_dir)
    part = list(_lines(folder, token, start))
    if not part:
        return start
    answer = api.predict_batch(part, source="bulk")
    version = answer["model_version"]
    answers = [
        {"p": p, "label": label, "version": version}
        for p, label in zip(answer["probabilities"], answer["predictions"], strict=True)
    ]
    with (folder / f"{token}.scores").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(each) + "\n" for each in answers)
    return start + len(part)


def read_result(var_dir: Path, token: str) -> bytes | None:
    """The scored rows as a file for a spreadsheet; None where there are none."""
    folder = _folder(var_dir)
    if not _TOKEN.fullmatch(token) or not (folder / f"{token}.scores").exists():
        return None
    records = _read(folder / f"{token}.jsonl")
    scores = _read(folder / f"{token}.scores")
    header = column_names(records)
    rows = (
        [
            *(record.get(name, "") for name in header),
            round(100 * score["p"], 2),
            "yes" if score["label"] else "no",
            score["version"],
        ]
        for record, score in zip(records, scores, strict=False)
    )
    return spreadsheet([*header, *RESULT_COLUMNS], rows)


def count_leaving(var_dir: Path, token: str) -> int:
    """How many of the scored rows count as leaving."""
    return sum(score["label"] for score in _read(_folder(var_dir) / f"{token}.scores"))


def _lines(folder: Path, token: str, start: int) -> Iterator[dict[str, Any]]:
    if not _TOKEN.fullmatch(token) or not (folder / f"{token}.jsonl").exists():
        raise DataError("this upload is gone: upload the file again")
    with (folder / f"{token}.jsonl").open(encoding="utf-8") as file:
        for place, line in enumerate(file):
            if start <= place < start + PART_ROWS:
                yield json.loads(line)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _folder(var_dir: Path) -> Path:
    folder = var_dir / "uploads"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _sweep(folder: Path) -> None:
    for path in folder.iterdir():
        try:
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()
        except FileNotFoundError:
            continue


def _delimiter(header: str) -> str:
    """Spreadsheets of many countries write semicolons."""
    return max(",;\t", key=header.count)


def _example(column: Column) -> Any:
    if column.categories:
        return column.categories[-1]
    low, high = column.minimum or 0, column.maximum or 1e9
    value = EXAMPLE[column.type]
    return value if low <= value <= high else low if column.type == "integer" else 0.7
