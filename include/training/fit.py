"""Fitting: scale, resample training rows, grow trees, calibrate on rows that no tree saw."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost as xgb
from imblearn.over_sampling import SMOTE, SMOTENC
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from include.champion.calibration import Calibration, calibrated
from include.contract import Contract
from include.errors import DataError
from include.features import SplitRule, engineer, engineered_for
from include.params import ClassWeight, ModelParams, Params

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

SPLIT = "split"
SIDES = ("training", "calibration", "holdout")
NEIGHBOURS = 5  # of SMOTE, as in Chawla et al. 2002
PLATT_PENALTY = 1e6  # C: practically no penalty, so that the slope is the maximum-likelihood one


@dataclass(frozen=True)
class Rows:
    """Scaled features and labels of one side of the split."""

    features: "NDArray[np.floating]"
    labels: "NDArray[np.int64]"


@dataclass(frozen=True)
class Prepared:
    """What training needs: balanced rows and their weight, rows to calibrate on, the scaler.

    Rows come in parts that can be gone through again.
    """

    columns: tuple[str, ...]
    scaler: StandardScaler
    training: Iterable[Rows]
    calibration: Iterable[Rows]
    class_weight: ClassWeight  # of the fit: not the configured one where rows are too many


@dataclass(frozen=True)
class Fitted:
    """A fitted model: raw columns in, calibrated P(churn) out."""

    columns: tuple[str, ...]
    scaler: StandardScaler
    trees: xgb.Booster
    calibration: Calibration

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features that the trees see, in order."""
        return self.columns + tuple(feature.name for feature in engineered_for(self.columns))

    def probabilities(self, matrix: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Calibrated P(churn) of raw rows, by scikit-learn's scaler and XGBoost's own trees."""
        scaled = self.scaler.transform(engineer(matrix, self.columns))
        return calibrated(margins(self.trees, scaled), self.calibration)


def with_split(frame: "pd.DataFrame", contract: Contract, rule: SplitRule) -> "pd.DataFrame":
    """The customers with the side that each is on, in the column `split`."""
    return frame.assign(**{SPLIT: rule.sides(frame[contract.key.name].tolist())})


def prepare(frame: "pd.DataFrame", contract: Contract, params: Params) -> Prepared:
    """What `transform_data` does, for customers who are all in memory.

    `frame` holds valid, labelled customers with their side of the split; DataError when a side
    lacks a class.
    """
    columns = contract.chosen(params.model.columns)
    parts = {side: frame[frame[SPLIT] == side] for side in SIDES}
    for side, part in parts.items():
        labels = contract.labels(part)
        need_both_classes(side, rows=len(labels), leavers=int(labels.sum()))
    training, calibration = (
        Rows(raw_features(parts[side], contract, columns), contract.labels(parts[side]))
        for side in ("training", "calibration")
    )
    scaler = StandardScaler().fit(training.features)
    model = params.model.for_rows(len(training.labels))
    training, aside = (
        Rows(scaler.transform(rows.features), rows.labels) for rows in (training, calibration)
    )
    balanced = balance([training], model, categorical=categorical_places(contract, columns))
    return Prepared(columns, scaler, list(balanced), [aside], model.class_weight)


def raw_features(
    frame: "pd.DataFrame", contract: Contract, columns: Sequence[str]
) -> "NDArray[np.float64]":
    """The model's input of valid customers with the engineered features, not yet scaled."""
    return engineer(contract.matrix(frame, columns), columns)


def need_both_classes(where: str, *, rows: int, leavers: int) -> None:
    """DataError unless some customers left and some stayed."""
    if not 0 < leavers < rows:
        raise DataError(
            f"the {where} rows have {leavers} customers who left and {rows - leavers} who "
            "stayed: a model needs both, so check where the labels come from"
        )


def balance(
    parts: Iterable[Rows], model: ModelParams, *, categorical: Sequence[int]
) -> Iterator[Rows]:
    """The scaled training rows as they come, or all at once where the model resamples them."""
    if model.resampling == "none":
        yield from parts
        return
    held = list(parts)
    rows = Rows(
        np.concatenate([part.features for part in held]),
        np.concatenate([part.labels for part in held]),
    )
    yield resample(rows, kind=model.resampling, categorical=categorical, seed=model.seed)


def restored_scaler(mean: Sequence[float], scale: Sequence[float]) -> StandardScaler:
    """The scaler from its two stored vectors."""
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = np.array(mean), np.array(scale)
    scaler.var_, scaler.n_features_in_ = scaler.scale_**2, len(scaler.scale_)
    return scaler


def resample(rows: Rows, *, kind: str, categorical: Sequence[int], seed: int) -> Rows:
    """Balance the classes of the training rows: 'smote', 'smotenc' or 'none'.

    `categorical` are the places of the ordinals, which SMOTENC copies from neighbours where SMOTE
    would invent values between two categories.
    """
    if kind == "none":
        return rows
    rarest = int(np.bincount(rows.labels, minlength=2).min())
    if rarest <= NEIGHBOURS:
        raise DataError(
            f"{kind} needs more than {NEIGHBOURS} training rows of each class, found {rarest}: "
            "load more labelled customers, or set model.resampling to none"
        )
    sampler: Any = SMOTE(random_state=seed, k_neighbors=NEIGHBOURS)
    if kind == "smotenc" and categorical:
        sampler = SMOTENC(list(categorical), random_state=seed, k_neighbors=NEIGHBOURS)
    return Rows(*sampler.fit_resample(rows.features, rows.labels))


def categorical_places(contract: Contract, columns: Sequence[str]) -> list[int]:
    """Where the model's input holds ordinals."""
    return [place for place, name in enumerate(columns) if contract.column(name).categories]


class _Parts(xgb.DataIter):  # type: ignore[misc]
    """Rows part by part, as XGBoost asks for them; it begins anew four times."""

    def __init__(self, parts: Iterable[Rows]) -> None:
        super().__init__()
        self._parts, self._left = parts, iter(parts)

    def reset(self) -> None:
        self._left = iter(self._parts)

    def next(self, input_data: Callable[..., None]) -> bool:
        part = next(self._left, None)
        if part is None:
            return False
        input_data(data=part.features.astype(np.float32, copy=False), label=part.labels)
        return True


def fit_trees(parts: Iterable[Rows], params: ModelParams) -> xgb.Booster:
    """Grow the trees of the configured family; the same rows and parameters give the same bytes.

    `parts` are gone through more than once, and no two of them are held together: XGBoost keeps a
    byte for each number. A random forest is XGBoost's own: its margins add up over trees, so that
    it is explained, exported and calibrated like the boosted one.
    """
    shape = params.hyperparameters
    rounds = shape.pop("n_estimators")
    if params.family == "random_forest":
        shape |= {"num_parallel_tree": rounds, "learning_rate": 1.0}
        rounds = 1
    data = xgb.QuantileDMatrix(_Parts(parts), nthread=params.threads)
    stayers, leavers = np.bincount(data.get_label().astype(np.int64), minlength=2)
    learning = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "base_score": 0.5,
        "seed": params.seed,
        "nthread": params.threads,
        "scale_pos_weight": stayers / leavers if params.class_weight == "balanced" else 1.0,
    }
    return xgb.train(learning | shape, data, rounds)


