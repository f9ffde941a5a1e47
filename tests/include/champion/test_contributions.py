"""Contributions by look-up and leaf by leaf, from the trees' file, against those of XGBoost."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from include.champion import native_trees
from include.champion.contributions import ContributionTables, Leaves, TooDeep
from include.champion.native_trees import usable_trees
from include.champion.trees_file import read_trees
from include.champion.versions import SELF_CHECK_FILE, TREES_FILE, SelfCheck
from include.contract import Contract, load_contract
from include.documents import parse_document
from include.errors import ChampionError
from include.features import ENGINEERED, engineer
from include.params import Params
from include.training import fit
from tests.include.conftest import changed
from tests.include.nights import PEOPLE, fitted_on
from tests.webapp.champions import make_version

TOO_DEEP = {"n_estimators": 2, "max_depth": 12, "colsample_bytree": 1.0}
SHAPES: dict[str, dict[str, Any]] = {
    "stumps": {"n_estimators": 5, "max_depth": 1},
    "as configured": {"n_estimators": 40, "max_depth": 5},
    "deep": {"n_estimators": 8, "max_depth": 8},
    "too deep for tables": TOO_DEEP,
    "pruned to the root": {"n_estimators": 3, "max_depth": 3, "gamma": 1e9},
}
FEATURES = len(load_contract().feature_names) + len(ENGINEERED)


@pytest.fixture(params=SHAPES)
def fitted(
    request: pytest.FixtureRequest, people: pd.DataFrame, contract: Contract, params: Params
) -> fit.Fitted:
    """A model of each shape."""
    return fitted_on(people.head(PEOPLE), contract, changed(params, SHAPES[request.param]))


def on_cuts(booster: xgb.Booster) -> Any:
    """Rows with one value on a cut, where the row goes right."""
    cuts = booster.trees_to_dataframe().dropna(subset=["Split"])
    rows = np.zeros((len(cuts), FEATURES), np.float32)
    places = cuts["Feature"].str.removeprefix("f").astype(int)
    rows[np.arange(len(cuts)), places] = cuts["Split"]
    return rows


def test_contributions_are_those_of_xgboost_and_add_up(
    fitted: fit.Fitted, people: pd.DataFrame, contract: Contract
) -> None:
    booster = fitted.trees
    matrix = contract.matrix(people.head(200), fitted.columns)
    scaled = fitted.scaler.transform(engineer(matrix, fitted.columns)).astype(np.float32)
    rows = np.vstack([scaled, on_cuts(booster)[:200]])
    theirs = booster.predict(xgb.DMatrix(rows), pred_contribs=True)
    trees = read_trees(fit.native_trees(fitted.trees))
    leaves = Leaves(trees, features=FEATURES)
    walked = leaves.contributions(rows)
    assert np.abs(walked - theirs[:, :-1]).max() < 2e-5
    assert theirs[:, -1] == pytest.approx(leaves.base, abs=2e-5)
    margins = leaves.margins(rows)
    assert np.abs(margins - booster.inplace_predict(rows, predict_type="margin")).max() < 2e-5
    assert np.abs(walked.sum(axis=1) + leaves.base - margins).max() < 1e-6
    if max(len(tree.left) for tree in trees) < 500:
        looked_up = ContributionTables(trees, features=FEATURES).contributions(rows)
        assert np.abs(looked_up - walked).max() < 2e-5


def test_leaves_of_many_features_have_no_tables(
    people: pd.DataFrame, contract: Contract, params: Params
) -> None:
    fitted = fitted_on(people, contract, changed(params, TOO_DEEP))
    with pytest.raises(TooDeep, match="more than 256 cells"):
        ContributionTables(read_trees(fit.native_trees(fitted.trees)), features=FEATURES)


@pytest.fixture(scope="module")
def stumps(people: pd.DataFrame, contract: Contract) -> bytes:
    """A small file of trees."""
    trees = xgb.XGBClassifier(n_estimators=2, max_depth=1)
    return fit.native_trees(
        trees.fit(
            contract.matrix(people, contract.feature_names), contract.labels(people)
        ).get_booster()
    )


def test_a_file_that_is_torn_anywhere_is_refused(stumps: bytes) -> None:
    for end in range(len(stumps)):
        with pytest.raises(ChampionError, match=r"trees\.ubj holds no trees"):
            read_trees(stumps[:end])


@pytest.mark.parametrize(
    "data",
    [b"no trees", b"{}", b"{i\x07learner{}}", b"[" * 100_000, b"[#l\xff\xff\xff\xff", b"[$d#S"],
)
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(ChampionError, match=r"trees\.ubj holds no trees"):
        read_trees(data)


@pytest.mark.parametrize(("name", "value"), [("feature", FEATURES), ("left", 0), ("right", 99)])
def test_trees_that_cannot_be_cost_only_the_reasons(
    name: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, files = make_version("1")
    trees = read_trees(files[TREES_FILE])
    getattr(trees[0], name)[0] = value
    monkeypatch.setattr(native_trees, "read_trees", lambda _: trees)
    stored = parse_document(SelfCheck, files[SELF_CHECK_FILE], SELF_CHECK_FILE)
    assert usable_trees(manifest, b"", stored) is None
