"""Scores, curves and slices."""

import numpy as np
import pandas as pd
import pytest

from include.params import FairnessRules
from include.training import evaluation

COLUMNS = FairnessRules().columns


@pytest.fixture
def labels() -> np.ndarray:
    return (np.random.default_rng(0).uniform(size=1000) < 0.3).astype(np.int64)


def test_a_perfect_model_scores_perfectly(labels: np.ndarray) -> None:
    found = evaluation.scores(labels, labels * 1.0, threshold=0.5)
    assert found["roc_auc"] == found["f1"] == found["accuracy"] == 1
    assert found["brier"] == found["calibration_error"] == 0


def test_calibration_error_is_the_gap_between_promise_and_truth() -> None:
    labels = np.array([0, 1] * 50)
    assert evaluation.calibration_error(labels, np.full(100, 0.8)) == pytest.approx(0.3)


def test_calibration_error_takes_fewer_rows_than_bins() -> None:
    assert evaluation.calibration_error(np.array([0, 1]), np.array([0.0, 1.0])) == 0


def test_curves_are_thinned_and_keep_their_ends(labels: np.ndarray) -> None:
    answers = np.random.default_rng(1).uniform(size=1000)
    roc = evaluation.curves(labels, answers, threshold=0.5)["roc"]
    assert len(roc["false_positive_rate"]) <= evaluation.CURVE_POINTS
    assert (roc["false_positive_rate"][0], roc["false_positive_rate"][-1]) == (0, 1)


def test_the_confusion_matrix_counts_everyone(labels: np.ndarray) -> None:
    answers = np.random.default_rng(1).uniform(size=1000)
    counts = evaluation.curves(labels, answers, threshold=0.5)["confusion"]
    assert sum(map(sum, counts)) == 1000
    assert counts[1][1] == int(((answers >= 0.5) & (labels == 1)).sum())


def test_slices_name_gender_and_age_bands() -> None:
    frame = pd.DataFrame({"Gender": ["F", "M", "F"], "Customer_Age": [20, 40, 70]})
    found = {part.name: int(part.rows.sum()) for part in evaluation.slices(frame, COLUMNS)}
    assert found["Gender F"] == 2 and found["Age 18–34"] == 1 and found["Age 65–120"] == 1


def test_slices_are_found_under_other_names_or_not_at_all() -> None:
    frame = pd.DataFrame({"Sex": ["x", "y"], "Age_Band": ["old", "young"]})
    found = evaluation.slices(frame, {"Gender": "Sex", "Age": "Age_Band"})
    assert [part.name for part in found] == ["Gender x", "Gender y", "Age old", "Age young"]
    assert evaluation.slices(frame, COLUMNS) == ()
    numbered = evaluation.slices(pd.DataFrame({"Gender": [0, 1]}), COLUMNS)
    assert [part.name for part in numbered] == ["Gender 0", "Gender 1"]


def test_a_slice_of_one_class_has_shares_and_no_scores(labels: np.ndarray) -> None:
    part, all_of_them = evaluation.Slice("leavers", labels == 1), np.ones(len(labels))
    (row,) = evaluation.slice_scores(
        labels, labels * 0.5, (part,), threshold=0.5, selected=all_of_them
    )
    count, shares = int(labels.sum()), ("attrited_share", "selected_share", "found_share")
    facts = {"slice": "leavers", "by": "", "rows": count, "leavers": count}
    assert row == {**facts, **dict.fromkeys(shares, 1.0)}


def test_importance_names_every_feature_largest_first() -> None:
    found = evaluation.importance({"f1": 3.0, "f0": 1.0}, ("a", "b", "c"))
    assert list(found.items()) == [("b", 0.75), ("a", 0.25), ("c", 0.0)]
