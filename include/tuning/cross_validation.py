"""Stratified cross-validation of a configuration; nothing has seen the rows that a fold judges.

Scaling and resampling are fitted inside each fold. No rows are kept aside for early stopping: how
many trees there are is a hyperparameter like the others.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from include.contract import Contract
from include.features import engineer
from include.params import ModelParams, Resampling
from include.training import fit
from include.training.fit import Rows

if TYPE_CHECKING:
    import pandas as pd

LOGISTIC_ITERATIONS = 1000


class CrossValidation:
    """The folds of some labelled customers; each kind of resampling is done once for each fold."""

    def __init__(self, rows: Rows, *, categorical: Sequence[int], folds: int, seed: int) -> None:
        self._rows = rows
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
        self._parts = list(splitter.split(rows.features, rows.labels))
        self._categorical, self._seed = categorical, seed
        self._balanced = cache(self._resampled)

    def roc_aucs(self, params: ModelParams) -> Iterator[float]:
        """ROC-AUC of the configuration's trees in each fold, as soon as it is known.

        Rows that a training would not resample are not resampled here.
        """
        params = params.for_rows(len(self._rows.labels))
        for place in range(len(self._parts)):
            trees = fit.fit_trees([self._balanced(place, params.resampling)], params)
            judged = self._scaled(place)[1]
            yield _auc(judged, fit.margins(trees, judged.features))

    def floor(self) -> Iterator[float]:
        """The same of logistic regression, which every search has to beat."""
        for place in range(len(self._parts)):
            training, judged = self._scaled(place)
            model = logistic_regression(training)
            yield _auc(judged, model.decision_function(judged.features))

    def _resampled(self, place: int, kind: Resampling) -> Rows:
        training = self._scaled(place)[0]
        return fit.resample(training, kind=kind, categorical=self._categorical, seed=self._seed)

    def _scaled(self, place: int) -> tuple[Rows, Rows]:
        """A fold's training rows and judged rows, scaled by the former."""
        features, labels = self._rows.features, self._rows.labels
        sides = [Rows(features[part], labels[part]) for part in self._parts[place]]
        scaler = StandardScaler().fit(sides[0].features)
        training, judged = (Rows(scaler.transform(side.features), side.labels) for side in sides)
        return training, judged


def labelled_rows(frame: "pd.DataFrame", contract: Contract, params: ModelParams) -> Rows:
    """The model's input of some customers, engineered and not yet scaled, with their labels."""
    columns = contract.chosen(params.columns)
    return Rows(engineer(contract.matrix(frame, columns), columns), contract.labels(frame))


def logistic_regression(rows: Rows) -> LogisticRegression:
    """The floor that every other model has to beat, fitted on scaled rows."""
    return LogisticRegression(max_iter=LOGISTIC_ITERATIONS).fit(rows.features, rows.labels)


def gain_interval(gains: Sequence[float], *, folds: int, confidence: float) -> tuple[float, float]:
    """The interval of a mean gain over cross-validation's folds, whose training rows overlap.

    The corrected resampled t-test (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366): the
    variance of the mean is (1/n + judged rows / training rows) of that of the gains.
    """
    variance = float(np.var(gains, ddof=1)) * (1 / len(gains) + 1 / (folds - 1))
    reach = float(t.ppf((1 + confidence) / 2, len(gains) - 1)) * math.sqrt(variance)
    return float(np.mean(gains)) - reach, float(np.mean(gains)) + reach


def _auc(judged: Rows, margins: "np.typing.NDArray[np.floating]") -> float:
    return float(roc_auc_score(judged.labels, margins))
