"""The operator of `approve_promotion`: Airflow's own page asks, and the answer is kept."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.hitl import HITLUser

from include.errors import ChurnError
from include.settings import load_settings
from include.tasks.limits import ended_by_force, task_limit
from include.tasks.training import WHY, count, open_run, training_task

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.training.approve_promotion import Approval

NOBODY = "nobody"  # who answered, where the time was up
WHY_CHARACTERS = 1000


class ApprovePromotion(ApprovalOperator):
    """Waits for a person where the decision needs one; else it is done at once.

    It waits in a state that holds no slot. Approved: `promote_model` goes on. Rejected, or no
    answer within CHURN_APPROVAL_HOURS: the candidate is tagged, `promote_model` is skipped, and the
    run ends well.
    """

    template_fields = (*ApprovalOperator.template_fields, "op_kwargs")

    def __init__(self, *, op_kwargs: Mapping[str, Any], **kwargs: Any) -> None:
        kwargs.pop("params", None)  # the DAG's own, which Airflow adds by itself at each level
        why = Param(
            "",  # for null Airflow's page shows the parameter's own definition
            type=["null", "string"],
            maxLength=WHY_CHARACTERS,
            title="Why",
            description="Kept with the champion's pointer, its history and the registry",
        )
        super().__init__(
            subject="Put the candidate into production?",
            defaults=self.REJECT,
            params={WHY: why},
            **kwargs,
        )
        self.op_kwargs = op_kwargs
        # Of asking and of keeping the answer each. Given above, it would limit the wait between.
        self.execution_timeout = task_limit()

    def execute(self, context: "Context") -> None:
        """Ask, and wait; or return, where the gate has decided alone."""
        question = training_task("approve_promotion")(**{**context, **self.op_kwargs})
        if question is None:
            self.log.info("the gate has decided alone: nobody is asked")
            return
        settings = load_settings()
        self.response_timeout = timedelta(hours=settings.approval_hours)
        until = datetime.now(UTC) + self.response_timeout
        self.subject = question["subject"]
        self.body = f"{question['body']}\n\nNo answer by {until:%Y-%m-%d %H:%M} UTC rejects it."
        self.assigned_users = [HITLUser(id=user, name=user) for user in settings.approvers]
        try:
            super().execute(context)
        except TaskAwaitingInput as waiting:  # `gate.json` may change before somebody answers
            waiting.method_name = "keep_answer"
            waiting.kwargs = {"decided_at": question["decided_at"]}
            raise

    def keep_answer(self, context: "Context", event: dict[str, Any], decided_at: str) -> Any:
        """Keep the answer to the decision of that moment; a rejection skips what follows."""
        from pydantic_core import to_jsonable_python

        approval = self._approval(event, decided_at)
        self.log.info("candidate %s", approval.told)
        if not approval.approved:
            with ended_by_force(self.execution_timeout):
                self._reject(context, approval)
            count("rejected")
        # Airflow checks only now what was answered, and a failed task would ask again.
        self.execute_complete(context, {**event, "params_input": {WHY: approval.why}})
        return to_jsonable_python(approval)

    def _approval(self, event: Mapping[str, Any], decided_at: str) -> "Approval":
        from include.training.approve_promotion import Approval

        user, why = event["responded_by_user"], (event["params_input"] or {}).get(WHY) or ""
        late = f"no answer within {load_settings().approval_hours:g} hours"
        return Approval(
            approved=event["chosen_options"] == [self.APPROVE],
            who=(user["name"] or user["id"]) if user else NOBODY,
            why=str(why).strip()[:WHY_CHARACTERS]
            if user
            else late,  # the page sends some texts as JSON
            answered_at=event["responded_at"],
            decided_at=datetime.fromisoformat(decided_at),
        )

    def _reject(self, context: "Context", approval: "Approval") -> None:
        """Tell the registry; without it the rejection stands, for a failed task would ask again."""
        from include.champion.registry import CANDIDATES, STATUS_TAG
        from include.tasks.adapter import read_handed_on
        from include.training import approve_promotion as asked

        lineage = read_handed_on(asked.approve_promotion, self.op_kwargs)["lineage"]
        try:  # MLflow's client has tried for minutes before it gives up
            asked.reject(open_run(context), lineage, approval)
        except ChurnError:
            self.log.exception(
                "candidate %s stays rejected, but MLflow does not say so: tag that version of "
                "%s there with %s=rejected",
                *(lineage.trained.candidate, CANDIDATES, STATUS_TAG),
            )
