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
from dashboard.data.api_client import ChurnApi
from dashboard.data.uploads import Upload
from include.contract import load_contract
from include.errors import DataError
from tests.webapp.champions import records
from webapp.records import RecordReader

CONTRACT = load_contract()


def file_of(*customers: str, name: str = "customer_id") -> bytes:
    """A file with a row for each customer."""
    names = CONTRACT.feature_names
    rows = [
        ",".join([customer, *(str(record[name]) for name in names)])
        for customer, record in zip(customers, records(len(customers)), strict=True)
    ]
    return "\n".join([",".join([name, *names]), *rows]).encode()


def read(*customers: str) -> Upload:
    return uploads.read_upload(file_of(*customers), CONTRACT)


def test_semicolons_and_unused_columns_are_understood() -> None:
    names = [*CONTRACT.feature_names, "Attrition_Flag"]
    record = records(1)[0]
    cells = [str(record.get(name, "Existing Customer")) for name in names]
    text = "\n".join([";".join(names), ";".join(cells)])
    found = uploads.read_upload(text.encode(), CONTRACT)
    assert found.ignored == ["Attrition_Flag"]
    assert (found.faults, found.rows) == ([], [2])
    assert json.loads(json.dumps(found.records[0])) == record


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
def test_customer_ids_are_sent_as_the_api_takes_them(
    text: str, expected: int | str, tmp_path: Path
) -> None:
    api = Answering()
    uploads.score_part(tmp_path, uploads.keep(tmp_path, read(text)), 0, api)
    accepted = RecordReader(CONTRACT, CONTRACT.feature_names).read_all(api.asked)
    assert accepted.customer_ids == [expected]


@pytest.mark.parametrize("text", ["9" * 5000, "x" * 129])
def test_a_long_customer_id_is_a_fault(text: str) -> None:
    (fault,) = read("1", text).faults
    assert (fault.row, fault.column) == (3, "customer_id")
    assert (fault.expected, fault.found) == ("at most 128 characters", repr(text[:80]) + "…")


class Answering(ChurnApi):
    """An API that gives everybody the same."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def predict_batch(self, part: list[Any], *, source: str) -> dict[str, Any]:
        """One answer for each record."""
        self.asked += part
        count = len(part)
        return {"probabilities": [0.5] * count, "predictions": [1] * count, "model_version": "1"}


@pytest.mark.parametrize("name", ["customer_id", "CLIENTNUM"])
def test_answers_carry_the_customer_as_written_and_the_row(name: str, tmp_path: Path) -> None:
    data = file_of(*[""] * 150, "000123", name=name).replace(b"\n", b"\n\n", 1)
    token = uploads.keep(tmp_path, uploads.read_upload(data, CONTRACT))
    uploads.score_part(tmp_path, token, 0, Answering())
    text = (uploads.read_result(tmp_path, token) or b"").decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["customer_id"] for row in rows] == [*[""] * 150, "000123"]
    assert [row["row_in_file"] for row in rows] == [str(n) for n in range(3, 154)]


def test_ids_that_begin_late_are_in_the_preview() -> None:
    upload = Upload([{"Gender": "F"}, {"customer_id": "7", "Gender": "M"}], [2, 3], [], 0, [])
    shown = str(csv_upload.create_preview("people.csv", upload, None).to_plotly_json())
    assert "customer_id" in shown


def test_the_drop_zone_leaves_refusing_to_decode() -> None:
    """Dash says nothing of a file that it refuses itself."""
    shown = csv_upload.create_upload().to_plotly_json()
    drop = shown["props"]["children"].children[1]
    assert (getattr(drop, "accept", None), drop.max_size) == (None, -1)
    assert "at most 100,000 rows and 30 MB" in str(drop.children)


def test_a_file_over_the_limit_is_refused_with_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "SCORED_BYTES_MAX", 10)
    contents = "data:text/csv;base64," + base64.b64encode(b"x" * 11).decode()
    with pytest.raises(DataError, match="the file has 11 bytes, at most 10 are read"):
        uploads.decode(contents)
