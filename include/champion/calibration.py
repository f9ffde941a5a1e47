"""From the trees' margin to a probability: Platt scaling."""

from typing import TYPE_CHECKING

import numpy as np

from include.documents import Document

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_LOG_ODDS = 700.0  # beyond it the exponential overflows; float64 says 0 or 1 long before


class Calibration(Document):
    """Platt scaling: P(churn) = 1 / (1 + exp(-(slope · margin + intercept)))."""

    slope: float
    intercept: float


def calibrated(margins: "NDArray[np.floating]", calibration: Calibration) -> "NDArray[np.float64]":
    """P(churn) of the trees' margins."""
    return logistic(margins.astype(np.float64) * calibration.slope + calibration.intercept)


def logistic(log_odds: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The probability that log-odds stand for."""
    bounded = np.clip(log_odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)
    answers: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-bounded))
    return answers
