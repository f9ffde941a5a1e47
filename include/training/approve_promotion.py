"""Task `approve_promotion`: what a person is asked before a candidate goes into production.

Asked are decisions that the gate leaves to a person, and with `promotion: manual` those that it
accepts. An answer counts for the decision that it was shown, and for no other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from include.champion import promotion, versions
from include.champion.gate_decision import Decision
from include.documents import parse_document
from include.params import Params
from include.training.evaluate_model import TASK, Evaluated, Lineage, decision_against
from include.training.record import description
from include.training.run import TrainingRun


@dataclass(frozen=True)
class Question:
    """What Airflow's page of required actions shows; the body is Markdown."""

    subject: str
    body: str
    decided_at: datetime  # by the gate, what is shown


@dataclass(frozen=True)
class Approval:
    """What a person answered, or the deadline in their stead, on the decision of one moment."""

    approved: bool
    who: str
    why: str
    answered_at: datetime
    decided_at: datetime  # the gate's decision that was shown

    @property
    def told(self) -> str:
        """The answer in a few words, for the pointer and the log."""
        done = "approved" if self.approved else "rejected"
        return f"{done} by {self.who}" + (f": {self.why}" if self.why else "")

    @property
    def tags(self) -> dict[str, str]:
        """What the registry keeps of it."""
        return {
            "approval": "approved" if self.approved else "rejected",
            "approval_by": self.who,
            "approval_reason": self.why or "none given",
            "approval_at": self.answered_at.isoformat(),
        }

    def allows(self, decision: Decision) -> bool:
        """Whether it lets this decision's candidate into production."""
        return self.approved and self.decided_at == decision.decided_at


def asks_person(params: Params, decision: Decision) -> bool:
    """Whether a decision is acted on only when a person approves."""
    if decision.outcome == "accepted":
        return params.promotion == "manual"
    return decision.outcome == "needs_person"


def approve_promotion(run: TrainingRun, lineage: Lineage, evaluated: Evaluated) -> Question | None:
    """What to ask a person; None where the gate has decided alone.

    A champion that has moved since is judged against first, so that nobody answers on old figures.
    """
    judged = parse_document(Decision, run.read(evaluated.gate), evaluated.gate)
    if not asks_person(run.params, judged):
        return None
    production = promotion.read_production(run.store, run.registry)
    decision = decision_against(run, lineage, evaluated, production)
    if not asks_person(run.params, decision):
        return None
    rival = f"version {decision.champion}" if decision.champion else "no champion"
    apart = decision.champion and decision.challenger_metrics and not decision.champion_metrics
    how = "not compared with" if apart else "judged against"
    asked = f"Put candidate {decision.challenger} into production? It was {how} {rival}"
    body = "\n".join(_body(run, lineage, decision))
    return Question(asked, body, decided_at=decision.decided_at)


def reject(run: TrainingRun, lineage: Lineage, approval: Approval) -> None:
    """Say in the registry who passed the candidate over, and close the run: it did its work."""
    run_id = lineage.ingested.mlflow_run_id
    run.registry.judge(lineage.trained.candidate, "rejected", approval.tags)
    run.registry.log(run_id, tags=approval.tags)
    run.registry.finish(run_id, succeeded=True)


def _body(run: TrainingRun, lineage: Lineage, decision: Decision) -> Iterator[str]:
    stays = f"version {decision.champion} in production"
    yield (
        f"This training was started by: {run.trigger.get('trigger_reason') or 'training'}. "
        f"**Approve** puts candidate {decision.challenger} into production. **Reject** leaves "
        f"{stays if decision.champion else 'production empty'}.\n"
    )
    key = run.key(TASK, versions.EVALUATION_FILE)
    report = parse_document(versions.Evaluation, run.read(key), key)
    page = f"{run.mlflow_url.rstrip('/')}/{run.registry.run_page(lineage.ingested.mlflow_run_id)}"
    yield from description(run, lineage, decision, report, page=page)
    yield f"· [page Model of the dashboard]({run.dashboard_url.rstrip('/')}/model)"
