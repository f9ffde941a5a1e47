"""A repeated task finds its own work, and the rows that a model is shown with are nobody's."""

import pandas as pd

from include.training.ingest_data import ingest_data
from include.training.train_model import MADE_UP_ROWS, train_model
from include.training.transform_data import transform_data
from include.training.validate_data import validate_data
from tests.include.conftest import MakeRun, lineage_of


def test_a_repeated_stage_finds_its_own_work(make_run: MakeRun) -> None:
    run = make_run("twice")
    ingested = ingest_data(run)
    assert ingest_data(run).mlflow_run_id == ingested.mlflow_run_id
    validated = validate_data(run, ingested)
    transformed = transform_data(run, validated)
    first = train_model(run, ingested, transformed)
    again = train_model(run, ingested, transformed)
    assert first == again


def test_made_up_rows_are_nobody_and_keep_the_contract(
    make_run: MakeRun, people: pd.DataFrame
) -> None:
    run = make_run("made_up")
    trained = lineage_of(run).trained
    rows = run.read_json(trained.fitted)["made_up_rows"]
    real = {tuple(row) for row in run.contract.matrix(people, run.contract.feature_names).tolist()}
    assert len(rows) == MADE_UP_ROWS and not real & {tuple(row) for row in rows}
    for row in rows:
        for column, value in zip(run.contract.features, row, strict=True):
            if column.categories:
                assert value in column.ordinals.values()
            else:
                assert column.number(value) == value
