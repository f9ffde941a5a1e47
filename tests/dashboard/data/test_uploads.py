"""Uploaded files: what is read, what is refused and with which words, what comes back."""

import base64
import csv
import errno
import io
import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from dashboard import people
from dashboard.components import csv_upload
from dashboard.components.csv_upload import create_progress
from dashboard.data import uploads
from dashboard.data.api_client import ApiDown, ChurnApi
from dashboard.data.uploads import Upload, UploadGone
from dashboard.kept_files import DiskError
from dashboard.labels import WITHOUT_HISTORY
from include.contract import load_contract
from include.errors import DataError
from tests.webapp.champions import records
from webapp.records import RecordReader

CONTRACT = load_contract()
CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"


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
    uploads.score_next(tmp_path, uploads.keep(tmp_path, read(text)), api)
    accepted = RecordReader(CONTRACT, CONTRACT.feature_names).read_all(api.asked)
    assert accepted.customer_ids == [expected]


@pytest.mark.parametrize("text", ["9" * 5000, "x" * 129])
def test_a_long_customer_id_is_a_fault(text: str) -> None:
    (fault,) = read("1", text).faults
    assert (fault.row, fault.column) == (3, "customer_id")
    assert (fault.expected, fault.found) == ("at most 128 characters", repr(text[:80]) + "…")


class Answering(ChurnApi):
    """An API whose answer to a customer says who that is."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def predict_batch(self, part: list[Any], *, source: str) -> dict[str, Any]:
        """One answer for each record: a customer's number in ten thousands."""
        self.asked += part
        numbers = [each.get("customer_id") for each in part]
        shares = [n / 10_000 if isinstance(n, int) and n < 10_000 else 0.5 for n in numbers]
        labels = [round(share) for share in shares]
        return {"probabilities": shares, "predictions": labels, "model_version": "1"}


def result(var_dir: Path, token: str) -> list[dict[str, str]]:
    """The file that comes back, as rows."""
    text = uploads.read_result(var_dir, token).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The token of an upload of eight customers in three parts."""
    monkeypatch.setattr(uploads, "PART_ROWS", 3)
    return uploads.keep(tmp_path, read(*(str(number) for number in range(9001, 9009))))


def assert_everybody_has_their_own(var_dir: Path, token: str) -> None:
    """Each customer has the answer that was given to that customer."""
    rows = result(var_dir, token)
    assert [row["customer_id"] for row in rows] == [str(n) for n in range(9001, 9009)]
    assert [row["row_in_file"] for row in rows] == [str(n) for n in range(2, 10)]
    for row in rows:
        assert float(row["risk_of_leaving_percent"]) == int(row["customer_id"]) / 100


def test_parts_are_scored_one_after_the_other(kept: str, tmp_path: Path) -> None:
    found = [uploads.score_next(tmp_path, kept, Answering()) for _ in range(3)]
    assert [(each.done, each.total) for each in found] == [(3, 8), (6, 8), (8, 8)]
    assert_everybody_has_their_own(tmp_path, kept)
    summary = uploads.summarise(tmp_path, kept)
    assert (summary["leaving"], summary["defaulted"]) == (8, False)
    state = asdict(found[-1]) | summary
    assert "8 rows scored, 8 of them as leaving" in str(create_progress(state))
    assert "count as" not in str(create_progress(state | {"warns_early": True}))


def test_one_part_answered_without_past_months_is_enough_to_say_so(
    kept: str, tmp_path: Path
) -> None:
    class Champion(Answering):
        def predict_batch(self, part: list[Any], *, source: str) -> dict[str, Any]:
            more = {} if self.asked else {"defaulted": ["Total_Trans_Ct_Change_1m"]}
            return super().predict_batch(part, source=source) | more

    api = Champion()
    found = [uploads.score_next(tmp_path, kept, api) for _ in range(3)][-1]
    state = asdict(found) | uploads.summarise(tmp_path, kept)
    assert state["defaulted"] and WITHOUT_HISTORY in str(create_progress(state))
    assert WITHOUT_HISTORY not in str(create_progress(state | {"defaulted": False}))


def test_a_repeated_question_shifts_nobody(kept: str, tmp_path: Path) -> None:
    api = Answering()
    for _ in range(5):
        uploads.score_next(tmp_path, kept, api)
    assert len(api.asked) == 8  # nobody was asked about twice
    assert_everybody_has_their_own(tmp_path, kept)


def test_questions_that_cross_shift_nobody(kept: str, tmp_path: Path) -> None:
    class Crossing(Answering):
        """While it answers, another browser's question comes and goes."""

        def predict_batch(self, part: list[Any], *, source: str) -> dict[str, Any]:
            uploads.score_next(tmp_path, kept, Answering())
            return super().predict_batch(part, source=source)

    done = [uploads.score_next(tmp_path, kept, Crossing()).done for _ in range(3)]
    assert done == [3, 6, 8]
    assert_everybody_has_their_own(tmp_path, kept)


