"""The native trees by XGBoost's C library: the same numbers as its Python package."""

from typing import Any

import numpy as np
import pytest

from include.champion.versions import TREES_FILE
from include.errors import ChampionError
from tests.webapp.champions import Version, make_version
from webapp.champion.xgboost_trees import XGBoostTrees


@pytest.fixture(params=["xgboost", "random_forest"])
def version(request: pytest.FixtureRequest) -> Version:
    return make_version("7", family=request.param)


@pytest.fixture
def features() -> Any:
    return np.random.default_rng(5).normal(size=(64, 21)).astype(np.float32)


def booster_of(version: Version) -> Any:
    import xgboost as xgb

    booster = xgb.Booster()
    booster.load_model(bytearray(version[1][TREES_FILE]))
    return booster


def test_margins_are_xgboosts(version: Version, features: Any) -> None:
    theirs = booster_of(version).inplace_predict(features, predict_type="margin")
    assert np.array_equal(XGBoostTrees(version[1][TREES_FILE]).margins(features), theirs)


def test_contributions_are_xgboosts_and_add_up(version: Version, features: Any) -> None:
    import xgboost as xgb

    trees = XGBoostTrees(version[1][TREES_FILE])
    found = trees.contributions(features)
    theirs = booster_of(version).predict(xgb.DMatrix(features), pred_contribs=True)
    assert np.array_equal(found, theirs)
    assert found.sum(axis=1) == pytest.approx(trees.margins(features), abs=1e-4)


@pytest.mark.parametrize("data", [b"", b"no trees", b"{}"])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(ChampionError, match=r"trees\.ubj (is empty|cannot be loaded by XGBoost)"):
        XGBoostTrees(data)
