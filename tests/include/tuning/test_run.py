"""What a run offers its trials."""

import logging
from dataclasses import replace

import pytest

from include.params import ModelParams
from include.tuning import study as studies
from tests.include.tuning.conftest import MakeSearch, searched


def test_of_too_many_customers_to_resample_what_is_told_is_what_was_fitted(
    make_search: MakeSearch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = make_search("many", trials=2, folds=2, resampling=("smote",))
    model = run.params.model.model_copy(update={"resampling_rows_max": 100})
    run = replace(run, params=run.params.model_copy(update={"model": model}))
    (share,) = searched(run)
    trials = studies.finished(studies.open_study(run.storage, share.study))
    tried = [ModelParams.model_validate(each.user_attrs[studies.PARAMS]) for each in trials]
    assert [(each.resampling, each.class_weight) for each in tried] == [("none", "balanced")] * 2
    assert tried == [each.for_rows(share.rows) for each in tried]
    below = f"tags.`mlflow.parentRunId` = '{share.mlflow_run_id}'"
    experiment = run.registry._client.get_run(share.mlflow_run_id).info.experiment_id
    told = run.registry._client.search_runs([experiment], below)
    assert [each.data.params["resampling"] for each in told] == ["none"] * 2
    assert "xgboost, none: ROC-AUC" in caplog.text and "smote" not in caplog.text
