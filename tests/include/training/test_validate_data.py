"""Tables that banks really have, against the contract."""

import pandas as pd
import pytest
from sqlalchemy import Engine

from include.customers.treatment import TAGS
from include.errors import DataError
from include.training.ingest_data import ingest_data
from include.training.run import TrainingRun, content_sha256
from include.training.validate_data import Validated, validate_data
from tests.include.conftest import MakeRun, sql


def validated(run: TrainingRun) -> Validated:
    return validate_data(run, ingest_data(run))


def test_rows_at_fault_are_set_aside_with_every_fault_named(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame
) -> None:
    first = int(people["CLIENTNUM"].iloc[0])
    statement = f"UPDATE churners SET Customer_Age = -1, Gender = 'X' WHERE CLIENTNUM = {first}"
    sql(engine, statement)
    run = make_run("faulty")
    found = validated(run)
    faults = run.read_frame(run.key("validate_data", "faults.parquet"))
    rejected = run.read_frame(run.key("validate_data", "rejected.parquet"))
    assert (found.rows, found.rejected_rows) == (len(people) - 1, 1)
    assert set(faults["column"]) == {"Customer_Age", "Gender"}
    assert set(faults["key"]) == set(rejected["CLIENTNUM"]) == {str(first)}


def test_a_label_from_the_future_is_set_aside_and_named(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    first = int(people["CLIENTNUM"].iloc[0])
    sql(engine, f"UPDATE churners SET labelled_at = '2999-01-01' WHERE CLIENTNUM = {first}")
    assert validated(make_run("ahead")).rejected_rows == 1
    assert "labelled_at expected a date and time up to 20" in caplog.text
    assert "UTC (MySQL: UTC_TIMESTAMP()): 1 rows, the first is row 1" in caplog.text


def test_too_many_rows_at_fault_fail_the_run(make_run: MakeRun, engine: Engine) -> None:
    sql(engine, "UPDATE churners SET Credit_Limit = 1e300 WHERE CLIENTNUM % 5 = 0")
    expected = (
        r"600 of 3000 customers \(20\.0%\) break the contract, allowed are 5\.0%: "
        r"Credit_Limit expected a number from 0 to [\de+]+: 600 rows, the first is row \d+; "
        r"customers, values and all 600 faults are in runs/.*/validate_data/faults\.parquet$"
    )
    with pytest.raises(DataError, match=expected):
        validated(make_run("faulty"))


def test_a_log_says_which_rules_are_broken_and_neither_whose_values_nor_what_they_are(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    sql(engine, "UPDATE churners SET Customer_Age = -77077 WHERE CLIENTNUM % 100 = 0")
    sql(engine, "UPDATE churners SET Gender = 'Zorg' WHERE CLIENTNUM % 200 = 0")
    validated(make_run("faulty"))
    assert "set aside 30 customers: Customer_Age expected an integer" in caplog.text
    assert ": 30 rows, the first is row " in caplog.text and ": 15 rows" in caplog.text
    shown = [key for key in people["CLIENTNUM"] if str(key) in caplog.text]
    assert shown == [] and "77077" not in caplog.text and "Zorg" not in caplog.text


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of 3000 customers goes through the tasks in five parts."""
    monkeypatch.setattr("include.training.ingest_data.BATCH_ROWS", 700)
    monkeypatch.setattr("include.training.validate_data.CHECKED_ROWS", 700)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    ("values", "found"),
    [
        ("Customer_Age = NULL, Credit_Limit = NULL", {"nothing"}),
        ("Customer_Age = 45.5", {"45.5"}),
        ("Customer_Age = 9e999", {"inf"}),
        ("Gender = x'ff01'", {repr(repr(b"\xff\x01"))}),
        ("labelled_at = 'soon'", {"'soon'"}),
    ],
)
def test_rows_at_fault_in_one_part_change_nothing_of_the_others(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame, values: str, found: set[str]
) -> None:
    keys = ", ".join(map(str, people["CLIENTNUM"].iloc[[800, 2200]]))
    sql(engine, f"UPDATE churners SET {values} WHERE CLIENTNUM IN ({keys})")
    run = make_run("odd")
    odd = validated(run)
    assert (odd.rows, odd.rejected_rows) == (2998, 2)
    faults = run.read_frame(run.key("validate_data", "faults.parquet"))
    assert set(faults["found"]) == found and set(faults["position"]) == {800, 2200}
    sql(engine, f"DELETE FROM churners WHERE CLIENTNUM IN ({keys})")
    assert validated(make_run("without")).data_sha256 == odd.data_sha256


def test_the_parts_of_a_table_have_the_hash_of_the_whole(
    make_run: MakeRun, request: pytest.FixtureRequest
) -> None:
    run = make_run("whole")
    whole = validated(run)
    request.getfixturevalue("small_parts")
    parts = validated(make_run("parts"))
    table = run.read_frame(whole.customers).drop(columns=[*TAGS])
    assert whole.data_sha256 == parts.data_sha256 == content_sha256(table)


@pytest.mark.usefixtures("small_parts")
def test_keys_that_come_twice_and_rows_without_one_are_set_aside(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame
) -> None:
    sql(engine, "ALTER TABLE churners RENAME TO kept")
    twice, absent = people["CLIENTNUM"].iloc[[699, 1500]]
    sql(
        engine,
        f"CREATE TABLE churners AS SELECT * FROM kept WHERE CLIENTNUM != {absent} UNION ALL "
        f"SELECT * FROM kept WHERE CLIENTNUM = {twice}",
    )
    columns = "labelled_at, Attrition_Flag, " + ", ".join(people.columns[2:])
    sql(
        engine,
        f"INSERT INTO churners ({columns}) SELECT {columns} FROM kept WHERE CLIENTNUM = {absent}",
    )
    run = make_run("view")
    assert validated(run).rejected_rows == 3
    faults = run.read_frame(run.key("validate_data", "faults.parquet"))
    assert sorted(faults["found"]) == [f"{twice} again", f"{twice} again", "nothing"]


@pytest.mark.usefixtures("small_parts")
def test_only_the_first_faults_are_kept_and_all_are_counted(
    make_run: MakeRun, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.training.validate_data.FAULTS_KEPT", 1000)
    sql(engine, "UPDATE churners SET Customer_Age = -1, Gender = 'X'")
    run = make_run("hopeless")
    expected = r"3000 of 3000 .* Gender .*: 3000 rows.* the first 1000 of 6000 faults are in runs/"
    with pytest.raises(DataError, match=expected):
        validated(run)
    assert len(run.read_frame(run.key("validate_data", "faults.parquet"))) == 1000
    assert len(run.read_frame(run.key("validate_data", "rejected.parquet"))) == 500


def test_a_missing_column_is_named(make_run: MakeRun, engine: Engine) -> None:
    sql(engine, "ALTER TABLE churners DROP COLUMN Total_Trans_Ct")
    with pytest.raises(DataError, match="lacks the columns Total_Trans_Ct"):
        validated(make_run("narrow"))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM churners", "0 customers and none with a label"),
        ("UPDATE churners SET Attrition_Flag = NULL", "3000 customers and none with a label"),
        ("DROP TABLE churners", "churners"),
        ("UPDATE churners SET Attrition_Flag = 'Existing Customer'", "0 customers who left"),
        ("UPDATE churners SET Attrition_Flag = 'Attrited Customer'", "0 who stayed"),
        ("DELETE FROM churners WHERE CLIENTNUM % 100 > 0", "training needs 500"),
    ],
)
def test_a_table_that_cannot_train_fails_clearly(
    make_run: MakeRun, engine: Engine, statement: str, expected: str
) -> None:
    sql(engine, statement)
    with pytest.raises(DataError, match=expected):
        validated(make_run("hopeless"))


def test_the_data_hash_sees_values_and_not_the_file(people: pd.DataFrame) -> None:
    other = people.copy()
    assert content_sha256(other) == content_sha256(people)
    other.loc[0, "Customer_Age"] += 1
    assert content_sha256(other) != content_sha256(people)
