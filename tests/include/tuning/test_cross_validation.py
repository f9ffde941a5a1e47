"""Cross-validation: nothing has seen the judged rows, and its interval is as wide as it says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from include.params import Params
from include.training import fit
from include.training.fit import Rows
from include.tuning.cross_validation import CrossValidation, gain_interval
from tests.include.tuning.conftest import small_search


@pytest.fixture
def params() -> Params:
    return small_search()


def noise(rows: int = 300) -> Rows:
    random = np.random.default_rng(1)
    labels = np.arange(rows) % 5 == 0
    return Rows(random.normal(size=(rows, 4)), labels.astype(np.int64))


@pytest.mark.parametrize("resampling", ["none", "smote", "smotenc"])
def test_where_there_is_nothing_to_learn_nothing_is_learnt(params: Params, resampling: str) -> None:
    # Rows resampled before they were split would let the judged ones be known.
    folds = CrossValidation(noise(), categorical=[], folds=5, seed=1)
    model = params.model.model_copy(update={"resampling": resampling})
    found = [*folds.roc_aucs(model)]
    assert len(found) == 5 and np.mean(found) == pytest.approx(0.5, abs=0.1)


def test_only_rows_of_the_training_part_are_resampled(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, seen = noise(), list[NDArray[np.float64]]()

    def spied(given: Rows, **options: object) -> Rows:
        seen.append(given.features)
        return given

    monkeypatch.setattr(fit, "resample", spied)
    folds = CrossValidation(rows, categorical=[], folds=5, seed=1)
    model = params.model.model_copy(update={"resampling": "smote"})
    assert len([*folds.roc_aucs(model), *folds.roc_aucs(model)]) == 10
    assert [len(features) for features in seen] == [240] * 5  # once for each fold


def test_a_search_resamples_nothing_where_a_training_would_not(params: Params) -> None:
    folds = CrossValidation(noise(), categorical=[], folds=3, seed=1)
    limited = {"resampling": "smote", "resampling_rows_max": 299}
    weighted = {"resampling": "none", "class_weight": "balanced"}
    first, second = (
        [*folds.roc_aucs(params.model.model_copy(update=changes))]
        for changes in (limited, weighted)
    )
    assert first == second


def test_logistic_regression_is_the_floor() -> None:
    rows = noise()
    rows.features[:, 0] += 2.0 * rows.labels
    found = [*CrossValidation(rows, categorical=[], folds=3, seed=1).floor()]
    assert min(found) > 0.8


def test_the_interval_is_the_corrected_one() -> None:
    # By hand: mean 0.02, variance 1e-4, (1/3 + 1/2) * 1e-4 = 8.333e-5, t of 2 degrees 4.3027.
    low, high = gain_interval([0.01, 0.02, 0.03], folds=3, confidence=0.95)
    assert (low, high) == pytest.approx((0.02 - 0.039278, 0.02 + 0.039278), abs=1e-6)
