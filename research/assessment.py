"""How good models are: each judged on the hold-out rows of several splits by hash.

Another salt is another split: trees, calibration and hold-out rows all change.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from include.contract import Contract
from include.params import ModelParams, Params
from include.training import evaluation, fit
from include.training.fit import SPLIT, Rows
from include.tuning.cross_validation import gain_interval, labelled_rows, logistic_regression
from research.customers import Study

Floats: TypeAlias = NDArray[np.float64]
CONFIDENCE = 0.95
SHUFFLE_SEED = 0
LIST_SHARE = 0.1  # a retention team that can call a tenth of its customers


@dataclass(frozen=True)
class Split:
    """Customers with the side that each is on; its methods give P(churn) of the hold-out rows."""

    frame: pd.DataFrame
    contract: Contract
    params: Params

    @cached_property
    def held(self) -> pd.DataFrame:
        """The hold-out customers, whom no model here has seen.

        Shuffled, so that chance and not the file's order breaks ties in a ranking.
        """
        held = self.frame[self.frame[SPLIT] == "holdout"]
        return held.sample(frac=1, random_state=SHUFFLE_SEED).reset_index(drop=True)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Theirs: 1 for who left."""
        return self.contract.labels(self.held)

    @cached_property
    def _training(self) -> pd.DataFrame:
        return self.frame[self.frame[SPLIT] == "training"]

    def trees(self, changes: Mapping[str, object]) -> Floats:
        """Of the production's pipeline, with changes to the model's parameters."""
        fitted = self.fitted(changes)
        return fitted.probabilities(self.contract.matrix(self.held, fitted.columns))

    def fitted(self, changes: Mapping[str, object]) -> fit.Fitted:
        """The production's pipeline, fitted on the other rows."""
        model = ModelParams.model_validate(self.params.model.model_dump() | dict(changes))
        params = self.params.model_copy(update={"model": model})
        return fit.fit(fit.prepare(self.frame, self.contract, params), model)

    def logistic(self) -> Floats:
        """Of logistic regression on the same features."""
        training, held = (
            labelled_rows(rows, self.contract, self.params.model)
            for rows in (self._training, self.held)
        )
        return _logistic(training, held.features)

    def one_column(self, name: str) -> Floats:
        """Of logistic regression on a single column."""
        training, held = (
            self.contract.matrix(rows, [name]) for rows in (self._training, self.held)
        )
        return _logistic(Rows(training, self.contract.labels(self._training)), held)

    def base_rate(self) -> Floats:
        """The share that left, for everybody."""
        share = self.contract.labels(self._training).mean()
        return np.full(len(self.held), float(share))


Model: TypeAlias = Callable[[Split], Floats]


@dataclass(frozen=True)
class Interval:
    """A mean over splits, and where it lies with 95 % confidence."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f}\u00a0±\u00a0{self.high - self.mean:.4f}"

    @property
    def in_words(self) -> str:
        """A difference as a sentence says it, and whether it is more than chance."""
        found = f"{self.mean:+.4f} ({self.low:+.4f} to {self.high:+.4f})".replace("-", "\u2212")
        return found + (", beyond chance" if self.low * self.high > 0 else ", within chance")


def make_splits(study: Study, splits: int) -> list[Split]:
    """The customers under so many salts of the split."""
    rules = [study.params.split.model_copy(update={"salt": f"split-{i}"}) for i in range(splits)]
    return [
        Split(fit.with_split(study.frame, study.contract, rule), study.contract, study.params)
        for rule in rules
    ]


def over_splits(values: Sequence[float], params: Params) -> Interval:
    """The mean of one figure over splits, with the interval that the search uses, too.

    Splits share most of their rows, so the plain standard error would be too small.
    """
    folds = round(1 / params.split.holdout_share)
    low, high = gain_interval(values, folds=folds, confidence=CONFIDENCE)
    return Interval(float(np.mean(values)), low, high)


def figures(split: Split, answers: Floats) -> dict[str, float]:
    """What the model card quotes, and what a call list of the likeliest tenth would find."""
    threshold = split.params.model.threshold
    gains = evaluation.curves(split.labels, answers, threshold=threshold)["gains"]
    found = float(np.interp(LIST_SHARE, gains["contacted_share"], gains["found_share"]))
    scores = evaluation.scores(split.labels, answers, threshold=threshold)
    return scores | {"top_tenth_recall": found, "lift": found / LIST_SHARE}


def judge(models: Mapping[str, Model], splits: Sequence[Split]) -> dict[str, list[Floats]]:
    """Each model's answers on the hold-out of each split."""
    return {name: [model(split) for split in splits] for name, model in models.items()}


def compare(
    answers: Mapping[str, Sequence[Floats]], splits: Sequence[Split], shown: Mapping[str, str]
) -> pd.DataFrame:
    """A row for each model, a column for each figure under its title, intervals over splits."""
    params = splits[0].params
    table = {}
    for name, given in answers.items():
        found = [figures(split, each) for split, each in zip(splits, given, strict=True)]
        table[name] = {
            title: str(over_splits([each[key] for each in found], params))
            for key, title in shown.items()
        }
    return pd.DataFrame(table).T


def gain(
    new: Sequence[Floats], old: Sequence[Floats], splits: Sequence[Split], figure: str
) -> Interval:
    """How much a figure is higher for one model than for another on the same hold-outs."""
    gains = [
        figures(split, one)[figure] - figures(split, other)[figure]
        for split, one, other in zip(splits, new, old, strict=True)
    ]
    return over_splits(gains, splits[0].params)


def _logistic(training: Rows, features: NDArray[np.floating]) -> Floats:
    scaler = StandardScaler().fit(training.features)
    model = logistic_regression(Rows(scaler.transform(training.features), training.labels))
    answers: Floats = model.predict_proba(scaler.transform(features))[:, 1]
    return answers
