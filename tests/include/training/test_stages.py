"""The first four stages on a small bank, with the tables that banks really have."""

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from include.errors import DataError
from include.handover import safe_key
from include.params import Params
from include.training import stages
from include.training.run import TrainingRun, content_sha256
from tests.include.conftest import MakeRun


def sql(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def validated(run: TrainingRun) -> stages.Validated:
    return stages.validate_data(run, stages.ingest_data(run))


def test_unlabelled_customers_are_counted_and_never_trained_on(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame
) -> None:
    sql(engine, "UPDATE churners SET Attrition_Flag = NULL WHERE CLIENTNUM % 10 = 0")
    found = stages.ingest_data(make_run("some"))
    unlabelled = int((people["CLIENTNUM"] % 10 == 0).sum())
    assert (found.rows, found.unlabelled_rows) == (len(people) - unlabelled, unlabelled)


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


def test_too_many_rows_at_fault_fail_the_run(make_run: MakeRun, engine: Engine) -> None:
    sql(engine, "UPDATE churners SET Credit_Limit = 1e300 WHERE CLIENTNUM % 5 = 0")
    with pytest.raises(DataError, match=r"600 of 3000 customers \(20\.0%\) break .*Credit_Limit"):
        validated(make_run("faulty"))


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


def test_a_plain_insert_of_21_columns_counts_as_labelled_from_now_on(
    make_run: MakeRun, engine: Engine
) -> None:
    sql(engine, "UPDATE churners SET labelled_at = NULL")
    stages.ingest_data(make_run("stamps"))
    with engine.connect() as connection:
        unstamped = "SELECT COUNT(*) FROM churners WHERE labelled_at IS NULL"
        assert connection.execute(text(unstamped)).scalar() == 0


def test_only_training_rows_are_resampled(make_run: MakeRun, people: pd.DataFrame) -> None:
    run = make_run("balanced")
    found = stages.transform_data(run, validated(run))
    sides = run.params.split.sides(people["CLIENTNUM"].tolist())
    train, aside = run.read_frame(found.training), run.read_frame(found.calibration)
    assert train["label"].mean() == 0.5
    assert len(aside) == found.calibration_rows == int((sides == "calibration").sum())
    assert aside["label"].mean() < 0.4


def test_a_repeated_stage_finds_its_own_work(make_run: MakeRun) -> None:
    run = make_run("twice")
    ingested = stages.ingest_data(run)
    assert stages.ingest_data(run).mlflow_run_id == ingested.mlflow_run_id
    data = stages.validate_data(run, ingested)
    transformed = stages.transform_data(run, data)
    first = stages.train_model(run, ingested, data, transformed)
    again = stages.train_model(run, ingested, data, transformed)
    assert first == again


@pytest.mark.parametrize("family", ["xgboost", "random_forest"])
@pytest.mark.parametrize("resampling", ["none", "smote", "smotenc"])
def test_every_family_and_resampling_trains(
    make_run: MakeRun, params: Params, family: str, resampling: str
) -> None:
    forest = params.model.random_forest.model_copy(update={"n_estimators": 30, "max_depth": 6})
    changes = {"family": family, "resampling": resampling, "random_forest": forest}
    model = params.model.model_copy(update=changes)
    run = make_run("any", params=params.model_copy(update={"model": model}))
    ingested = stages.ingest_data(run)
    data = stages.validate_data(run, ingested)
    trained = stages.train_model(run, ingested, data, stages.transform_data(run, data))
    assert run.read(trained.model) and run.read(trained.trees)


def test_made_up_rows_are_nobody_and_keep_the_contract(
    make_run: MakeRun, people: pd.DataFrame
) -> None:
    run = make_run("made_up")
    ingested = stages.ingest_data(run)
    data = stages.validate_data(run, ingested)
    trained = stages.train_model(run, ingested, data, stages.transform_data(run, data))
    rows = run.read_json(trained.fitted)["made_up_rows"]
    real = {tuple(row) for row in run.contract.matrix(people, run.contract.feature_names).tolist()}
    assert len(rows) == stages.MADE_UP_ROWS and not real & {tuple(row) for row in rows}
    for row in rows:
        for column, value in zip(run.contract.features, row, strict=True):
            if column.categories:
                assert value in column.ordinals.values()
            else:
                assert column.number(value) == value


@pytest.mark.parametrize(
    ("run_id", "key"),
    [
        ("manual-1", "manual-1"),
        ("manual__2026-01-01T00:00:00+00:00", "manual__2026-01-01T00:00:00+00:00"),
        ("../../etc", "-..-etc-"),
        ("", "run-"),
    ],
)
def test_run_ids_become_one_safe_part_of_a_key(run_id: str, key: str) -> None:
    found = safe_key(run_id)
    assert found.startswith(key) and "/" not in found and found.strip(".") == found


def test_run_ids_that_look_alike_stay_apart() -> None:
    assert safe_key("a/b") != safe_key("a b")


def test_the_data_hash_sees_values_and_not_the_file(people: pd.DataFrame) -> None:
    other = people.copy()
    assert content_sha256(other) == content_sha256(people)
    other.loc[0, "Customer_Age"] += 1
    assert content_sha256(other) != content_sha256(people)
