"""Uploaded files: what is read, what is refused and with which words, what comes back."""

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from dashboard.components import csv_upload
from dashboard.data import uploads
from dashboard.data.uploads import Upload
from include.contract import load_contract
from include.errors import DataError
from tests.webapp.champions import records
from webapp.records import RecordReader

CONTRACT = load_contract()


def file_text(*customers: str, ends: str = "\n") -> str:
    """A file with a row for each customer."""
    names = CONTRACT.feature_names
    rows = [
        ",".join([customer, *(str(record[name]) for name in names)])
        for customer, record in zip(customers, records(len(customers)), strict=True)
    ]
    return ends.join([",".join(["customer_id", *names]), *rows])


def test_semicolons_and_unused_columns_are_understood() -> None:
    names = [*CONTRACT.feature_names, "Attrition_Flag"]
    record = records(1)[0]
    cells = [str(record.get(name, "Existing Customer")) for name in names]
    found = uploads.read_upload("\n".join([";".join(names), ";".join(cells)]), CONTRACT)
    assert found.ignored == ["Attrition_Flag"]
    assert found.faults == []
    assert json.loads(json.dumps(found.records[0])) == record


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_every_line_end_is_understood(ends: str) -> None:
    found = uploads.read_upload(file_text("1", "2", ends=ends), CONTRACT)
    assert [record["customer_id"] for record in found.records] == [1, 2]
    assert found.faults == []


def test_an_open_quote_is_told_by_its_line() -> None:
    text = file_text("1", '"2', "3") + csv.field_size_limit() * "x"
    with pytest.raises(DataError, match=r"line 3 cannot be read as CSV .* a quote"):
        uploads.read_upload(text, CONTRACT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        (str(2**53 - 1), 2**53 - 1),
        (str(2**53), str(2**53)),
        ("9" * 128, "9" * 128),
        ("A-7", "A-7"),
    ],
)
def test_customer_ids_are_sent_as_the_api_takes_them(text: str, expected: int | str) -> None:
    found = uploads.read_upload(file_text(text), CONTRACT)
    assert found.records[0]["customer_id"] == expected
    accepted = RecordReader(CONTRACT, CONTRACT.feature_names).read_all(found.records)
    assert accepted.customer_ids == [expected]


@pytest.mark.parametrize("text", ["9" * 5000, "x" * 129])
def test_a_long_customer_id_is_a_fault(text: str) -> None:
    (fault,) = uploads.read_upload(file_text("1", text), CONTRACT).faults
    assert (fault.line, fault.column) == (3, "customer_id")
    assert fault.expected == "at most 128 characters"
    assert fault.found == f"{len(text):,} characters"


class Answering:
    """An API that gives everybody the same."""

    def predict_batch(self, part: list[Any], *, source: str) -> dict[str, Any]:
        """One answer for each record."""
        count = len(part)
        return {"probabilities": [0.5] * count, "predictions": [1] * count, "model_version": "1"}


def test_ids_that_begin_late_are_in_the_result(tmp_path: Path) -> None:
    upload = uploads.read_upload(file_text(*[""] * 150, "7"), CONTRACT)
    token = uploads.keep(tmp_path, upload)
    api: Any = Answering()
    uploads.score_part(tmp_path, token, 0, api)
    text = (uploads.read_result(tmp_path, token) or b"").decode("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text))
    assert header[0] == "customer_id"
    assert [row[0] for row in rows] == [*[""] * 150, "7"]


def test_ids_that_begin_late_are_in_the_preview() -> None:
    upload = Upload([{"Gender": "F"}, {"customer_id": 7, "Gender": "M"}], [], [])
    shown = str(csv_upload.create_preview("people.csv", upload, None).to_plotly_json())
    assert "customer_id" in shown


def test_the_drop_zone_leaves_refusing_to_decode() -> None:
    """Dash says nothing of a file that it refuses itself."""
    shown = csv_upload.create_upload().to_plotly_json()
    drop = shown["props"]["children"].children[1]
    assert (getattr(drop, "accept", None), drop.max_size) == (None, -1)
    assert "at most 100,000 rows and 30 MB" in str(drop.children)


def test_a_file_over_the_limit_is_refused_with_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "BYTES_MAX", 10)
    contents = "data:text/csv;base64," + base64.b64encode(b"x" * 11).decode()
    with pytest.raises(DataError, match="the file has 11 bytes, at most 10 are read"):
        uploads.decode(contents)
