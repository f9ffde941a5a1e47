"""The pictures of an evaluation, for MLflow: scikit-learn's own, from the stored curves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

SIZE_INCHES = (5.0, 4.0)
IMPORTANCE_BARS = 15


def evaluation_figures(
    curves: Mapping[str, Any], metrics: Mapping[str, float], importance: Mapping[str, float]
) -> dict[str, Figure]:
    """ROC, precision–recall, calibration, confusion and importance plots, by file name."""
    names = ("roc", "precision_recall", "calibration", "confusion", "importance")
    figures = {name: Figure(figsize=SIZE_INCHES, layout="constrained") for name in names}
    axes = {name: figure.add_subplot() for name, figure in figures.items()}
    for figure in figures.values():
        FigureCanvasAgg(figure)
    roc, precision, calibration = (
        {key: np.array(values) for key, values in curves[name].items()} for name in names[:3]
    )
    # Named with four decimals: two, as in the displays' own labels, tell no two good models apart.
    RocCurveDisplay(fpr=roc["false_positive_rate"], tpr=roc["true_positive_rate"]).plot(
        axes["roc"], name=f"area {metrics['roc_auc']:.4f}", plot_chance_level=True
    )
    PrecisionRecallDisplay(precision["precision"], precision["recall"]).plot(
        axes["precision_recall"], name=f"average {metrics['average_precision']:.4f}"
    )
    CalibrationDisplay(calibration["observed"], calibration["predicted"], None).plot(
        ax=axes["calibration"], name=f"expected error {metrics['calibration_error']:.4f}"
    )
    ConfusionMatrixDisplay(np.array(curves["confusion"]), display_labels=["stays", "leaves"]).plot(
        ax=axes["confusion"], cmap="Blues", values_format=",", colorbar=False
    )
    top = list(importance.items())[:IMPORTANCE_BARS][::-1]
    axes["importance"].barh([name for name, _ in top], [share for _, share in top])
    axes["importance"].set_xlabel("share of the trees' total gain")
    return figures
