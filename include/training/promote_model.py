"""Task `promote_model`: act on the decision, the gate's or a person's; the pointer moves last."""

import logging
from dataclasses import dataclass

from include.champion import promotion, versions
from include.champion.gate_decision import Decision
from include.champion.promotion import Production
from include.champion.versions import Manifest
from include.documents import parse_document
from include.errors import NeedsPerson, ObjectChanged
from include.handover import now
from include.training.approve_promotion import Approval, asks_person
from include.training.evaluate_model import TASK, Evaluated, Lineage, decision_against
from include.training.run import TrainingRun

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
    run: TrainingRun, lineage: Lineage, evaluated: Evaluated, approved: Approval | None
) -> Promoted:
    """Act on the decision; who loses the race for the pointer decides again against the winner.

    Raises NeedsPerson where nobody has approved what needs a person: the decision may be newer than
    the one that was shown.
    """
    for _ in range(PROMOTION_ATTEMPTS):
        production = promotion.read_production(run.store, run.registry)
        if _mine(run, production, lineage):
            return _already(run, production, lineage, approved)
        decision = decision_against(run, lineage, evaluated, production)
        try:
            return _act(run, lineage, evaluated, decision, production, approved)
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
    approved: Approval | None,
) -> Promoted:
    run_id, reasons = lineage.ingested.mlflow_run_id, "; ".join(decision.reasons)
    promotion.repair_alias(run.registry, production)
    run.registry.log(run_id, tags={"gate": decision.outcome, "gate_reasons": reasons})
    if decision.outcome == "rejected":
        run.registry.judge(lineage.trained.candidate, "rejected")
        run.registry.finish(run_id, succeeded=True)
        return Promoted("rejected", None, moved=False, message=f"not promoted: {reasons}")
    if not asks_person(run.params, decision):
        approved = None
    elif approved is None or not approved.allows(decision):
        run.registry.finish(run_id, succeeded=False)
        raise NeedsPerson(_why_not(decision, approved))
    version = _publish(run, lineage, evaluated, approved)
    promotion.put_in_production(
        run.store,
        run.registry,
        version,
        production=production,
        who=_who(run, approved),
        reason=_reason(run, reasons, approved),
        now=now(),
    )
    run.registry.finish(run_id, succeeded=True)
    return Promoted("accepted", version, moved=True, message=f"champion is {version}")


def _publish(
    run: TrainingRun, lineage: Lineage, evaluated: Evaluated, approved: Approval | None
) -> str:
    """The candidate's version in production, in the registry and whole in the store."""
    tags = approved.tags if approved else {}
    run.registry.judge(lineage.trained.candidate, "approved", tags)
    version = run.registry.copy_to_production(lineage.trained.candidate)
    run.registry.tag_production_version(version, tags)  # a copy that was there already, too
    draft = parse_document(Manifest, run.read(evaluated.draft), evaluated.draft)
    files = {name: run.read(run.key(TASK, name)) for name in draft.files}
    promotion.publish(run.store, draft, files, version=version)
    return version


def _why_not(decision: Decision, approved: Approval | None) -> str:
    reasons = "; ".join(decision.reasons)
    rival = f"version {decision.champion}" if decision.champion else "no champion"
    told = f"it was {approved.told}" if approved else "nobody has answered"
    if approved and approved.approved:
        told += ", on another decision: the champion has moved since"
    return (
        f"a person must approve candidate {decision.challenger} against {rival} ({reasons}), and "
        f"{told}. Production stays as it is. Clear approve_promotion to be asked"
    )


def _who(run: TrainingRun, approved: Approval | None) -> str:
    """Who moves the champion: a person, or the run where the gate decides alone."""
    return approved.who if approved else f"training run {run.dag_run_id}"


def _reason(run: TrainingRun, reasons: str, approved: Approval | None) -> str:
    """The pointer's reason."""
    found = f"{run.trigger.get('trigger_reason') or 'training'}: {reasons}"
    return f"{found}; {approved.told}" if approved else found


def _mine(run: TrainingRun, production: Production, lineage: Lineage) -> bool:
    """Whether this very candidate is in production: a run has several if its data was corrected."""
    if production.pointer is None or production.pointer.run_id != lineage.ingested.mlflow_run_id:
        return False
    manifest = versions.read_manifest(run.store, production.pointer)
    return manifest.candidate_version == lineage.trained.candidate


def _already(
    run: TrainingRun, production: Production, lineage: Lineage, approved: Approval | None
) -> Promoted:
    """An earlier try of this task was killed behind the pointer: history and alias may lag."""
    pointer = production.pointer
    if approved and (pointer is None or approved.told not in pointer.reason):
        approved = None  # the gate decided alone in the end
    promotion.finish_move(run.store, run.registry, production, who=_who(run, approved))
    run.registry.finish(lineage.ingested.mlflow_run_id, succeeded=True)
    message = f"champion is {production.version}"
    return Promoted("accepted", production.version, moved=True, message=message)
