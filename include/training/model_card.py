"""The model card: what a version is, how good it is, and what it must not be used for."""

from collections.abc import Mapping, Sequence
from typing import Any

from include.training.ingest_data import Called

METRIC_NAMES = {
    "roc_auc": "ROC-AUC",
    "average_precision": "Average precision",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "accuracy": "Accuracy",
    "brier": "Brier score",
    "calibration_error": "Expected calibration error",
}

LIMITS = """\
## What it may not be used for

- **No claim about how early it warns.** Each customer is one snapshot: the transaction counts and
  amounts of those who left already carry the months in which they were leaving. The figures above
  say how well leavers and stayers are told apart in such a snapshot, not how long before.
- **No decision against a customer.** It ranks customers for a friendly call. It was not tested for
  credit, pricing, limits or closing accounts, and age and gender are among its inputs.
- **No other population.** It knows customers like those of its training table; the drift report
  says when that stops being so.
"""


def model_card(
    *,
    family: str,
    snapshot_at: str,
    trained_rows: Mapping[str, int],
    attrited_share: float,
    called: Called,
    outcome_days: float,
    columns: Sequence[str],
    engineered: Sequence[str],
    balancing: str,
    reference_rows: int,
    threshold: float,
    metrics: Mapping[str, float],
    slices: Sequence[Mapping[str, Any]],
) -> str:
    """The card in Markdown."""
    used = ", ".join(f"`{name}`" for name in columns)
    added = ", ".join(f"`{name}`" for name in engineered)
    rows = ", ".join(f"{count:,} {side}" for side, count in trained_rows.items())
    return (
        "# Churn model\n\n"
        f"Says how likely a credit-card customer is to leave. Family: {family}; training rows: "
        f"{balancing}. Probabilities calibrated by Platt scaling on rows that no tree saw.\n\n"
        f"- Customers as of {snapshot_at}: {rows}; {attrited_share:.1%} of them left\n"
        f"- Campaigns: {_campaigns(called, outcome_days)}\n"
        f"- Input: {used}\n- Engineered from them: {added}\n"
        f"- Drift is measured against {_reference(reference_rows, sum(trained_rows.values()))}\n"
        f"- Counts a customer as leaving from P(churn) ≥ {threshold:g}\n"
        "- What the gate decided, and why: `gate` in the manifest\n\n"
        f"## On the hold-out\n\n{_metric_table(metrics)}\n"
        f"## By slice\n\n{_slice_table(slices)}\n{LIMITS}"
    )


def _reference(reference_rows: int, rows: int) -> str:
    """How much of the table `reference.parquet` keeps."""
    if reference_rows == rows:
        return f"all {rows:,} customers"
    return (
        f"{reference_rows:,} of the {rows:,} customers, drawn by a hash of their keys "
        "(drift.reference_rows_max); the difference is far below what counts as drift"
    )


def _campaigns(called: Called, outcome_days: float) -> str:
    """How many customers an analyst's call may have kept, and what became of them here."""
    return (
        f"{called.left_out:,} customers who were listed or called are neither trained nor judged "
        f"on, because the {outcome_days:g} days after it last or their label is from within them; "
        f"{called.listed:,} others who were listed once and {called.control:,} of control groups "
        "are among the customers above"
    )


def _metric_table(metrics: Mapping[str, float]) -> str:
    lines = [f"| {name} | {metrics[key]:.4f} |" for key, name in METRIC_NAMES.items()]
    return "\n".join(["| measure | value |", "|---|---|", *lines]) + "\n"


def _slice_table(slices: Sequence[Mapping[str, Any]]) -> str:
    head = [
        "| slice | customers | left | ROC-AUC | Brier score | recall |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(_slice_line(row) for row in slices)]) + "\n"


def _slice_line(row: Mapping[str, Any]) -> str:
    left = f"{row['attrited_share']:.1%}" if row["rows"] else "–"
    figures = [f"{row[k]:.4f}" if k in row else "–" for k in ("roc_auc", "brier", "recall")]
    return f"| {row['slice']} | {row['rows']:,} | {left} | {' | '.join(figures)} |"
