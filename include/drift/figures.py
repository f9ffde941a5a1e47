"""A week's figures: what the probabilities promise of so many customers, and what came of it.

The promise is confidence-based performance estimation: an outcome is 1 with just the probability
that was answered, whence expected counts, and from these every score, as NannyML estimates them
(Białek, Kuberski, Perrakis and Bifet 2024, arXiv:2401.08348). It holds while the probabilities do:
it notices that other customers are asked about, and is blind to changed rules.

All intervals are normal approximations, cut off at 0 and 1, unless it says otherwise. Those of the
promise are where the realised figure of these very customers would lie if each probability were
right: sums of independent outcomes, and the delta method for ratios of them.
"""

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest, norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from include.drift.performance import CONFIDENCE, CalibrationGroup, Estimate, Figure, Realised
from include.training.evaluation import reliability
from include.training.gate import auc_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Answers = NDArray[np.float64]

DEVIATIONS = float(norm.ppf((1 + CONFIDENCE) / 2))
LEAST_PROBABILITY = 1e-9  # for log-odds: no model is surer, and float64 tells it from 0 and 1
PENALTY = 1e6  # C of logistic regression: practically none


def estimated(answers: "Answers", *, threshold: float | None) -> Estimate:
    """The figures to expect of these probabilities; needs one at least."""
    variances = answers * (1 - answers)  # of each outcome
    rows = len(answers)
    # Spiegelhalter 1986, Statistics in Medicine 5, 421-433: the score's variance where p is right.
    spread = np.sqrt((variances * (1 - 2 * answers) ** 2).sum()) / rows
    return Estimate(
        customers=rows,
        left=float(answers.sum()),
        left_share=_about(answers.mean(), np.sqrt(variances.sum()) / rows),
        roc_auc=_expected_auc(answers),
        recall=None if threshold is None else _expected_recall(answers, threshold),
        brier=_about(variances.mean(), spread),
    )


def realised(answers: "Answers", left: "NDArray[np.int64]", *, threshold: float | None) -> Realised:
    """The figures of these probabilities where `left` is 1 for who left; needs one at least."""
    leavers, rows = int(left.sum()), len(left)
    losses = (left - answers) ** 2
    both = 2 <= leavers <= rows - 2  # fewer have no variance
    found = leavers and threshold is not None and int(left[answers >= threshold].sum())
    return Realised(
        customers=rows,
        left=leavers,
        left_share=_share(leavers, rows),
        roc_auc=_auc(answers, left) if both else None,
        recall=_share(found, leavers) if leavers and threshold is not None else None,
        brier=_about(brier_score_loss(left, answers), losses.std() / np.sqrt(rows)),
        calibration_slope=_calibration_slope(answers, left) if both else None,
        calibration_groups=_groups(answers, left),
    )


def _expected_auc(answers: "Answers") -> Figure | None:
    """The expected share of pairs of a leaver and a stayer that are in the right order.

    A pair of i and j counts with p_i (1 - p_j), nobody with himself; equal answers count half. The
    variance is that of the expected value's derivative by each outcome.
    """
    values, counts = np.unique(answers, return_counts=True)
    leave, stay = counts * values, counts * (1 - values)
    own = float((leave * (1 - values)).sum())
    pairs = float(leave.sum() * stay.sum()) - own
    if not pairs > 0:
        return None
    below = np.cumsum(stay) - stay / 2
    above = leave.sum() - np.cumsum(leave) + leave / 2
    auc = (float((leave * below).sum()) - own / 2) / pairs
    ordered = below - above - (1 - 2 * values) / 2
    slope = (ordered - auc * (stay.sum() - leave.sum() - (1 - 2 * values))) / pairs
    return _about(auc, np.sqrt((leave * (1 - values) * slope**2).sum()))


def _expected_recall(answers: "Answers", threshold: float) -> Figure | None:
    """Expected leavers at or above the threshold, as a share of all expected ones."""
    total = float(answers.sum())
    if not total > 0:
        return None
    above = answers >= threshold
    recall = float(answers[above].sum()) / total
    slope = (above - recall) / total
    return _about(recall, np.sqrt((answers * (1 - answers) * slope**2).sum()))


def _auc(answers: "Answers", left: "NDArray[np.int64]") -> Figure:
    """With DeLong's interval, as the gate has it for two models."""
    auc, (low, high) = auc_interval(left, answers, confidence=CONFIDENCE)
    return Figure(value=auc, low=low, high=high)


def _share(part: int, whole: int) -> Figure:
    """With Wilson's interval."""
    interval = binomtest(part, whole).proportion_ci(CONFIDENCE, method="wilson")
    return Figure(value=part / whole, low=float(interval.low), high=float(interval.high))


def _calibration_slope(answers: "Answers", left: "NDArray[np.int64]") -> Figure | None:
    """Cox 1958's slope of the outcomes on the log-odds; None where all answers are the same."""
    bounded = np.clip(answers, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    log_odds = np.log(bounded / (1 - bounded)).reshape(-1, 1)
    if np.ptp(log_odds) == 0:
        return None
    fit = LogisticRegression(C=PENALTY, solver="newton-cholesky").fit(log_odds, left)
    fitted = fit.predict_proba(log_odds)[:, 1]
    design = np.column_stack([np.ones(len(left)), log_odds])
    information = (design.T * (fitted * (1 - fitted))) @ design + np.diag([0, 1 / PENALTY])
    slope, spread = float(fit.coef_[0, 0]), float(np.sqrt(np.linalg.pinv(information)[1, 1]))
    return Figure(value=slope, low=slope - DEVIATIONS * spread, high=slope + DEVIATIONS * spread)


def _groups(answers: "Answers", left: "NDArray[np.int64]") -> tuple[CalibrationGroup, ...]:
    found = reliability(left, answers)
    groups = zip(found["rows"], found["predicted"], found["observed"], strict=True)
    return tuple(
        CalibrationGroup(customers=int(rows), probability=probability, left_share=share)
        for rows, probability, share in groups
    )


def _about(value: "float | np.floating", deviation: "float | np.floating") -> Figure:
    half = DEVIATIONS * float(deviation)
    low, high = max(0.0, float(value) - half), min(1.0, float(value) + half)
    return Figure(value=float(value), low=low, high=high)
