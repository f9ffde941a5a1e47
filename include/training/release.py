"""The last two stages of a training run: the candidate is judged, and perhaps promoted."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from include.champion import promotion, versions
from include.champion.calibration import Calibration
from include.champion.onnx_scorer import Scorer
from include.champion.promotion import Production
from include.champion.versions import Manifest, SelfCheck
from include.documents import Document, parse_document
from include.errors import NeedsPerson, ObjectChanged
from include.features import engineered_for
from include.handover import frame_bytes, now
from include.training import evaluation, gate
from include.training.model_card import model_card
from include.training.plots import evaluation_figures
from include.training.run import TrainingRun
from include.training.stages import Ingested, Trained, Transformed, Validated

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

TASK = "evaluate_model"
GATE_FILE = "gate.json"
DRAFT_FILE = "draft_manifest.json"
DRAFT_VERSION = "draft"
PROMOTION_ATTEMPTS = 3


class Evaluation(Document):
    """`evaluation.json`: how good a version is on its hold-out, for the dashboard."""

    threshold: float
    holdout_rows: int
    metrics: dict[str, float]
    curves: dict[str, Any]
    slices: list[dict[str, Any]]
    importance: dict[str, float] = Field(description="share of the trees' total gain")


@dataclass(frozen=True)
class History:
    """What the stages before handed on."""

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


@dataclass(frozen=True)
class Promoted:
    """How the run ended: `version` is in production only where `moved`."""

    outcome: str
    version: str | None
    moved: bool
    message: str


def evaluate_model(run: TrainingRun, history: History) -> Evaluated:
    """Judge the candidate against what is in production now; write the decision and the files."""
    production = promotion.read_production(run.store, run.registry)
    frame = run.read_frame(history.validated.customers)
    fitted = run.read_json(history.trained.fitted)
    scorer = Scorer(run.read(history.trained.model))
    columns = run.contract.chosen(run.params.model.columns)
    everyone = scorer.score(run.contract.matrix(frame, columns))
    decision = _decide(run, production, frame, everyone, history.trained.candidate)
    held = run.params.split.sides(frame[run.contract.key.name].tolist()) == "holdout"
    report = _report(run, frame[held], everyone[held], fitted["importance"])
    files = {
        versions.MODEL_FILE: run.read(history.trained.model),
        versions.TREES_FILE: run.read(history.trained.trees),
        versions.REFERENCE_FILE: frame_bytes(_reference(run, frame, everyone)),
        versions.SELF_CHECK_FILE: _self_check(columns, fitted["made_up_rows"], scorer).to_bytes(),
        versions.EVALUATION_FILE: report.to_bytes(),
        versions.CARD_FILE: _card(run, history, report).encode(),
    }
    for name, data in files.items():
        run.write(TASK, name, data)
    draft = _draft(run, history, decision, report, fitted, files)
    key = run.write(TASK, GATE_FILE, decision.to_bytes())
    _log(run, history.ingested.mlflow_run_id, decision, report, files)
    logger.info("gate: %s: %s", decision.outcome, "; ".join(decision.reasons))
    return Evaluated(key, run.write(TASK, DRAFT_FILE, draft.to_bytes()), decision.outcome)


def promote_model(run: TrainingRun, history: History, evaluated: Evaluated) -> Promoted:
    """Act on the decision; who loses the race for the pointer decides again against the winner.

    Raises NeedsPerson when the gate will not decide alone.
    """
    for _ in range(PROMOTION_ATTEMPTS):
        production = promotion.read_production(run.store, run.registry)
        if _mine(production, history):
            return _already(run, production, history)
        decision = parse_document(gate.Decision, run.read(evaluated.gate), evaluated.gate)
        if decision.champion != production.version:
            logger.info("production is %s now: deciding again", production.version)
            evaluated = evaluate_model(run, history)
            continue
        try:
            return _act(run, history, evaluated, decision, production)
        except ObjectChanged:
            logger.info("the champion moved while this run promoted: deciding again")
    raise ObjectChanged(
        f"the champion pointer moved {PROMOTION_ATTEMPTS} times while this run tried to promote: "
        "see who else promotes, then clear this task"
    )


def _act(
    run: TrainingRun,
    history: History,
    evaluated: Evaluated,
    decision: gate.Decision,
    production: Production,
) -> Promoted:
    candidate, run_id = history.trained.candidate, history.ingested.mlflow_run_id
    accepted = decision.outcome == "accepted"
    reasons = "; ".join(decision.reasons)
    promotion.repair_alias(run.registry, production)
    run.registry.judge(candidate, "approved" if accepted else "rejected")
    run.registry.log(run_id, tags={"gate": decision.outcome, "gate_reasons": reasons})
    if decision.outcome == "needs_person":
        run.registry.finish(run_id, succeeded=False)
        raise NeedsPerson(
            f"the gate will not decide alone: {reasons}. Production stays at "
            f"{production.version or 'no champion'}; all numbers are in {evaluated.gate}"
        )
    if not accepted:
        run.registry.finish(run_id, succeeded=True)
        return Promoted(decision.outcome, None, moved=False, message=f"not promoted: {reasons}")
    version = run.registry.copy_to_production(candidate)
    draft = parse_document(Manifest, run.read(evaluated.draft), evaluated.draft)
    files = {name: run.read(run.key(TASK, name)) for name in draft.files}
    promotion.publish(run.store, draft, files, version=version)
    if run.params.promotion == "manual":
        return _awaiting_person(run, version, run_id)
    reason = f"{run.trigger.get('trigger_reason') or 'training'}: {reasons}"
    promotion.put_in_production(
        run.store, run.registry, version, production=production, reason=reason, now=now()
    )
    run.registry.finish(run_id, succeeded=True)
    return Promoted(decision.outcome, version, moved=True, message=f"champion is {version}")


def _mine(production: Production, history: History) -> bool:
    pointer = production.pointer
    return pointer is not None and pointer.run_id == history.ingested.mlflow_run_id


def _already(run: TrainingRun, production: Production, history: History) -> Promoted:
    """An earlier try of this task was killed behind the pointer: only the alias may lag."""
    promotion.repair_alias(run.registry, production)
    run.registry.finish(history.ingested.mlflow_run_id, succeeded=True)
    message = f"champion is {production.version}"
    return Promoted("accepted", production.version, moved=True, message=message)


def _awaiting_person(run: TrainingRun, version: str, run_id: str) -> Promoted:
    message = (
        f"promotion is manual: version {version} is approved and stored, and not in production. "
        f'Look at its model card, then: make promote VERSION={version} REASON="…"'
    )
    logger.warning(message)
    run.registry.finish(run_id, succeeded=True)
    return Promoted("accepted", version, moved=False, message=message)


def _decide(
    run: TrainingRun,
    production: Production,
    frame: pd.DataFrame,
    everyone: "NDArray[np.float64]",
    candidate: str,
) -> gate.Decision:
    """Judge on rows that neither model was trained on, even where the split was changed since."""
    keys = frame[run.contract.key.name].tolist()
    judges = run.params.split.sides(keys) == "holdout"
    rival = None
    if production.pointer is not None:
        manifest = versions.read_manifest(run.store, production.pointer)
        judges &= manifest.split.sides(keys) == "holdout"
        rival = _answers_of(run, manifest, frame[judges])
    return gate.decide(
        _holdout(run, frame[judges]),
        gate.Contestant(candidate, everyone[judges], run.params.model.threshold),
        rival,
        rules=run.params.gate,
        attrited_share=run.contract.attrited_share,
        now=now(),
    )


def _answers_of(run: TrainingRun, manifest: Manifest, frame: pd.DataFrame) -> gate.Contestant:
    files = versions.read_files(run.store, manifest, [versions.MODEL_FILE])
    matrix = manifest.contract.matrix(frame, manifest.columns)
    answers = Scorer(files[versions.MODEL_FILE]).score(matrix)
    return gate.Contestant(manifest.version, answers, manifest.threshold)


def _holdout(run: TrainingRun, frame: pd.DataFrame) -> gate.Holdout:
    matrix = run.contract.matrix(frame, run.contract.feature_names)
    values = dict(zip(run.contract.feature_names, matrix.T, strict=True))
    ordinal = {c.name for c in run.contract.features if c.categories}
    return gate.Holdout(
        labels=run.contract.labels(frame),
        slices=evaluation.slices(frame),
        numeric={name: column for name, column in values.items() if name not in ordinal},
        categorical={name: column for name, column in values.items() if name in ordinal},
    )


def _report(
    run: TrainingRun,
    frame: pd.DataFrame,
    answers: "NDArray[np.float64]",
    importance: Mapping[str, float],
) -> Evaluation:
    target, threshold = run.contract.labels(frame), run.params.model.threshold
    parts = evaluation.slices(frame)
    return Evaluation(
        threshold=threshold,
        holdout_rows=len(frame),
        metrics=evaluation.scores(target, answers, threshold=threshold),
        curves=evaluation.curves(target, answers, threshold=threshold),
        slices=evaluation.slice_scores(target, answers, parts, threshold=threshold),
        importance=dict(importance),
    )


def _reference(
    run: TrainingRun, frame: pd.DataFrame, answers: "NDArray[np.float64]"
) -> pd.DataFrame:
    """What drift is measured against: the rows without their keys, their side and their score."""
    sides = run.params.split.sides(frame[run.contract.key.name].tolist())
    kept = frame[[*run.contract.feature_names, run.contract.target.name]]
    return kept.assign(split=sides, probability=answers)


def _self_check(columns: tuple[str, ...], rows: list[list[float]], scorer: Scorer) -> SelfCheck:
    answers = scorer.score(np.array(rows, dtype=np.float64))
    return SelfCheck(
        columns=columns,
        rows=tuple(tuple(row) for row in rows),
        probabilities=tuple(answers.tolist()),
    )


def _card(run: TrainingRun, history: History, report: Evaluation) -> str:
    """The model card; without the decision, which a race for the pointer can change."""
    columns = run.contract.chosen(run.params.model.columns)
    return model_card(
        family=run.params.model.family,
        snapshot_at=history.ingested.snapshot_at,
        trained_rows={
            "for training": history.transformed.training_rows,
            "for calibration": history.transformed.calibration_rows,
            "held out": history.transformed.holdout_rows,
        },
        attrited_share=history.transformed.training_attrited_share,
        columns=columns,
        engineered=[feature.name for feature in engineered_for(columns)],
        resampling=run.params.model.resampling,
        threshold=run.params.model.threshold,
        metrics=report.metrics,
        slices=report.slices,
    )


def _draft(
    run: TrainingRun,
    history: History,
    decision: gate.Decision,
    report: Evaluation,
    fitted: Mapping[str, Any],
    files: Mapping[str, bytes],
) -> Manifest:
    """The manifest with everything but its version, which only the registry can give."""
    columns = run.contract.chosen(run.params.model.columns)
    scaler = run.read_json(history.transformed.scaler)
    return Manifest(
        version=DRAFT_VERSION,
        created_at=decision.decided_at,
        snapshot_at=datetime.fromisoformat(history.ingested.snapshot_at),
        run_id=history.ingested.mlflow_run_id,
        dag_run_id=run.dag_run_id,
        candidate_version=history.trained.candidate,
        model_family=run.params.model.family,
        columns=columns,
        engineered=tuple(feature.name for feature in engineered_for(columns)),
        threshold=run.params.model.threshold,
        calibration=Calibration(**fitted["calibration"]),
        scaler_mean=tuple(scaler["mean"]),
        scaler_scale=tuple(scaler["scale"]),
        resampling=run.params.model.resampling,
        split=run.params.split,
        training_rows=history.transformed.training_rows,
        training_attrited_share=history.transformed.training_attrited_share,
        metrics=dict(report.metrics),
        gate=decision.model_dump(mode="json"),
        trigger=dict(run.trigger),
        data_sha256=history.validated.data_sha256,
        params_sha256=run.params.sha256(),
        git_commit=run.git_commit,
        contract=run.contract,
        files=versions.file_entries(files),
    )


def _log(
    run: TrainingRun,
    run_id: str,
    decision: gate.Decision,
    report: Evaluation,
    files: Mapping[str, bytes],
) -> None:
    judged = {f"champion_{k}": v for k, v in (decision.champion_metrics or {}).items()}
    gain = {} if decision.gain is None else {"gain": decision.gain}
    run.registry.log(run_id, metrics={**report.metrics, **judged, **gain})
    figures = evaluation_figures(report.curves, report.metrics, report.importance)
    run.registry.log_figures(run_id, figures)
    run.registry.log_text(run_id, decision.to_bytes().decode(), GATE_FILE)
    run.registry.log_text(run_id, files[versions.CARD_FILE].decode(), versions.CARD_FILE)
    run.registry.log_text(
        run_id, files[versions.EVALUATION_FILE].decode(), versions.EVALUATION_FILE
    )
