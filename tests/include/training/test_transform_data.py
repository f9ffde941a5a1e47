"""Who trains, who calibrates, who judges; and who is resampled."""

import pandas as pd
import pytest

from include.handover import Run
from include.params import Params
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
    assert (found.resampling, found.class_weight) == ("smotenc", "none")


def test_too_many_rows_are_weighted_and_the_log_says_why(
    make_run: MakeRun, params: Params, caplog: pytest.LogCaptureFixture
) -> None:
    limited = params.model.model_copy(update={"resampling_rows_max": 1000})
    run = make_run("many", params=params.model_copy(update={"model": limited}))
    with caplog.at_level("INFO"):
        found = transform_data(run, validated(run))
    assert (found.resampling, found.class_weight) == ("none", "balanced")
    assert len(run.read_frame(found.training)) == found.training_rows > 2000
    assert "more than model.resampling_rows_max (1000): none is resampled" in caplog.text


def test_parts_of_a_table_give_the_rows_of_the_whole(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("whole")
    checked = validated(run)
    whole = transform_data(run, checked)
    first = [run.read_frame(key) for key in (whole.training, whole.calibration, whole.customers)]
    monkeypatch.setitem(Run.read_batches.__kwdefaults__, "rows", 700)
    parts = transform_data(run, checked)
    second = [run.read_frame(key) for key in (parts.training, parts.calibration, parts.customers)]
    for one, other in zip(first, second, strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-6)
    assert set(first[1].dtypes.astype(str)) == {"float32", "int64"}
