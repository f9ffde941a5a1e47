"""Who trains, who calibrates, who judges; and who is resampled."""

import pandas as pd

from include.training.ingest_data import ingest_data
from include.training.run import TrainingRun
from include.training.transform_data import transform_data
from include.training.validate_data import Validated, validate_data
from tests.include.conftest import MakeRun


def validated(run: TrainingRun) -> Validated:
    return validate_data(run, ingest_data(run))


def test_only_training_rows_are_resampled(make_run: MakeRun, people: pd.DataFrame) -> None:
    run = make_run("balanced")
    found = transform_data(run, validated(run))
    sides = run.params.split.sides(people["CLIENTNUM"].tolist())
    train, aside = run.read_frame(found.training), run.read_frame(found.calibration)
    assert train["label"].mean() == 0.5
    assert len(aside) == found.calibration_rows == int((sides == "calibration").sum())
    assert aside["label"].mean() < 0.4
