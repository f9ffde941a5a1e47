"""Task `promote_model`: act on the gate's decision; files first, the pointer last."""

import logging
from dataclasses import dataclass

from include.champion import promotion, versions
from include.champion.gate_decision import Decision
from include.champion.promotion import Production
from include.champion.versions import Manifest
from include.documents import parse_document
from include.errors import NeedsPerson, ObjectChanged
from include.handover import now
from include.training.evaluate_model import TASK, Evaluated, Lineage, judge
from include.training.ingest_data import Ingested
from include.training.run import TrainingRun
from include.training.train_model import Trained
from include.training.transform_data import Transformed
from include.training.validate_data import Validated

logger = logging.getLogger(__name__)

PROMOTION_ATTEMPTS = 3


@dataclass(frozen=True)
class Promoted:
    """How the run ended: `version` is in production only where `moved`."""

    outcome: str
    version: str | None
    moved: bool
    message: str


def promote_model(
    run: TrainingRun,
    ingested: Ingested,
    validated: Validated,
    transformed: Transformed,
    trained: Trained,
    evaluated: Evaluated,
) -> Promoted:
    """Act on the decision; who loses the race for the pointer decides again against the winner.

    Raises NeedsPerson when the gate will not decide alone.
    """
    lineage = Lineage(ingested, validated, transformed, trained)
    for _ in range(PROMOTION_ATTEMPTS):
        production = promotion.read_production(run.store, run.registry)
        if _mine(run, production, lineage):
            return _already(run, production, lineage)
        decision = parse_document(Decision, run.read(evaluated.gate), evaluated.gate)
        wanted = (trained.candidate, production.version)
        if (decision.challenger, decision.champion) != wanted:
            logger.info("it is candidate %s against version %s now: deciding again", *wanted)
            evaluated = judge(run, lineage, production)
            continue
        try:
            return _act(run, lineage, evaluated, decision, production)
        except ObjectChanged:
            logger.info("the champion moved while this run promoted: deciding again")
    raise ObjectChanged(
        f"the champion pointer moved {PROMOTION_ATTEMPTS} times while this run tried to promote: "
        "see who else promotes, then clear this task"
    )


def _act(
    run: TrainingRun,
    lineage: Lineage,
    evaluated: Evaluated,
    decision: Decision,
    production: Production,
) -> Promoted:
    candidate, run_id = lineage.trained.candidate, lineage.ingested.mlflow_run_id
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
        run.store,
        run.registry,
        version,
        production=production,
        who=who(run),
        reason=reason,
        now=now(),
    )
    run.registry.finish(run_id, succeeded=True)
    return Promoted(decision.outcome, version, moved=True, message=f"champion is {version}")


def _mine(run: TrainingRun, production: Production, lineage: Lineage) -> bool:
    """Whether this very candidate is in production: a run has several if its data was corrected."""
    if production.pointer is None or production.pointer.run_id != lineage.ingested.mlflow_run_id:
        return False
    manifest = versions.read_manifest(run.store, production.pointer)
    return manifest.candidate_version == lineage.trained.candidate


def _already(run: TrainingRun, production: Production, lineage: Lineage) -> Promoted:
    """An earlier try of this task was killed behind the pointer: history and alias may lag."""
    promotion.finish_move(run.store, run.registry, production, who=who(run))
    run.registry.finish(lineage.ingested.mlflow_run_id, succeeded=True)
    message = f"champion is {production.version}"
    return Promoted("accepted", production.version, moved=True, message=message)


def who(run: TrainingRun) -> str:
    """Who moves the champion where the gate decides alone."""
    return f"training run {run.dag_run_id}"


def _awaiting_person(run: TrainingRun, version: str, run_id: str) -> Promoted:
    message = (
        f"promotion is manual: version {version} is approved and stored, and not in production. "
        f'Look at its model card, then: make promote VERSION={version} REASON="…"'
    )
    logger.warning(message)
    run.registry.finish(run_id, succeeded=True)
    return Promoted("accepted", version, moved=False, message=message)