def test_after_a_failure_it_goes_on_where_it_stopped(kept: str, tmp_path: Path) -> None:
    class Down(ChurnApi):
        """It does not answer."""

        def __init__(self) -> None: ...

        def predict_batch(self, *_: Any, **__: Any) -> dict[str, Any]:
            raise ApiDown("the API did not answer")

    uploads.score_next(tmp_path, kept, Answering())
    with pytest.raises(ApiDown):
        uploads.score_next(tmp_path, kept, Down())
    with pytest.raises(DataError, match="2 of 3 parts are not scored yet: score the file first"):
        uploads.read_result(tmp_path, kept)
    assert [uploads.score_next(tmp_path, kept, Answering()).done for _ in range(2)] == [6, 8]
    assert_everybody_has_their_own(tmp_path, kept)


@pytest.mark.parametrize(("shares", "labels"), [(2, 2), (4, 4), (3, 2), (0, 0)])
def test_an_answer_of_another_length_is_not_taken(
    shares: int, labels: int, kept: str, tmp_path: Path
) -> None:
    class Miscounting(Answering):
        """It answers for more or fewer than it was asked about."""

        def predict_batch(self, part: list[Any], *, source: str) -> dict[str, Any]:
            return {
                "probabilities": [0.5] * shares,
                "predictions": [1] * labels,
                "model_version": "1",
            }

    with pytest.raises(DataError, match=f"asked about 3 rows and answered {shares}"):
        uploads.score_next(tmp_path, kept, Miscounting())
    assert uploads.score_next(tmp_path, kept, Answering()).done == 3


def test_answers_to_other_rows_are_not_given_out(kept: str, tmp_path: Path) -> None:
    for _ in range(3):
        uploads.score_next(tmp_path, kept, Answering())
    first, second, _ = sorted((tmp_path / "uploads").glob("*.scores"))
    first.write_bytes(second.read_bytes())
    with pytest.raises(DataError, match="answers and rows do not belong together"):
        uploads.read_result(tmp_path, kept)


def test_an_upload_goes_after_a_day_whatever_is_asked_for(kept: str, tmp_path: Path) -> None:
    """Also where nobody uploads anything again."""
    server = Flask(__name__)
    uploads.register(server, tmp_path)
    client, parts = server.test_client(), list((tmp_path / uploads.FOLDER).iterdir())
    for path in parts:
        os.utime(path, (0, 0))
    client.get("/health")
    assert parts and not list((tmp_path / uploads.FOLDER).iterdir())


