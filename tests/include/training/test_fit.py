import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from include.champion.calibration import calibrated
from include.contract import Contract
from include.errors import DataError
from include.features import engineer
from include.params import Params
from include.training import fit
from include.training.fit import Prepared, Rows
from tests.include.nights import fitted_on


def with_model(params: Params, **values: object) -> Params:
    return params.model_copy(update={"model": params.model.model_copy(update=values)})


def sides(people: pd.DataFrame, params: Params) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    return params.split.sides(people["CLIENTNUM"].tolist())


@pytest.fixture
def prepared(people: pd.DataFrame, contract: Contract, params: Params) -> Prepared:
    return fit.prepare(fit.with_split(people, contract, params.split), contract, params)


# --- preparing


def test_the_scaler_knows_the_training_rows_alone(
    people: pd.DataFrame, contract: Contract, params: Params, prepared: Prepared
) -> None:
    rows = people[sides(people, params) == "training"]
    matrix = engineer(contract.matrix(rows, prepared.columns), prepared.columns)
    np.testing.assert_allclose(prepared.scaler.mean_, matrix.mean(axis=0))
    np.testing.assert_allclose(prepared.scaler.scale_, matrix.std(axis=0))


def test_calibration_rows_are_the_customers_themselves(
    people: pd.DataFrame, contract: Contract, params: Params, prepared: Prepared
) -> None:
    rows = people[sides(people, params) == "calibration"]
    matrix = engineer(contract.matrix(rows, prepared.columns), prepared.columns)
    [aside] = prepared.calibration
    np.testing.assert_array_equal(aside.features, prepared.scaler.transform(matrix))
    np.testing.assert_array_equal(aside.labels, contract.labels(rows))


@pytest.mark.parametrize("side", ["training", "calibration", "holdout"])
def test_a_side_without_leavers_is_refused(
    side: str, people: pd.DataFrame, contract: Contract, params: Params
) -> None:
    alike = people.copy()
    alike.loc[sides(people, params) == side, "Attrition_Flag"] = "Existing Customer"
    with pytest.raises(DataError, match=f"the {side} rows have 0 customers who left and"):
        fit.prepare(fit.with_split(alike, contract, params.split), contract, params)


# --- resampling


@pytest.fixture
def rows() -> Rows:
    """Rows of 80 who stayed and 20 who left; the last feature is one of three ordinals."""
    rng = np.random.default_rng(3)
    features = np.column_stack([rng.normal(size=(100, 2)), rng.integers(0, 3, 100) / 2])
    return Rows(features, np.repeat([0, 1], [80, 20]))


@pytest.mark.parametrize("kind", ["smote", "smotenc"])
def test_resampling_adds_leavers_and_keeps_everybody(kind: str, rows: Rows) -> None:
    balanced = fit.resample(rows, kind=kind, categorical=[2], seed=1)
    np.testing.assert_array_equal(balanced.features[:100], rows.features)
    assert balanced.labels[100:].tolist() == [1] * 60


def test_no_resampling_gives_the_rows_themselves(rows: Rows) -> None:
    assert fit.resample(rows, kind="none", categorical=[2], seed=1) is rows


def test_smotenc_invents_no_category(rows: Rows) -> None:
    balanced = fit.resample(rows, kind="smotenc", categorical=[2], seed=1)
    assert set(balanced.features[:, 2]) == {0.0, 0.5, 1.0}


def test_smotenc_without_categories_is_smote(rows: Rows) -> None:
    found = fit.resample(rows, kind="smotenc", categorical=[], seed=1)
    plain = fit.resample(rows, kind="smote", categorical=[], seed=1)
    np.testing.assert_array_equal(found.features, plain.features)


@pytest.mark.parametrize("kind", ["smote", "smotenc"])
def test_too_few_leavers_to_resample_are_refused(kind: str, rows: Rows) -> None:
    few = Rows(rows.features[:85], rows.labels[:85])
    with pytest.raises(DataError, match=f"{kind} needs more than 5 .* found 5: load more .* none"):
        fit.resample(few, kind=kind, categorical=[2], seed=1)


def test_the_places_of_the_ordinals_follow_the_columns(contract: Contract) -> None:
    columns = ("Gender", "Credit_Limit", "Card_Category")
    assert fit.categorical_places(contract, columns) == [0, 2]


def test_rows_beyond_the_limit_are_weighted_instead(
    people: pd.DataFrame, contract: Contract, params: Params
) -> None:
    limited = with_model(params, resampling="smotenc", resampling_rows_max=1000)
    plain = with_model(params, resampling="none", class_weight="balanced")
    first, second = (fitted_on(people, contract, chosen) for chosen in (limited, plain))
    assert fit.native_trees(first.trees) == fit.native_trees(second.trees)


# --- fitting


@pytest.mark.parametrize("resampling", ["none", "smote", "smotenc"])
@pytest.mark.parametrize("family", ["xgboost", "random_forest"])
def test_a_model_tells_who_leaves(
    family: str, resampling: str, people: pd.DataFrame, contract: Contract, params: Params
) -> None:
    forest = params.model.random_forest.model_copy(update={"n_estimators": 60})
    chosen = with_model(params, family=family, resampling=resampling, random_forest=forest)
    model = fitted_on(people, contract, chosen)
    held = people[sides(people, params) == "holdout"]
    scores = model.probabilities(contract.matrix(held, model.columns))
    assert roc_auc_score(contract.labels(held), scores) > 0.93


@pytest.mark.parametrize("family", ["xgboost", "random_forest"])
def test_the_same_data_gives_the_same_bytes(
    family: str, people: pd.DataFrame, contract: Contract, params: Params
) -> None:
    forest = params.model.random_forest.model_copy(update={"n_estimators": 20})
    chosen = with_model(params, family=family, random_forest=forest)
    first, second = (fitted_on(people, contract, chosen) for _ in range(2))
    assert fit.native_trees(first.trees) == fit.native_trees(second.trees)
    assert first.calibration == second.calibration