def margins(trees: xgb.Booster, features: "NDArray[np.floating]") -> "NDArray[np.float64]":
    """What the trees say of scaled rows, in log-odds."""
    return trees.inplace_predict(features, predict_type="margin").astype(np.float64)  # type: ignore[no-any-return]


def fit_calibration(margin: "NDArray[np.float64]", labels: "NDArray[np.int64]") -> Calibration:
    """Platt scaling: logistic regression of the label on the margin of rows that no tree saw."""
    fit = LogisticRegression(C=PLATT_PENALTY).fit(margin.reshape(-1, 1), labels)
    slope = float(fit.coef_[0, 0])
    if slope <= 0:
        raise DataError(
            f"on the calibration rows a higher margin means less churn (slope {slope:.3g}): "
            "the trees learnt nothing that holds beyond their own rows; look at the labels"
        )
    return Calibration(slope=slope, intercept=float(fit.intercept_[0]))


def fit(prepared: Prepared, params: ModelParams) -> Fitted:
    """Trees on the training rows, calibration on the rows kept aside for it."""
    weighted = params.model_copy(update={"class_weight": prepared.class_weight})
    trees = fit_trees(prepared.training, weighted)
    aside = [(margins(trees, part.features), part.labels) for part in prepared.calibration]
    margin, labels = (np.concatenate(values) for values in zip(*aside, strict=True))
    return Fitted(prepared.columns, prepared.scaler, trees, fit_calibration(margin, labels))


def native_trees(trees: xgb.Booster) -> bytes:
    """The trees in XGBoost's own binary JSON."""
    return bytes(trees.save_raw("ubj"))
