"""Task `evaluate_model`: the candidate judged against what is in production, and its files."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.champion import promotion, versions
from include.champion.calibration import Calibration
from include.champion.gate_decision import GATE_FILE, Decision
from include.champion.onnx_scorer import Scorer
from include.champion.promotion import Production
from include.champion.versions import Evaluation, Manifest, SelfCheck
from include.documents import parse_document
from include.features import engineered_for
from include.handover import frame_bytes, now
from include.history.clock import AS_OF, LEFT_AFTER, OLDER
from include.history.lead_times import CHAMPION, MODEL, listed_rows, on_list
from include.target import Target
from include.training import evaluation, gate
from include.training.early_card import early_metrics
from include.training.early_guards import Apart
from include.training.early_months import Months, band, read_hindsight, read_months
from include.training.fairness import compare_groups, fairness_metrics
from include.training.fit import SPLIT
from include.training.ingest_data import Ingested
from include.training.model_card import model_card
from include.training.plots import evaluation_figures
from include.training.record import keep_record
from include.training.reference_sample import sampled
from include.training.rival import Rival, read_rival
from include.training.run import TrainingRun
from include.training.train_model import Trained
from include.training.transform_data import Transformed
from include.training.validate_data import Validated

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

TASK = "evaluate_model"
DRAFT_FILE = "draft_manifest.json"
DRAFT_VERSION = "draft"
ANSWER = "probability"  # the candidate's, in reference.parquet


@dataclass(frozen=True)
class Lineage:
    """Where a candidate comes from: what the tasks before handed on."""

    ingested: Ingested
    validated: Validated
    transformed: Transformed
    trained: Trained


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate_model` hands on."""

    gate: str
    draft: str
    outcome: str


def evaluate_model(run: TrainingRun, lineage: Lineage) -> Evaluated:
    """Judge the candidate against what is in production now; write the decision and the files."""
    return judge(run, lineage, promotion.read_production(run.store, run.registry))


def judge(run: TrainingRun, lineage: Lineage, production: Production) -> Evaluated:
    """Judge the candidate against `production`; write the decision and the files."""
    fitted = run.read_json(lineage.trained.fitted)
    scorer = Scorer(run.read(lineage.trained.model))
    holdout, reference = _scored(run, lineage, scorer)
    rival = read_rival(run, lineage.ingested.target, production)
    months = _months(run, lineage, holdout, scorer, rival)
    report = _report(run, lineage.ingested.target, holdout, fitted["importance"], months)
    decision = _decide(run, lineage, holdout, rival, months, report)
    # Without the decision, which a race for the pointer can change.
    card = model_card(
        run, lineage.ingested, lineage.transformed, report, reference_rows=len(reference)
    )
    files = {
        versions.MODEL_FILE: run.read(lineage.trained.model),
        versions.TREES_FILE: run.read(lineage.trained.trees),
        versions.REFERENCE_FILE: frame_bytes(reference),
        versions.SELF_CHECK_FILE: _self_check(run, fitted["made_up_rows"], scorer).to_bytes(),
        versions.EVALUATION_FILE: report.to_bytes(),
        versions.CARD_FILE: card.encode(),
    }
    for name, data in files.items():
        run.write(TASK, name, data)
    draft = _draft(run, lineage, decision, report, fitted, files, len(reference))
    key = run.write(TASK, GATE_FILE, decision.to_bytes())
    _log(run, lineage.ingested.mlflow_run_id, decision, report, files)
    keep_record(run, lineage, decision, report)
    logger.info("gate: %s: %s", decision.outcome, "; ".join(decision.reasons))
    return Evaluated(key, run.write(TASK, DRAFT_FILE, draft.to_bytes()), decision.outcome)


def decision_against(
    run: TrainingRun, lineage: Lineage, evaluated: Evaluated, production: Production
) -> Decision:
    """The decision on the candidate against what is in production now, made anew where it moved."""
    decision = parse_document(Decision, run.read(evaluated.gate), evaluated.gate)
    wanted = (lineage.trained.candidate, production.version)
    if (decision.challenger, decision.champion) == wanted:
        return decision
    logger.info("it is candidate %s against version %s now: deciding again", *wanted)
    key = judge(run, lineage, production).gate
    return parse_document(Decision, run.read(key), key)


