"""A week's figures: against scikit-learn, pair by pair, and by drawing outcomes again and again."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, recall_score, roc_auc_score

from include.drift.figures import estimated, realised
from include.drift.performance import Estimate, Figure

THRESHOLD = 0.5
DRAWS = 300
RANDOM = np.random.default_rng(20)
ANSWERS = np.round(RANDOM.beta(0.5, 2, 3000), 3)  # with ties
LEFT = (RANDOM.random(3000) < ANSWERS).astype(np.int64)


def test_realised_figures_are_scikit_learns_within_their_intervals() -> None:
    found = realised(ANSWERS, LEFT, threshold=THRESHOLD)
    assert found.roc_auc and found.recall
    assert found.roc_auc.value == pytest.approx(roc_auc_score(LEFT, ANSWERS), abs=1e-12)
    assert found.brier.value == pytest.approx(brier_score_loss(LEFT, ANSWERS), abs=1e-12)
    assert found.recall.value == recall_score(LEFT, ANSWERS >= THRESHOLD)
    assert (found.customers, found.left, found.left_share.value) == (3000, LEFT.sum(), LEFT.mean())
    for figure in (found.roc_auc, found.brier, found.recall, found.left_share):
        assert figure.low < figure.value < figure.high


def test_the_estimate_is_the_mean_over_all_pairs_none_with_himself() -> None:
    answers = ANSWERS[:40]
    right = pairs = 0.0
    for i, j in product(range(40), repeat=2):
        weight = answers[i] * (1 - answers[j]) * (i != j)
        pairs += weight
        right += weight * (1 if answers[i] > answers[j] else 0.5 * (answers[i] == answers[j]))
    found = estimated(answers, threshold=THRESHOLD)
    assert found.roc_auc and found.roc_auc.value == pytest.approx(right / pairs, abs=1e-12)
    assert found.recall and found.recall.value == pytest.approx(
        answers[answers >= THRESHOLD].sum() / answers.sum()
    )
    assert found.brier.value == pytest.approx(np.mean(answers * (1 - answers)))


@pytest.fixture(scope="module")
def draws() -> dict[str, NDArray[np.float64]]:
    """Each figure of the same customers, as it comes out if their probabilities are right."""
    random = np.random.default_rng(7)
    found: dict[str, list[float]] = {name: [] for name in ("roc_auc", "brier", "recall", "left")}
    answers = ANSWERS[:600]
    for _ in range(DRAWS):
        left = (random.random(600) < answers).astype(np.int64)
        found["roc_auc"].append(roc_auc_score(left, answers))
        found["brier"].append(brier_score_loss(left, answers))
        found["recall"].append(left[answers >= THRESHOLD].sum() / left.sum())
        found["left"].append(left.mean())
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize("name", ["roc_auc", "brier", "recall", "left"])
def test_what_comes_out_lies_in_the_estimates_interval_as_often_as_it_says(
    draws: dict[str, NDArray[np.float64]], name: str
) -> None:
    found = estimated(ANSWERS[:600], threshold=THRESHOLD)
    figure = interval(found, name)
    assert figure.value == pytest.approx(draws[name].mean(), abs=4 * draws[name].std() / DRAWS**0.5)
    within = np.mean((draws[name] >= figure.low) & (draws[name] <= figure.high))
    assert 0.92 <= within <= 0.98


def interval(found: Estimate, name: str) -> Figure:
    figure = found.left_share if name == "left" else getattr(found, name)
    assert isinstance(figure, Figure)
    return figure


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_the_slope_says_how_sure_the_probabilities_may_be(slope: float) -> None:
    answers = np.clip(ANSWERS, 0.001, 0.999)
    left = (np.random.default_rng(3).random(3000) < expit(slope * logit(answers))).astype(np.int64)
    found = realised(answers, left, threshold=THRESHOLD).calibration_slope
    assert found and found.low < slope < found.high and found.high - found.low < 0.5


def test_groups_tell_promised_from_observed_shares() -> None:
    groups = realised(ANSWERS, 1 - LEFT, threshold=THRESHOLD).calibration_groups
    assert sum(group.customers for group in groups) == 3000 and len(groups) == 10
    assert [group.probability for group in groups] == sorted(g.probability for g in groups)
    assert groups[0].left_share > 0.9 > 0.5 > groups[-1].left_share


@pytest.mark.parametrize(
    ("answers", "left"), [([0.2], [0]), ([0.0, 0.0], [0, 0]), ([1.0, 1.0], [1, 1]), ([0.5], [1])]
)
def test_what_cannot_be_told_is_null(answers: list[float], left: list[int]) -> None:
    given, outcomes = np.array(answers), np.array(left)
    found = realised(given, outcomes, threshold=THRESHOLD)
    assert found.roc_auc is None and found.calibration_slope is None
    assert (found.recall is None) == (sum(left) == 0)
    assert estimated(given, threshold=THRESHOLD).roc_auc is None
    assert realised(given, outcomes, threshold=None).recall is None


def test_figures_of_who_is_told_apart_for_certain_are_finite() -> None:
    answers, left = np.repeat([0.0, 1.0], 50), np.repeat([0, 1], 50)
    found = realised(answers, left, threshold=THRESHOLD)
    assert found.roc_auc == Figure(value=1, low=1, high=1)
    assert found.calibration_slope and np.isfinite(found.calibration_slope.high)
    assert found.model_dump_json()
