"""CSV files that analysts upload: checked row by row, scored in parts, kept for a day."""

import base64
import json
import math
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask

from dashboard.data.api_client import ChurnApi
from dashboard.data.spreadsheet import spreadsheet
from dashboard.kept_files import disk_errors, open_folder
from include.contract import CUSTOMER_ID, LARGEST_INTEGER, Column, Contract
from include.customers.csv_file import SCORED_BYTES_MAX, RowFault, read_csv
from include.errors import DataError

FOLDER = "uploads"
PART_ROWS = 1000
KEPT_SECONDS = 24 * 3600
SWEPT_SECONDS = 600
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


@dataclass(frozen=True)
class Progress:
    """How many rows of an upload are scored."""

    token: str
    done: int
    total: int


class UploadGone(DataError):
    """There is no such upload, or no longer."""


def register(server: Flask, var_dir: Path) -> None:
    """Let go of what was kept long enough, whatever is asked for: the next upload may be far."""
    looked = -math.inf

    @server.before_request
    def _sweep() -> None:
        nonlocal looked
        if time.monotonic() - looked >= SWEPT_SECONDS:
            looked = time.monotonic()
            with suppress(OSError):  # whoever uploads is told
                open_folder(var_dir / FOLDER, kept_seconds=KEPT_SECONDS)


def template(contract: Contract) -> bytes:
    """A file to fill in: the header, and one made-up customer."""
    row = [1001, *(_example(column) for column in contract.features)]
    return spreadsheet([CUSTOMER_ID, *contract.feature_names], [row])


def decode(contents: str) -> bytes:
    """An uploaded file, which the browser sends as text; DataError when it is none."""
    try:
        data = base64.b64decode(contents.partition(",")[2], validate=True)
    except ValueError as error:  # no base64, or no ASCII
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
    """Keep the records on disk until they are scored, part by part; the token that names them."""
    folder, token = var_dir / FOLDER, secrets.token_hex(16)
    with disk_errors(folder):
        open_folder(folder, kept_seconds=KEPT_SECONDS)
        try:
            for start in range(0, len(upload.records), PART_ROWS):
                part = slice(start, start + PART_ROWS)
                people = list(zip(upload.rows[part], upload.records[part], strict=True))
                _write(folder / f"{token}-{start:06}.rows", people)
        except OSError:
            for path in folder.glob(f"{token}-*"):
                path.unlink(missing_ok=True)  # what is left would only fill the disk further
            raise
    return token


def score_next(var_dir: Path, token: str, api: ChurnApi) -> Progress:
    """Score the first part that has no answers yet.

    What is done is known by what lies on disk, so a question that comes twice, late or out of order
    finds another part to score, or one that it scores to the same end.
    """
    parts = _parts(var_dir, token)
    waiting = next((each for each in parts if not _scores_of(each).exists()), None)
    if waiting is not None:
        answers = _score(_read(waiting), api)
        with disk_errors(waiting.parent):
            _write(_scores_of(waiting), answers)
    scored = sum(_scores_of(each).exists() for each in parts)
    total = (len(parts) - 1) * PART_ROWS + len(_read(parts[-1]))
    return Progress(token, done=min(scored * PART_ROWS, total), total=total)


def _score(people: Sequence[tuple[int, dict[str, Any]]], api: ChurnApi) -> list[dict[str, Any]]:
    """The answers with the row in the file of each; DataError unless there is one for every row."""
    answer = api.predict_batch([_as_sent(record) for _, record in people], source="bulk")
    shares, labels = answer["probabilities"], answer["predictions"]
    if not len(shares) == len(labels) == len(people):
        raise DataError(
            f"the API was asked about {len(people):,} rows and answered {len(shares):,}: nothing "
            "was taken over, so that no row gets another one's answer. Score the file again"
        )
    told = {"version": answer["model_version"], "defaulted": bool(answer.get("defaulted"))}
    return [
        {"row": row, "p": share, "label": label, **told}
        for (row, _), share, label in zip(people, shares, labels, strict=True)
    ]


def read_result(var_dir: Path, token: str) -> bytes:
    """The scored rows as a file for a spreadsheet; DataError where they are gone or incomplete."""
    people, scores = _people_and_scores(var_dir, token)
    header = column_names(record for _, record in people)
    rows = (
        [
            *(record.get(name, "") for name in header),
            round(100 * score["p"], 2),
            "yes" if score["label"] else "no",
            score["version"],
            row,
        ]
        for (row, record), score in zip(people, scores, strict=True)
    )
    return spreadsheet([*header, *RESULT_COLUMNS], rows)


def summarise(var_dir: Path, token: str) -> dict[str, Any]:
    """How many of the scored rows count as leaving, by which version, and without which past."""
    scores = _people_and_scores(var_dir, token)[1]
    return {
        "leaving": sum(score["label"] for score in scores),
        "version": scores[-1]["version"],
        "defaulted": any(score.get("defaulted") for score in scores),
    }


def _people_and_scores(var_dir: Path, token: str) -> tuple[list[Any], list[Any]]:
    """All rows with the answers to them, in the file's order."""
    parts = _parts(var_dir, token)
    waiting = sum(not _scores_of(each).exists() for each in parts)
    if waiting:
        raise DataError(f"{waiting} of {len(parts)} parts are not scored yet: score the file first")
    people = [row for each in parts for row in _read(each)]
    scores = [score for each in parts for score in _read(_scores_of(each))]
    if [row for row, _ in people] != [score["row"] for score in scores]:
        raise DataError("answers and rows do not belong together: upload the file again")
    return people, scores


def _parts(var_dir: Path, token: str) -> list[Path]:
    """An upload's rows, in their order."""
    known = _TOKEN.fullmatch(token)
    parts = sorted((var_dir / FOLDER).glob(f"{token}-*.rows")) if known else []
    if not parts:
        raise UploadGone("this upload is gone: upload the file again")
    return parts


def _scores_of(part: Path) -> Path:
    return part.with_suffix(".scores")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:  # swept since it was listed
        raise UploadGone("this upload is gone: upload the file again") from error


def _write(path: Path, document: Any) -> None:
    """Write a whole file or none, whoever else writes the same one now."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        draft.write_bytes(json.dumps(document).encode())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _example(column: Column) -> Any:
    if column.categories:
        return column.categories[-1]
    low, high = column.minimum or 0, column.maximum or 1e9
    value = EXAMPLE[column.type]
    return value if low <= value <= high else low if column.type == "integer" else 0.7