def _scored(
    run: TrainingRun, lineage: Lineage, scorer: Scorer
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The hold-out, and what drift is measured against, with the candidate's answers.

    Nobody else is scored, and the table is never in memory as a whole. The reference has no keys.
    """
    contract, sides = run.contract, lineage.transformed
    kept = [*contract.feature_names, contract.target.name, SPLIT]
    clock = [AS_OF, LEFT_AFTER] if lineage.ingested.target.is_early_warning else []
    rows = sides.training_rows + sides.calibration_rows + sides.holdout_rows
    held, referred = [], []
    for part in run.read_batches(sides.customers, columns=[contract.key.name, *kept, *clock]):
        chosen = sampled(
            part[contract.key.name], rows=rows, rows_max=run.params.drift.reference_rows_max
        )
        chosen &= (part[SPLIT] != OLDER).to_numpy()
        holdout = (part[SPLIT] == "holdout").to_numpy()
        some = part[holdout | chosen]
        answered = some.assign(**{ANSWER: scorer.score(contract.matrix(some, run.columns))})
        held.append(answered[answered[SPLIT] == "holdout"])
        referred.append(answered.loc[chosen[holdout | chosen], [*kept, ANSWER]])
    return pd.concat(held, ignore_index=True), pd.concat(referred, ignore_index=True)


def _months(
    run: TrainingRun,
    lineage: Lineage,
    holdout: pd.DataFrame,
    scorer: Scorer,
    rival: Rival | Apart | None,
) -> Months | None:
    """The months that judge early warning; of a state there are none."""
    if not lineage.ingested.target.is_early_warning:
        return None

    def rankings(frame: pd.DataFrame) -> "dict[str, NDArray[np.float64]]":
        found = {MODEL: scorer.score(run.contract.matrix(frame, run.columns))}
        if isinstance(rival, Rival):
            found[CHAMPION] = _answers_of(rival, run, lineage, frame)
        return found

    customers, target = lineage.transformed.customers, lineage.ingested.target
    return read_months(run, customers, holdout, rankings, target)


def _decide(
    run: TrainingRun,
    lineage: Lineage,
    holdout: pd.DataFrame,
    rival: Rival | Apart | None,
    months: Months | None,
    report: Evaluation,
) -> Decision:
    """Judge on rows that neither model was trained on, and that the champion's contract takes.

    Fairness is the candidate's own affair, so all hold-out rows say it: the report's.
    """
    judges, champion = np.ones(len(holdout), dtype=np.bool_), None
    if isinstance(rival, Rival):
        theirs = _answers_of(rival, run, lineage, holdout)
        judges = ~np.isnan(theirs)
        manifest = rival.manifest
        age = datetime.fromisoformat(lineage.ingested.snapshot_at) - manifest.snapshot_at
        champion = gate.Contestant(
            manifest.version, theirs[judges], manifest.threshold, age / timedelta(days=1)
        )
    answers = holdout[ANSWER].to_numpy()[judges]
    target = lineage.ingested.target
    return gate.decide(
        _holdout(run, holdout[judges]),
        gate.Contestant(lineage.trained.candidate, answers, run.params.model.threshold),
        champion,
        rules=run.params.gate,
        attrited_share=band(run.contract.attrited_share, target),
        now=now(),
        target=target,
        early=months.judged(report.importance, read_hindsight(run, holdout)) if months else None,
        apart=rival if isinstance(rival, Apart) else None,
        doubts=(
            *lineage.ingested.doubts,
            *_copies(run, lineage.transformed),
            *_constant_columns(run, holdout),
        ),
        fairness=report.fairness,
    )


def _copies(run: TrainingRun, made: Transformed) -> Iterator[str]:
    """What a person is told where the model learned from the very records that judge it."""
    share, allowed = made.copied_rows / made.holdout_rows, run.params.validation.rejected_share_max
    if share > allowed:
        yield (
            f"{share:.1%} of the hold-out customers have the very record of a training customer "
            f"of another number, allowed are {allowed:.1%}: the figures flatter, so find out "
            "whether customers are in the table under two numbers"
        )


def _constant_columns(run: TrainingRun, holdout: pd.DataFrame) -> Iterator[str]:
    """What a person is told of columns of records that the model reads and that say nothing."""
    for name in run.columns:
        if name not in run.contract.defaults and holdout[name].nunique() == 1:
            yield (
                f"{name} is {holdout[name].iloc[0]} for all {len(holdout)} hold-out customers, "
                "expected are values that differ: find out how it is filled, or leave it out of "
                "model.columns in params.yaml"
            )


def _answers_of(
    rival: Rival, run: TrainingRun, lineage: Lineage, frame: pd.DataFrame
) -> "NDArray[np.float64]":
    return rival.answers(frame, key=run.contract.key.name, split=lineage.transformed.split)


def _holdout(run: TrainingRun, frame: pd.DataFrame) -> gate.Holdout:
    matrix = run.contract.matrix(frame, run.contract.feature_names)
    values = dict(zip(run.contract.feature_names, matrix.T, strict=True))
    ordinal = {c.name for c in run.contract.features if c.categories}
    return gate.Holdout(
        labels=run.contract.labels(frame),
        slices=evaluation.slices(frame, run.params.gate.fairness.columns),
        numeric={name: column for name, column in values.items() if name not in ordinal},
        categorical={name: column for name, column in values.items() if name in ordinal},
    )


def _report(
    run: TrainingRun,
    target: Target,
    frame: pd.DataFrame,
    importance: Mapping[str, float],
    months: Months | None,
) -> Evaluation:
    labels, threshold = run.contract.labels(frame), run.params.model.threshold
    answers, rules = frame[ANSWER].to_numpy(), run.params.gate
    found = evaluation.scores(labels, answers, threshold=threshold)
    if 2 <= labels.sum() <= len(labels) - 2:  # fewer have no variance
        _, (low, high) = gate.auc_interval(labels, answers, confidence=rules.confidence)
        found |= {"roc_auc_low": low, "roc_auc_high": high}
    slices = evaluation.slice_scores(
        labels,
        answers,
        evaluation.slices(frame, rules.fairness.columns),
        threshold=threshold,
        selected=_selected(run, target, answers),
    )
    return Evaluation(
        threshold=threshold,
        holdout_rows=len(frame),
        metrics=found,
        curves=evaluation.curves(labels, answers, threshold=threshold),
        slices=slices,
        importance=dict(importance),
        early_warning=months.report() if months else None,
        fairness=compare_groups(slices, rules, rules.fairness.columns),
    )


def _selected(
    run: TrainingRun, target: Target, answers: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    """How far each customer is selected: on the list of a horizon, or at a state's threshold."""
    if target.is_early_warning:
        return on_list(answers, listed_rows(len(answers), run.params.history.list_share))
    return (answers >= run.params.model.threshold).astype(np.float64)


def _self_check(run: TrainingRun, rows: list[list[float]], scorer: Scorer) -> SelfCheck:
    answers = scorer.score(np.array(rows, dtype=np.float64))
    return SelfCheck(
        columns=run.columns,
        rows=tuple(tuple(row) for row in rows),
        probabilities=tuple(answers.tolist()),
    )


def _draft(
    run: TrainingRun,
    lineage: Lineage,
    decision: Decision,
    report: Evaluation,
    fitted: Mapping[str, Any],
    files: Mapping[str, bytes],
    reference_rows: int,
) -> Manifest:
    """The manifest with everything but its version, which only the registry can give."""
    scaler = run.read_json(lineage.transformed.scaler)
    return Manifest(
        version=DRAFT_VERSION,
        created_at=decision.decided_at,
        snapshot_at=datetime.fromisoformat(lineage.ingested.snapshot_at),
        run_id=lineage.ingested.mlflow_run_id,
        dag_run_id=run.dag_run_id,
        candidate_version=lineage.trained.candidate,
        model_family=run.params.model.family,
        target=lineage.ingested.target,
        target_reason=lineage.ingested.target_reason,
        listed_customers=run.params.campaigns.listed_customers,
        columns=run.columns,
        engineered=tuple(feature.name for feature in engineered_for(run.columns)),
        threshold=run.params.model.threshold,
        calibration=Calibration(**fitted["calibration"]),
        scaler_mean=tuple(scaler["mean"]),
        scaler_scale=tuple(scaler["scale"]),
        resampling=lineage.transformed.resampling,
        class_weight=lineage.transformed.class_weight,
        balancing=run.params.model.balancing(lineage.transformed.training_rows),
        reference_rows=reference_rows,
        split=lineage.transformed.split,
        training_rows=lineage.transformed.training_rows,
        training_attrited_share=lineage.transformed.training_attrited_share,
        metrics=dict(report.metrics),
        gate=decision.model_dump(mode="json"),
        trigger=dict(run.trigger),
        data_sha256=lineage.validated.data_sha256,
        params_sha256=run.params.sha256(),
        git_commit=run.git_commit,
        contract=run.contract,
        files=versions.file_entries(files),
    )


def _log(
    run: TrainingRun,
    run_id: str,
    decision: Decision,
    report: Evaluation,
    files: Mapping[str, bytes],
) -> None:
    judged = {f"champion_{k}": v for k, v in (decision.champion_metrics or {}).items()}
    compared = {"gain": decision.gain, "champion_age_days": decision.champion_age_days}
    gain = {name: value for name, value in compared.items() if value is not None}
    early = early_metrics(report.early_warning) if report.early_warning else {}
    fair = fairness_metrics(report.fairness)
    run.registry.log(run_id, metrics={**report.metrics, **judged, **gain, **early, **fair})
    figures = evaluation_figures(report.curves, report.metrics, report.importance)
    run.registry.log_figures(run_id, figures)
    run.registry.log_text(run_id, decision.to_bytes().decode(), GATE_FILE)
    run.registry.log_text(run_id, files[versions.CARD_FILE].decode(), versions.CARD_FILE)
    run.registry.log_text(
        run_id, files[versions.EVALUATION_FILE].decode(), versions.EVALUATION_FILE
    )
