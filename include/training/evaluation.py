"""How good a model is on hold-out rows: scores, curves and slices, in plain numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pandas.api.types import is_numeric_dtype
from sklearn import metrics

from include.params import AGE, GateRules

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

CALIBRATION_BINS = 10
CURVE_POINTS = 200  # stored points of a curve; more change no pixel
AGE_BANDS = ((18, 34), (35, 44), (45, 54), (55, 64), (65, 120))


@dataclass(frozen=True)
class Slice:
    """A part of the customers that the model must serve as well as the rest."""

    name: str
    rows: "NDArray[np.bool_]"
    by: str = ""  # what customers are grouped by


def scores(
    labels: "NDArray[np.int64]", probabilities: "NDArray[np.float64]", *, threshold: float
) -> dict[str, float]:
    """Every figure that the gate, MLflow and the model card quote; needs rows of both classes."""
    predicted = (probabilities >= threshold).astype(np.int64)
    return {
        "roc_auc": float(metrics.roc_auc_score(labels, probabilities)),
        "average_precision": float(metrics.average_precision_score(labels, probabilities)),
        "brier": float(metrics.brier_score_loss(labels, probabilities)),
        "log_loss": float(metrics.log_loss(labels, probabilities)),
        "calibration_error": calibration_error(labels, probabilities),
        "f1": float(metrics.f1_score(labels, predicted, zero_division=0)),
        "precision": float(metrics.precision_score(labels, predicted, zero_division=0)),
        "recall": float(metrics.recall_score(labels, predicted, zero_division=0)),
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
    }


def calibration_error(labels: "NDArray[np.int64]", probabilities: "NDArray[np.float64]") -> float:
    """Expected calibration error over equal-mass bins (Naeini et al. 2015, with equal mass)."""
    found = reliability(labels, probabilities)
    gaps = np.abs(np.subtract(found["observed"], found["predicted"]))
    return float(gaps @ found["rows"] / len(labels))


def slices(frame: "pd.DataFrame", columns: Mapping[str, str]) -> tuple[Slice, ...]:
    """The slices by gender and by age band, or by what else the columns stand for, as far as there.

    `columns` are what they are called and where they are.
    """
    return tuple(
        Slice(f"{by} {name}", rows, by)
        for by, column in columns.items()
        if column in frame
        for name, rows in _parts(by, frame[column])
    )


def _parts(by: str, values: "pd.Series[Any]") -> "Iterator[tuple[str, NDArray[np.bool_]]]":
    if by == AGE and is_numeric_dtype(values):
        yield from ((f"{a}–{b}", values.between(a, b).to_numpy()) for a, b in AGE_BANDS)
        return
    texts = values.astype(str)
    yield from ((value, (texts == value).to_numpy()) for value in sorted(texts.unique()))


def is_judged(*, rows: int, leavers: int, rules: GateRules) -> bool:
    """Whether a slice has customers enough of either class."""
    rarest = min(leavers, rows - leavers)
    return rows >= rules.slice_rows_min and rarest >= rules.slice_class_rows_min


def slice_scores(
    labels: "NDArray[np.int64]",
    probabilities: "NDArray[np.float64]",
    parts: tuple[Slice, ...],
    *,
    threshold: float,
    selected: "NDArray[np.floating]",
) -> list[dict[str, Any]]:
    """Scores by slice, and which share of its customers and of its leavers is selected.

    `selected` says how far each customer is, 0 to 1. A slice with one class only has no scores.
    """
    rows: list[dict[str, Any]] = []
    for part in parts:
        y, p, chosen = labels[part.rows], probabilities[part.rows], selected[part.rows]
        row: dict[str, Any] = {"slice": part.name, "by": part.by, "rows": len(y)}
        row["leavers"] = int(y.sum())
        if len(y):
            row |= {"attrited_share": float(y.mean()), "selected_share": float(chosen.mean())}
        if y.any():
            row["found_share"] = float(chosen[y == 1].mean())
        if 0 < y.sum() < len(y):
            row |= scores(y, p, threshold=threshold)
        rows.append(row)
    return rows


def curves(
    labels: "NDArray[np.int64]", probabilities: "NDArray[np.float64]", *, threshold: float
) -> dict[str, Any]:
    """ROC, precision–recall, calibration and gains curves, and the confusion matrix."""
    false_share, true_share, _ = metrics.roc_curve(labels, probabilities)
    precision, recall, _ = metrics.precision_recall_curve(labels, probabilities)
    predicted = (probabilities >= threshold).astype(np.int64)
    return {
        "roc": _points(false_positive_rate=false_share, true_positive_rate=true_share),
        "precision_recall": _points(recall=recall[::-1], precision=precision[::-1]),
        "calibration": reliability(labels, probabilities),
        "gains": _gains(labels, probabilities),
        "confusion": metrics.confusion_matrix(labels, predicted, labels=[0, 1]).tolist(),
    }


def reliability(
    labels: "NDArray[np.int64]", probabilities: "NDArray[np.float64]"
) -> dict[str, list[float]]:
    """Mean probability, share of leavers and rows of ten groups of rising probability."""
    order = np.argsort(probabilities, kind="stable")
    groups = [group for group in np.array_split(order, CALIBRATION_BINS) if len(group)]
    return {
        "predicted": [float(probabilities[g].mean()) for g in groups],
        "observed": [float(labels[g].mean()) for g in groups],
        "rows": [float(len(g)) for g in groups],
    }


def importance(gain_by_place: Mapping[str, float], names: tuple[str, ...]) -> dict[str, float]:
    """Each feature's share of the trees' total gain, largest first; `f3` is the fourth feature."""
    total = sum(gain_by_place.values()) or 1.0
    shares = {name: gain_by_place.get(f"f{i}", 0.0) / total for i, name in enumerate(names)}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _gains(
    labels: "NDArray[np.int64]", probabilities: "NDArray[np.float64]"
) -> dict[str, list[float]]:
    ranked = labels[np.argsort(-probabilities, kind="stable")]
    found = np.concatenate([[0.0], np.cumsum(ranked) / max(ranked.sum(), 1)])
    return _points(contacted_share=np.linspace(0, 1, len(found)), found_share=found)


def _points(**series: "NDArray[np.float64]") -> dict[str, list[float]]:
    """The series thinned to the same places, ends kept."""
    length = len(next(iter(series.values())))
    kept = np.unique(np.linspace(0, length - 1, min(length, CURVE_POINTS)).astype(np.int64))
    return {name: [float(v) for v in values[kept]] for name, values in series.items()}
