"""The model card: what a version is, how good it is, and what it must not be used for."""

from collections.abc import Mapping, Sequence
from typing import Any

from include.champion.fairness import Fairness, fairness_text
from include.champion.versions import Evaluation
from include.features import engineered_for
from include.target import Target
from include.training.early_card import early_section, history_facts
from include.training.ingest_data import Ingested, counted
from include.training.run import TrainingRun
from include.training.transform_data import Transformed

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

AT_THRESHOLD = ("f1", "precision", "recall", "accuracy")

STATE_LIMIT = """\
- **No claim about how early it warns.** Each customer is one snapshot: the transaction counts and
  amounts of those who left already carry the months in which they were leaving. The figures above
  say how well leavers and stayers are told apart in such a snapshot, not how long before.
"""

EARLY_LIMIT = """\
- **No claim about a single customer.** Most of whom it lists stay: it is a list to call from. Who
  leaves suddenly, without a sign in the columns, it cannot see.
- **No claim beyond its months.** Older months taught it by other customers, so only the month that
  judges is new to it; a rule that changes since is seen when that month's leavers are known.
"""

LIMITS = """\
- **No decision against a customer.** It ranks customers for a friendly call. It was not tested for
  credit, pricing, limits or closing accounts, and age and gender are among its inputs.
- **No other population.** It knows customers like those of its training table; the drift report
  says when that stops being so.
"""


def model_card(
    run: TrainingRun,
    ingested: Ingested,
    transformed: Transformed,
    report: Evaluation,
    *,
    reference_rows: int,
) -> str:
    """The card in Markdown."""
    model, kind, made = run.params.model, ingested.target, transformed
    rows = made.training_rows + made.calibration_rows + made.holdout_rows
    facts = "".join(f"{fact}\n" for fact in history_facts(ingested))
    early = early_section(report.early_warning) if report.early_warning else ""
    used = ", ".join(f"`{name}`" for name in run.columns)
    added = ", ".join(f"`{feature.name}`" for feature in engineered_for(run.columns))
    return (
        "# Churn model\n\n"
        f"{_purpose(ingested)} Family: {model.family}; training rows: "
        f"{model.balancing(made.training_rows)}. Probabilities calibrated by Platt scaling on rows "
        "that no tree saw.\n\n"
        f"{_rows(ingested)}: {made.training_rows:,} for training, of whom "
        f"{made.training_attrited_share:.1%} left, {made.calibration_rows:,} for calibration, "
        f"{made.holdout_rows:,} held out\n"
        f"{facts}"
        f"- Campaigns: {_campaigns(ingested, run.params.campaigns.outcome_days)}\n"
        f"- Input: {used}\n- Engineered from them: {added}\n"
        f"- Drift is measured against {_reference(reference_rows, rows, kind)}\n"
        f"- Counts a customer as leaving from P(churn) ≥ {report.threshold:g}"
        f"{', which few of who leave reach: the list is what to call by' if early else ''}\n"
        "- What the gate decided, and why: `gate` in the manifest\n\n"
        f"## On the hold-out\n\n{_metric_table(report.metrics, kind)}\n{early}"
        f"## By slice\n\n{_slice_table(report.slices)}\n{_fairness(report.fairness, kind)}\n"
        "## What it may not be used for\n\n"
        f"{EARLY_LIMIT if kind.is_early_warning else STATE_LIMIT}{LIMITS}"
    )


def _purpose(ingested: Ingested) -> str:
    """Which of the two kinds of model it is, and why."""
    if ingested.target.is_early_warning:
        return (
            "**Early warning**: the probability that a credit-card customer, who is active today, "
            f"{ingested.target}. Learned from history: {ingested.target_reason}."
        )
    return (
        "**State**: the probability that a credit-card customer has left; of one who is active it "
        "says how much they look like those who had. Why it is no early warning: "
        f"{ingested.target_reason}."
    )


def _rows(ingested: Ingested) -> str:
    if ingested.months is None:
        return f"- Customers as of {ingested.snapshot_at[:16].replace('T', ' ')} UTC"
    return "- Rows, each a customer in a month"


def _reference(reference_rows: int, rows: int, kind: Target) -> str:
    """How much of the table `reference.parquet` keeps."""
    what = counted(kind)
    if reference_rows == rows:
        return f"all {rows:,} {what}"
    return (
        f"{reference_rows:,} of the {rows:,} {what}, drawn by a hash of their keys "
        "(drift.reference_rows_max); the difference is far below what counts as drift"
    )


def _campaigns(ingested: Ingested, outcome_days: float) -> str:
    """How many customers an analyst's call may have kept, and what became of them here."""
    called, what = ingested.called, counted(ingested.target)
    if ingested.target.is_early_warning:
        who = "rows of customers"
        why = f"the {outcome_days:g} days after it reach into the {ingested.target.last_day} days"
    else:
        who = what
        why = f"the {outcome_days:g} days after it last or their label is from within them"
    return (
        f"{called.left_out:,} {who} who were listed or called are neither trained nor judged "
        f"on, because {why}; "
        f"{called.listed:,} others who were listed once and {called.control:,} of control groups "
        f"are among the {what} above"
    )


def _metric_table(metrics: Mapping[str, float], kind: Target) -> str:
    """The figures; without those at the threshold where a list is what counts."""
    left_out = AT_THRESHOLD if kind.is_early_warning else ()
    shown = {key: name for key, name in METRIC_NAMES.items() if key not in left_out}
    lines = [
        f"| {name} | {metrics[key]:.4f}{_interval(key, metrics)} |" for key, name in shown.items()
    ]
    return "\n".join(["| measure | value |", "|---|---|", *lines]) + "\n"


def _interval(key: str, metrics: Mapping[str, float]) -> str:
    if f"{key}_low" not in metrics:
        return ""
    return f" (interval {metrics[f'{key}_low']:.4f} to {metrics[f'{key}_high']:.4f})"


def _fairness(found: Sequence[Fairness], kind: Target) -> str:
    """How unlike groups are treated, whatever their slices' ranking; the table has the shares."""
    where = "on the list" if kind.is_early_warning else "at or above the threshold"
    lines = [f"- {fairness_text(each)[0].upper()}{fairness_text(each)[1:]}\n" for each in found]
    return (
        f"Size counts customers. Selected is who is {where}; found is the share of leavers who "
        "are. Intervals hold for all pairs of groups at once; "
        f"`gate.fairness` in `params.yaml` has the limits:\n\n{''.join(lines)}"
    )


def _slice_table(slices: Sequence[Mapping[str, Any]]) -> str:
    """The figures by slice, and whom of it the operating point selects."""
    # Seven columns of short words: a phone has room for them.
    head = ["| slice | size | left | ROC-AUC | Brier | selected | found |", "|---" * 7 + "|"]
    return "\n".join([*head, *map(_slice_line, slices)]) + "\n"


def _slice_line(row: Mapping[str, Any]) -> str:
    left = f"{row['attrited_share']:.1%}" if row["rows"] else "–"
    figures = [f"{row[k]:.4f}" if k in row else "–" for k in ("roc_auc", "brier")]
    shares = [f"{row[k]:.1%}" if k in row else "–" for k in ("selected_share", "found_share")]
    return f"| {row['slice']} | {row['rows']:,} | {left} | {' | '.join([*figures, *shares])} |"
