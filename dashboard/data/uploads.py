"""CSV files that analysts upload: checked row by row, scored in parts, kept for a day."""

import base64
import binascii
import json
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.data.api_client import ChurnApi
from dashboard.data.spreadsheet import spreadsheet
from include.contract import CUSTOMER_ID, LARGEST_INTEGER, Column, Contract
from include.customers.csv_file import SCORED_BYTES_MAX, RowFault, read_csv
from include.errors import DataError

PART_ROWS = 1000
KEPT_SECONDS = 24 * 3600
RESULT_COLUMNS = ("risk_of_leaving_percent", "will_leave", "model_version", "row_in_file")
EXAMPLE = {"integer": 12, "float": 1200.5}
_TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Upload:
    """A file that was read: records with the row of each, and what is wrong with them."""

    records: list[dict[str, Any]]  # the customer as written, the features as the API takes them
    rows: list[int]
    faults: list[RowFault]  # the first of them
    faults_found: int
    ignored: list[str]


def template(contract: Contract) -> bytes:
    """A file to fill in: the header, and one made-up customer."""
    row = [1001, *(_example(column) for column in contract.features)]
    return spreadsheet([CUSTOMER_ID, *contract.feature_names], [row])


def decode(contents: str) -> bytes:
    """An uploaded file, which the browser sends as text; DataError when it is none."""
    try:
        data = base64.b64decode(contents.partition(",")[2], validate=True)
    except binascii.Error as error:
        raise DataError("the upload did not arrive whole: try again") from error
    if len(data) > SCORED_BYTES_MAX:
        raise DataError(f"the file has {len(data):,} bytes, at most {SCORED_BYTES_MAX:,} are read")
    return data


def read_upload(data: bytes, contract: Contract) -> Upload:
    """Read and check a file; DataError when it is no file of customers at all."""
    read = read_csv(data, contract, scoring=True)
    names = [name for name in (CUSTOMER_ID, *contract.feature_names) if name in read.frame]
    columns = [read.frame[name].tolist() for name in names]
    records = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    for record in records:
        if not record.get(CUSTOMER_ID, True):
            del record[CUSTOMER_ID]
    return Upload(records, read.frame.index.tolist(), read.faults, read.faults_found, read.ignored)


def _as_sent(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its customer as the log knows it: a number where every reader keeps one."""
    customer = record.get(CUSTOMER_ID, "")
    if customer.isdecimal() and int(customer) <= LARGEST_INTEGER:
        return {**record, CUSTOMER_ID: int(customer)}
    return record


def column_names(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every name in the records, the customer first: some rows may have one and others none."""
    names = dict.fromkeys(name for record in records for name in record)
    return sorted(names, key=lambda name: name != CUSTOMER_ID)


def keep(var_dir: Path, upload: Upload) -> str:
    """Keep the records on disk until they are scored; the token that names them."""
    token = secrets.token_hex(16)
    folder = _folder(var_dir)
    _sweep(folder)
    with (folder / f"{token}.rows.jsonl").open("w", encoding="utf-8") as file:
        pairs = zip(upload.records, upload.rows, strict=True)
        file.writelines(json.dumps([record, row]) + "\n" for record, row in pairs)
    return token


def score_part(var_dir: Path, token: str, start: int, api: ChurnApi) -> int:
    """Score the next rows through the API and append the answers; how many rows are done."""
    folder = _folder(var_dir)
    part = [_as_sent(record) for record, _ in _lines(folder, token, start)]
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
    people = _read(folder / f"{token}.rows.jsonl")
    scores = _read(folder / f"{token}.scores")
    header = column_names(record for record, _ in people)
    rows = (
        [
            *(record.get(name, "") for name in header),
            round(100 * score["p"], 2),
            "yes" if score["label"] else "no",
            score["version"],
            row,
        ]
        for (record, row), score in zip(people, scores, strict=False)
    )
    return spreadsheet([*header, *RESULT_COLUMNS], rows)


def count_leaving(var_dir: Path, token: str) -> int:
    """How many of the scored rows count as leaving."""
    return sum(score["label"] for score in _read(_folder(var_dir) / f"{token}.scores"))


def _lines(folder: Path, token: str, start: int) -> Iterator[Any]:
    if not _TOKEN.fullmatch(token) or not (folder / f"{token}.rows.jsonl").exists():
        raise DataError("this upload is gone: upload the file again")
    with (folder / f"{token}.rows.jsonl").open(encoding="utf-8") as file:
        for place, line in enumerate(file):
            if start <= place < start + PART_ROWS:
                yield json.loads(line)


def _read(path: Path) -> list[Any]:
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


def _example(column: Column) -> Any:
    if column.categories:
        return column.categories[-1]
    low, high = column.minimum or 0, column.maximum or 1e9
    value = EXAMPLE[column.type]
    return value if low <= value <= high else low if column.type == "integer" else 0.7
