"""Probabilities, bands and reasons of a chunk, against XGBoost and the graph."""

import json

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from include.champion.onnx_scorer import Scorer
from include.champion.versions import MODEL_FILE
from include.contract import Contract
from include.params import Band, Params, ScoringRules
from include.scoring import bulk
from include.scoring.bulk import BulkScorer
from tests.include.conftest import changed
from tests.include.nights import Version, fitted_on, version_of

BANDS = (Band(name="low", begins=0), Band(name="high", begins=0.5), Band(name="top", begins=0.9))


@pytest.fixture(scope="module")
def scorer(champion: Version) -> BulkScorer:
    """A champion loaded for many rows."""
    return BulkScorer(*champion)


@pytest.mark.parametrize("shape", [{"n_estimators": 10}, {"n_estimators": 2, "max_depth": 12}])
def test_the_first_reason_is_xgboosts_largest(
    shape: dict[str, int], people: pd.DataFrame, contract: Contract, params: Params
) -> None:
    fitted = fitted_on(people, contract, changed(params, shape))
    scorer = BulkScorer(*version_of(fitted, contract, params, version="1"))
    inputs = scorer.inputs(contract.matrix(people.head(20), fitted.columns))
    reasons = scorer.reasons(inputs)
    raw = fitted.trees.predict(xgb.DMatrix(inputs), pred_contribs=True)[:, :-1]
    assert reasons is not None
    assert reasons.features[:, 0].tolist() == np.abs(raw).argmax(axis=1).tolist()


def test_the_native_trees_answer_as_the_graph_does(
    scorer: BulkScorer, people: pd.DataFrame, contract: Contract, champion: Version
) -> None:
    matrix = contract.matrix(people, scorer.manifest.columns)
    graph = Scorer(champion[1][MODEL_FILE])
    assert scorer.trees is not None
    assert np.abs(scorer.score(scorer.inputs(matrix)) - graph.score(matrix)).max() < 1e-6


def test_reasons_are_the_three_largest_and_first_comes_the_largest() -> None:
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