@pytest.mark.parametrize("family", ["xgboost", "random_forest"])
def test_rows_in_parts_give_the_bytes_of_rows_at_once(
    family: str, prepared: Prepared, params: Params
) -> None:
    forest = params.model.random_forest.model_copy(update={"n_estimators": 10})
    model = with_model(params, family=family, random_forest=forest).model
    [rows] = prepared.training
    parts = [
        Rows(rows.features[start : start + 700], rows.labels[start : start + 700])
        for start in range(0, len(rows.labels), 700)
    ]
    whole = fit.native_trees(fit.fit_trees([rows], model))
    assert fit.native_trees(fit.fit_trees(parts, model)) == whole


def test_a_failure_to_read_a_part_is_told_as_it_is(params: Params) -> None:
    class Torn(list[Rows]):
        def __iter__(self) -> Iterator[Rows]:
            raise OSError("the store is gone")

    with pytest.raises(OSError, match="the store is gone"):
        fit.fit_trees(Torn(), params.model)


PROGRAM = """
import hashlib, sys
from include.contract import load_contract
from include.customers.sample import sample_customers
from include.params import Params
from include.training.onnx_export import export
from tests.include.nights import fitted_on
contract, params = load_contract(), Params.model_validate_json(sys.argv[1])
people = sample_customers(int(sys.argv[2]), seed=1)
model = fitted_on(people, contract, params)
print(hashlib.sha256(export(model, contract.matrix(people, model.columns))).hexdigest())
"""


@pytest.mark.slow
def test_another_process_makes_the_same_graph(
    people: pd.DataFrame, contract: Contract, params: Params
) -> None:
    from include.training import onnx_export

    model = fitted_on(people, contract, params)
    here = hashlib.sha256(onnx_export.export(model, contract.matrix(people, model.columns)))
    command = [sys.executable, "-c", PROGRAM, params.model_dump_json(), str(len(people))]
    environment = {**os.environ, "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "3"}
    there = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert there.stdout.strip() == here.hexdigest()


def test_holdout_customers_leave_no_trace_in_the_model(
    people: pd.DataFrame, contract: Contract, params: Params
) -> None:
    held = np.flatnonzero(sides(people, params) == "holdout")
    fewer = people.drop(index=people.index[held[10:]])
    first, second = (fitted_on(frame, contract, params) for frame in (people, fewer))
    assert fit.native_trees(first.trees) == fit.native_trees(second.trees)


# --- calibration


def test_calibration_undoes_what_resampling_did_to_the_probabilities(
    prepared: Prepared, params: Params
) -> None:
    model = fit.fit(prepared, params.model)
    [aside] = prepared.calibration
    margin = fit.margins(model.trees, aside.features)
    raw = 1 / (1 + np.exp(-margin))
    mended = calibrated(margin, model.calibration)
    left = aside.labels.mean()
    assert mended.mean() == pytest.approx(left, abs=1e-3)
    assert abs(raw.mean() - left) > abs(mended.mean() - left)


def test_probabilities_rank_customers_as_the_margins_do(
    people: pd.DataFrame, contract: Contract, params: Params
) -> None:
    model = fitted_on(people, contract, params)
    matrix = contract.matrix(people, model.columns)
    scaled = model.scaler.transform(engineer(matrix, model.columns))
    margin = fit.margins(model.trees, scaled)
    probabilities = model.probabilities(matrix)
    assert (np.diff(probabilities[np.argsort(margin)]) >= 0).all()
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_margins_that_say_the_opposite_are_refused() -> None:
    margin, labels = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([1, 1, 0, 0])
    with pytest.raises(DataError, match="a higher margin means less churn .*look at the labels"):
        fit.fit_calibration(margin, labels)


def test_platt_scaling_of_an_enormous_margin_is_still_a_probability() -> None:
    calibration = fit.fit_calibration(np.array([-1.0, 0.0, 0.5, 1.0]), np.array([0, 1, 0, 1]))
    assert calibrated(np.array([-1e6, 1e6]), calibration).round(12).tolist() == [0.0, 1.0]


# --- what is kept


def test_the_scaler_comes_back_from_its_two_vectors(
    people: pd.DataFrame, contract: Contract, prepared: Prepared
) -> None:
    restored = fit.restored_scaler(prepared.scaler.mean_.tolist(), prepared.scaler.scale_.tolist())
    matrix = engineer(contract.matrix(people, prepared.columns), prepared.columns)
    np.testing.assert_array_equal(restored.transform(matrix), prepared.scaler.transform(matrix))


def test_the_native_trees_give_the_margins(prepared: Prepared, params: Params) -> None:
    import xgboost as xgb

    model = fit.fit(prepared, params.model)
    booster = xgb.Booster()
    booster.load_model(bytearray(fit.native_trees(model.trees)))
    [aside] = prepared.calibration
    found = booster.inplace_predict(aside.features, predict_type="margin")
    expected = fit.margins(model.trees, aside.features)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("weight", "told"), [("none", 0.25), ("balanced", 0.5)])
def test_a_class_weight_moves_what_the_trees_take_for_even(
    params: Params, weight: str, told: float
) -> None:
    # One constant feature: all that the trees can learn is how many leave.
    rows = Rows(np.zeros((400, 1)), (np.arange(400) % 4 == 0).astype(np.int64))
    chosen = with_model(params, class_weight=weight)
    found = fit.fit_trees([rows], chosen.model).inplace_predict(rows.features)
    assert found == pytest.approx(told, abs=0.02)
