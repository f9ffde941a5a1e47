"""The pictures of an evaluation, for MLflow."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

SIZE_INCHES = (5.0, 4.0)
INK, FAINT = "#0b4f6c", "#9aa5ab"
IMPORTANCE_BARS = 15


def evaluation_figures(
    curves: Mapping[str, Any], metrics: Mapping[str, float], importance: Mapping[str, float]
) -> dict[str, Figure]:
    """ROC, precision–recall, calibration, confusion and importance plots, by file name."""
    return {
        "roc": _roc(curves["roc"], metrics["roc_auc"]),
        "precision_recall": _precision_recall(
            curves["precision_recall"], metrics["average_precision"]
        ),
        "calibration": _calibration(curves["calibration"], metrics["calibration_error"]),
        "confusion": _confusion(curves["confusion"]),
        "importance": _importance(importance),
    }


def _roc(curve: Mapping[str, list[float]], auc: float) -> Figure:
    figure, axes = _axes(f"ROC, area {auc:.4f}", "false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
    axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], color=INK)
    return figure


def _precision_recall(curve: Mapping[str, list[float]], average: float) -> Figure:
    figure, axes = _axes(f"Precision–recall, average {average:.4f}", "recall", "precision")
    axes.plot(curve["recall"], curve["precision"], color=INK)
    axes.set_ylim(0, 1.02)
    return figure


def _calibration(curve: Mapping[str, list[float]], error: float) -> Figure:
    title = f"Calibration, expected error {error:.4f}"
    figure, axes = _axes(title, "predicted P(churn)", "observed share that left")
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
    axes.plot(curve["predicted"], curve["observed"], color=INK, marker="o", markersize=4)
    return figure


def _confusion(counts: list[list[int]]) -> Figure:
    figure, axes = _axes("Confusion matrix", "predicted", "actual")
    axes.imshow(counts, cmap="Blues")
    axes.set_xticks([0, 1], ["stays", "leaves"])
    axes.set_yticks([0, 1], ["stayed", "left"])
    largest = max(max(row) for row in counts)
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            ink = "white" if count > largest / 2 else "black"
            axes.text(j, i, f"{count:,}", ha="center", va="center", color=ink)
    return figure


def _importance(shares: Mapping[str, float]) -> Figure:
    top = list(shares.items())[:IMPORTANCE_BARS][::-1]
    figure, axes = _axes("Importance", "share of the trees' total gain", "")
    axes.barh([name for name, _ in top], [share for _, share in top], color=INK)
    return figure


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes
