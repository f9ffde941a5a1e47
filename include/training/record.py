"""What MLflow keeps of a candidate beside its files: what it read, what it is, what was decided."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from include.addresses import drift_report_page
from include.champion.fairness import fairness_text
from include.champion.gate_decision import GATE_FILE, Decision
from include.champion.tracking import DataSet
from include.champion.versions import CARD_FILE, Evaluation
from include.contract import Contract
from include.customers.table import TABLE
from include.history.clock import OLDER
from include.training.early_card import early_figures
from include.training.ingest_data import Ingested
from include.training.model_card import METRIC_NAMES
from include.training.run import TrainingRun

if TYPE_CHECKING:
    from include.training.evaluate_model import Lineage

TYPES = {"integer": "long", "float": "double", "category": "string", "timestamp": "datetime"}
SHOWN = ("roc_auc", "f1", "brier")
SHOWN_EARLY = ("roc_auc", "brier")  # hardly anybody leaves within the window with P > 0.5
OUTCOMES = {
    "accepted": "accepted it",
    "rejected": "rejected it",
    "needs_person": "would not decide alone",
}


def keep_record(
    run: TrainingRun, lineage: "Lineage", decision: Decision, report: Evaluation
) -> None:
    """Say in MLflow what the run read, and of its candidate what it is and how it was judged."""
    run_id = lineage.ingested.mlflow_run_id
    run.registry.log_inputs(run_id, data_sets(run, lineage))
    page = run.registry.run_page(run_id)
    run.registry.describe(
        lineage.trained.candidate,
        "\n".join(description(run, lineage, decision, report, page=page)),
        {"gate": decision.outcome, "gate_decision": f"runs:/{run_id}/{GATE_FILE}"},
    )


def data_sets(run: TrainingRun, lineage: "Lineage") -> list[DataSet]:
    """The sides of the split; a side's hash is of the customers', the rule and its name."""
    made = lineage.transformed
    sides = {
        "training": made.training_rows,
        "calibration": made.calibration_rows,
        "holdout": made.holdout_rows,
        **({OLDER: made.older_rows} if made.older_rows else {}),
    }
    return [
        data_set(
            run.contract,
            run.columns,
            context=side,
            uri=f"{run.store.uri}/{made.customers}",
            digest_of=(
                *(lineage.validated.data_sha256, made.split.model_dump_json(), side),
                made.customers,
            ),
            rows=rows,
        )
        for side, rows in sides.items()
    ]


def data_set(
    contract: Contract,
    columns: Sequence[str],
    *,
    context: str,
    uri: str,
    digest_of: tuple[str, ...],
    rows: int,
) -> DataSet:
    """Customers that were used for something: their columns and how many, never a value."""
    names = (*columns, contract.target.name)
    return DataSet(
        name=f"{TABLE}-{context}",
        context=context,
        uri=uri,
        # MLflow keeps the first of equal names and digests, source and columns included.
        sha256=hashlib.sha256("\n".join((*digest_of, *names)).encode()).hexdigest(),
        rows=rows,
        columns={name: TYPES[contract.column(name).type] for name in names},
    )


def description(
    run: TrainingRun, lineage: "Lineage", decision: Decision, report: Evaluation, *, page: str
) -> Iterator[str]:
    """A candidate in a few lines of Markdown; `page` is its run's in MLflow."""
    made, ingested = lineage.transformed, lineage.ingested
    yield f"Says who {ingested.target} ({ingested.target_reason}).\n"
    yield (
        f"{run.params.model.family}, resampling {made.resampling}: trained on "
        f"{made.training_rows:,} {_of_when(ingested)} "
        f"({made.training_attrited_share:.1%} of them left), calibrated on "
        f"{made.calibration_rows:,}, judged on {decision.holdout_rows:,} of "
        f"{report.holdout_rows:,} held out.\n"
    )
    yield from _figures(decision, report)
    rival = "no champion" if decision.champion is None else f"version {decision.champion}"
    yield f"\n**The gate {OUTCOMES[decision.outcome]}**, against {rival}:\n"
    yield from (f"- {reason}" for reason in decision.reasons)
    yield f"\n{' · '.join(_links(run, page))}"


def _figures(decision: Decision, report: Evaluation) -> Iterator[str]:
    """What it reaches on the hold-out, and the champion where there is one.

    A list: MLflow's pages set the cells of a table without a gap.
    """
    own, rival = decision.challenger_metrics or report.metrics, decision.champion_metrics
    early = decision.early_warning
    for name in SHOWN_EARLY if early else SHOWN:
        beside = "" if rival is None else f" (version {decision.champion}: {rival[name]:.4f})"
        yield f"- {METRIC_NAMES[name]} {own[name]:.4f}{beside}"
    if decision.gain is not None and decision.gain_interval is not None:
        low, high = decision.gain_interval
        yield f"- gain in ROC-AUC {decision.gain:+.4f}, interval {low:+.4f} to {high:+.4f}"
    if decision.champion_age_days is not None:
        yield f"- version {decision.champion} learned {decision.champion_age_days:.1f} days earlier"
    if early:
        yield from early_figures(early, decision.champion)
    yield f"- share of leavers on the hold-out {decision.holdout_attrited_share:.1%}"
    yield from (f"- {fairness_text(each)}" for each in decision.fairness)
    if decision.strongest_feature is not None:
        alone = f"ROC-AUC {decision.strongest_feature_auc:.4f}"
        yield f"- strongest feature by itself: {decision.strongest_feature}, {alone}"


def _of_when(ingested: Ingested) -> str:
    """What a row is, and of which day."""
    months = ingested.months
    if months is None:
        return f"customers as of {ingested.snapshot_at[:10]}"
    return f"rows of {len(months.training)} months, {months.training[0]} to {months.training[-1]}"


def _links(run: TrainingRun, page: str) -> Iterator[str]:
    yield f"[gate decision]({page}/artifacts/{GATE_FILE})"
    yield f"[model card]({page}/artifacts/{CARD_FILE})"
    yield f"[training run]({page})"
    report = run.trigger.get("report_uri")
    title = "drift report that started it" if report else "drift since then"
    yield f"[{title}]({drift_report_page(run.dashboard_url, report or '')})"