@pytest.mark.parametrize("token", ["", "x", "../../etc", "0" * 32])
def test_an_unknown_upload_is_gone(token: str, tmp_path: Path) -> None:
    with pytest.raises(UploadGone, match="this upload is gone: upload the file again"):
        uploads.score_next(tmp_path, token, Answering())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_left_as_it_was(
    number: int, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "uploads"
    before = sorted(folder.iterdir())
    written: list[Path] = []

    def write(path: Path, _data: bytes) -> None:
        path.touch()
        written.append(path)
        if len(written) > 1:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", write)
    told = f"cannot write to {folder}: the disk is full. Free some space there"
    with pytest.raises(DiskError, match=re.escape(told)):
        uploads.keep(tmp_path, read(*"123456"))
    assert sorted(folder.iterdir()) == before
    with pytest.raises(DiskError, match=re.escape(told)):
        uploads.score_next(tmp_path, kept, Answering())
    assert sorted(folder.iterdir()) == before


def test_a_disk_that_is_really_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads.secrets, "token_hex", lambda _: "0" * 32)
    monkeypatch.setattr(uploads, "open_folder", lambda *_, **__: None)
    (tmp_path / "uploads").mkdir()
    draft = tmp_path / "uploads" / f"{'0' * 32}-000000.rows.{'0' * 32}"
    draft.symlink_to("/dev/full")
    with pytest.raises(DiskError, match="the disk is full"):
        uploads.keep(tmp_path, read("1"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "uploads").touch()
    with pytest.raises(DiskError, match="cannot write to .*uploads: file exists. Free some space"):
        uploads.keep(tmp_path, read("1"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("40_upload_unquoted_thousands.csv", "row 2: expected 20 fields, found 21"),
        ("41_upload_duplicate_column.csv", "repeated: "),
    ],
)
def test_shapes_that_shift_values_are_refused(name: str, expected: str) -> None:
    if not (CASES / name).exists():
        pytest.skip("the shared cases are not on this machine")
    try:
        found = [str(each) for each in uploads.read_upload(case(name), CONTRACT).faults]
    except DataError as error:
        found = [str(error)]
    assert expected in found[0]


def case(name: str) -> bytes:
    """A file as it circulates."""
    return (CASES / name).read_bytes()


def test_numbers_that_begin_with_noughts_come_back_so(tmp_path: Path) -> None:
    if not CASES.exists():
        pytest.skip("the shared cases are not on this machine")
    token = uploads.keep(
        tmp_path, uploads.read_upload(case("43_upload_leading_zeros.csv"), CONTRACT)
    )
    uploads.score_next(tmp_path, token, Answering())
    assert result(tmp_path, token)[0]["customer_id"] == "000123"


@pytest.mark.parametrize("name", ["customer_id", "CLIENTNUM"])
def test_answers_carry_the_customer_as_written_and_the_row(name: str, tmp_path: Path) -> None:
    data = file_of(*[""] * 150, "000123", name=name).replace(b"\n", b"\n\n", 1)
    token = uploads.keep(tmp_path, uploads.read_upload(data, CONTRACT))
    uploads.score_next(tmp_path, token, Answering())
    rows = result(tmp_path, token)
    assert [row["customer_id"] for row in rows] == [*[""] * 150, "000123"]
    assert [row["row_in_file"] for row in rows] == [str(n) for n in range(3, 154)]


def test_ids_that_begin_late_are_in_the_preview() -> None:
    upload = Upload([{"Gender": "F"}, {"customer_id": "7", "Gender": "M"}], [2, 3], [], 0, [])
    shown = str(csv_upload.create_preview("people.csv", upload, None).to_plotly_json())
    assert "customer_id" in shown


def test_the_drop_zone_leaves_refusing_to_decode() -> None:
    """Dash says nothing of a file that it refuses itself."""
    with Flask(__name__).app_context():
        people.come(people.SHARED)
        shown = csv_upload.create_upload().to_plotly_json()
    drop = shown["props"]["children"].children[1]
    assert (getattr(drop, "accept", None), drop.max_size) == (None, -1)
    assert "at most 100,000 rows and 30 MB" in str(drop.children)


def test_a_file_over_the_limit_is_refused_with_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "SCORED_BYTES_MAX", 10)
    contents = "data:text/csv;base64," + base64.b64encode(b"x" * 11).decode()
    with pytest.raises(DataError, match="the file has 11 bytes, at most 10 are read"):
        uploads.decode(contents)


@pytest.mark.parametrize("contents", ["data:,###", "data:,é", "data:,\ud800", "x"])
def test_what_is_no_upload_is_said_to_be_none(contents: str) -> None:
    with pytest.raises(DataError, match="did not arrive whole|empty") as told:
        uploads.read_upload(uploads.decode(contents), load_contract())
    assert told.value
