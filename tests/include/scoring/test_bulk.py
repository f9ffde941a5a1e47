"""Probabilities, bands and reasons of a chunk, against XGBoost and the graph."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from include.champion.contributions import TooDeep, contribution_tables
from include.champion.onnx_scorer import Scorer
from include.champion.versions import MODEL_FILE
from include.contract import Contract
from include.params import Band, Params, ScoringRules
from include.scoring import bulk
from include.scoring.bulk import BulkScorer
from include.training import fit
from tests.include.conftest import changed
from tests.include.nights import PEOPLE, Version, fitted_on, version_of

SHAPES: Mapping[str, dict[str, Any]] = {
    "stumps": {"n_estimators": 5, "max_depth": 1},
    "as configured": {"n_estimators": 40, "max_depth": 5},
    "deep": {"n_estimators": 8, "max_depth": 8},
    "pruned to the root": {"n_estimators": 3, "max_depth": 3, "gamma": 1e9},
}
BANDS = (Band(name="low", begins=0), Band(name="high", begins=0.5), Band(name="top", begins=0.9))


@pytest.fixture(params=SHAPES)
def fitted(
    request: pytest.FixtureRequest, people: pd.DataFrame, contract: Contract, params: Params
) -> fit.Fitted:
    """A model of each shape."""
    return fitted_on(people.head(PEOPLE), contract, changed(params, SHAPES[request.param]))


@pytest.fixture(scope="module")
def scorer(champion: Version) -> BulkScorer:
    """A champion loaded for many rows."""
    return BulkScorer(*champion)


def scaled(fitted: fit.Fitted, matrix: Any) -> Any:
    steps = fitted.pipeline()[:-1]
    return steps.transform(matrix).astype(np.float32)


def test_looked_up_contributions_are_those_of_xgboost(
    fitted: fit.Fitted, people: pd.DataFrame, contract: Contract
) -> None:
    booster = fitted.trees.get_booster()
    features = scaled(fitted, contract.matrix(people, fitted.columns))
    tables = contribution_tables(bytes(booster.save_raw("json")), features=features.shape[1])
    expected = booster.predict(xgb.DMatrix(features), pred_contribs=True)
    found = tables.contributions(features)
    assert np.abs(found - expected[:, :-1]).max() < 2e-5
    margins = booster.inplace_predict(features, predict_type="margin")
    assert np.abs(found.sum(axis=1) + expected[:, -1] - margins).max() < 5e-5


def test_a_value_on_a_cut_goes_right_as_in_xgboost(
    people: pd.DataFrame, contract: Contract, params: Params
) -> None:
    fitted = fitted_on(people.head(PEOPLE), contract, params)
    booster = fitted.trees.get_booster()
    cuts = booster.trees_to_dataframe().dropna(subset=["Split"])
    features = np.zeros((len(cuts), 21), np.float32)
    places = cuts["Feature"].str.removeprefix("f").astype(int)
    features[np.arange(len(cuts)), places] = cuts["Split"]
    tables = contribution_tables(bytes(booster.save_raw("json")), features=21)
    expected = booster.predict(xgb.DMatrix(features), pred_contribs=True)[:, :-1]
    assert np.abs(tables.contributions(features) - expected).max() < 2e-5


def test_leaves_of_many_features_are_refused_and_left_to_xgboost(
    people: pd.DataFrame, contract: Contract, params: Params
) -> None:
    shape = {"n_estimators": 2, "max_depth": 12, "colsample_bytree": 1.0, "learning_rate": 0.01}
    fitted = fitted_on(people, contract, changed(params, shape))
    booster = fitted.trees.get_booster()
    with pytest.raises(TooDeep, match="more than 8 features"):
        contribution_tables(bytes(booster.save_raw("json")), features=21)
    matrix = contract.matrix(people.head(20), fitted.columns)
    scorer = BulkScorer(*version_of(fitted, contract, params, version="1"))
    reasons = scorer.reasons(scorer.inputs(matrix))
    raw = booster.predict(xgb.DMatrix(scaled(fitted, matrix)), pred_contribs=True)[:, :-1]
    assert reasons is not None
    assert reasons.features[:, 0].tolist() == np.abs(raw).argmax(axis=1).tolist()


def test_the_native_trees_answer_as_the_graph_does(
    scorer: BulkScorer, people: pd.DataFrame, contract: Contract, champion: Version
) -> None:
    matrix = contract.matrix(people, scorer.manifest.columns)
    graph = Scorer(champion[1][MODEL_FILE])
    assert scorer.trees is not None
    assert np.abs(scorer.score(scorer.inputs(matrix)) - graph.score(matrix)).max() < 1e-6


def test_reasons_are_the_three_largest_and_first_comes_the_largest(scorer: BulkScorer) -> None:
    raw = np.array([[0.1, -3.0, 0.0, 2.0, 0.5], [1.0, 1.0, 0.0, 0.0, -1.0]], dtype=np.float32)
    found = bulk.largest(raw, slope=2.0)
    assert found.features.tolist() == [[1, 3, 4], [0, 1, 4]]
    assert found.contributions.tolist() == [[-6.0, 4.0, 1.0], [2.0, 2.0, -2.0]]


def test_reasons_are_json_that_names_features() -> None:
    reasons = bulk.Reasons(np.array([[1, 0]]), np.array([[-1.23456, 0.00001]]))
    texts = bulk.reasons_json(reasons, ["Gender", 'a "quoted" name']).to_pylist()
    assert json.loads(texts[0]) == [
        {"feature": 'a "quoted" name', "contribution": -1.2346},
        {"feature": "Gender", "contribution": 0.0},
    ]


@pytest.mark.parametrize(
    ("probability", "band"),
    [(0.0, "low"), (0.4999, "low"), (0.5, "high"), (0.9, "top"), (1.0, "top")],
)
def test_a_band_begins_at_its_threshold(probability: float, band: str) -> None:
    place = bulk.band_places(np.array([probability]), BANDS)[0]
    assert BANDS[place].name == band


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        ([("a", 0.1)], "begins at 0"),
        ([("a", 0), ("b", 0.5), ("c", 0.5)], "above the one before"),
        ([("a", 0), ("a", 0.5)], "its own name"),
        ([("a'; drop", 0)], "pattern"),
        ([], "at least 1"),
    ],
)
def test_bands_that_cannot_be_are_refused(bands: list[tuple[str, float]], expected: str) -> None:
    rules = {"range_rows": 1, "ranges_max": 1, "chunk_rows": 1}
    listed = [{"name": name, "begins": begins} for name, begins in bands]
    with pytest.raises(ValueError, match=expected):
        ScoringRules.model_validate({**rules, "bands": listed})


def test_a_version_of_other_engineering_is_scored_by_its_graph_without_reasons(
    scorer: BulkScorer, people: pd.DataFrame, contract: Contract, champion: Version
) -> None:
    older = scorer.manifest.model_copy(update={"engineered": ("Something_Else",)})
    old = BulkScorer(older, champion[1])
    matrix = contract.matrix(people.head(5), older.columns)
    assert old.reasons(old.inputs(matrix)) is None
    assert old.reasons_json(None, rows=5).to_pylist() == ["[]"] * 5
    assert np.abs(old.score(old.inputs(matrix)) - scorer.score(scorer.inputs(matrix))).max() < 1e-6
