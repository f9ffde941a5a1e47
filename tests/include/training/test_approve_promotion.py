"""What a person is asked, and what comes of the answer."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from include.champion import history, versions
from include.champion.gate_decision import Decision
from include.champion.registry import CANDIDATES, PRODUCTION, STATUS_TAG, Registry
from include.documents import parse_document
from include.errors import NeedsPerson
from include.params import Params
from include.store import LocalStore
from include.training.approve_promotion import (
    Approval,
    Question,
    approve_promotion,
    asks_person,
    reject,
)
from tests.include.conftest import Judged, promote_judged
from tests.include.training.production import assert_whole

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("promotion", "outcome", "asks"),
    [
        ("auto", "accepted", False),
        ("auto", "rejected", False),
        ("auto", "needs_person", True),
        ("manual", "accepted", True),
        ("manual", "rejected", False),
        ("manual", "needs_person", True),
    ],
)
def test_a_person_is_asked_what_the_gate_or_the_parameters_leave_open(
    params: Params, promotion: str, outcome: str, asks: bool
) -> None:
    decision = Decision(
        outcome=outcome,
        reasons=("a reason",),
        decided_at=NOW,
        challenger="2",
        champion="1",
        holdout_rows=600,
        holdout_attrited_share=0.16,
        rules={},
    )
    assert asks_person(params.model_copy(update={"promotion": promotion}), decision) is asks


@pytest.fixture
def waiting(
    first_runs: Callable[..., Judged], local_store: LocalStore, registry: Registry, params: Params
) -> Judged:
    """A run with `promotion: manual`, accepted while there was no champion."""
    judged = first_runs("strong")
    assert isinstance(judged.run.store, LocalStore)
    shutil.copytree(judged.run.store.root, local_store.root, dirs_exist_ok=True)
    places = {"dashboard_url": "http://dash", "mlflow_url": "http://flow/"}
    manual = params.model_copy(update={"promotion": "manual"})
    return replace(judged, run=replace(judged.run, store=local_store, params=manual, **places))


def ask(judged: Judged) -> Question | None:
    return approve_promotion(judged.run, judged.lineage, judged.evaluated)


def answered(judged: Judged, **parts: Any) -> Approval:
    key = judged.evaluated.gate
    decision = parse_document(Decision, judged.run.read(key), key)
    facts = {"approved": True, "who": "anna", "why": "looked at", "answered_at": NOW}
    return Approval(**{**facts, "decided_at": decision.decided_at, **parts})


def rewrite(judged: Judged, **facts: Any) -> None:
    """Let the gate have decided otherwise."""
    key = judged.evaluated.gate
    decision = parse_document(Decision, judged.run.read(key), key)
    judged.run.store.write(key, decision.model_copy(update=facts).to_bytes())


def tags_of(registry: Registry, name: str, version: str) -> dict[str, str]:
    found = registry._client.get_model_version(name, version).tags
    return {key: value for key, value in found.items() if key.startswith("approval")}


TAGS = {
    "approval": "approved",
    "approval_by": "anna",
    "approval_reason": "looked at",
    "approval_at": NOW.isoformat(),
}


@pytest.mark.slow
def test_the_question_has_the_figures_the_reasons_and_where_more_is(waiting: Judged) -> None:
    question = ask(waiting)
    assert question is not None
    candidate = waiting.lineage.trained.candidate
    assert f"Put candidate {candidate} into production?" in question.subject
    page = waiting.run.registry.run_page(waiting.lineage.ingested.mlflow_run_id)
    key = waiting.evaluated.gate
    decision = parse_document(Decision, waiting.run.read(key), key)
    assert question.decided_at == decision.decided_at
    for told in (
        "**Reject** leaves production empty",
        f"- ROC-AUC {decision.challenger_metrics['roc_auc']:.4f}",
        f"- share of leavers on the hold-out {decision.holdout_attrited_share:.1%}",
        "**The gate accepted it**, against no champion:\n\n- no version was in production before",
        f"[gate decision](http://flow/{page}/artifacts/gate.json)",
        "[page Model of the dashboard](http://dash/model)",
    ):
        assert told in question.body


@pytest.mark.slow
def test_an_approved_candidate_goes_into_production_in_the_name_of_who_approved(
    waiting: Judged, registry: Registry
) -> None:
    run, approval = waiting.run, answered(waiting)
    for _ in range(2):  # the second time as if it had been killed behind the pointer
        promoted = promote_judged(run, waiting.lineage, waiting.evaluated, approval)
        assert (promoted.outcome, promoted.version, promoted.moved) == ("accepted", "1", True)
    assert_whole(run.store, registry, "1")
    found = versions.read_pointer(run.store)
    assert found is not None and found[0].reason.endswith("; approved by anna: looked at")
    (move,) = run.store.list(history.HISTORY_PREFIX)
    assert '"who": "anna"' in run.store.read(move.key).data.decode()
    assert tags_of(registry, PRODUCTION, "1") == TAGS
    assert tags_of(registry, CANDIDATES, waiting.lineage.trained.candidate) == TAGS


@pytest.mark.slow
def test_what_the_gate_leaves_open_is_promoted_by_a_person_and_never_without(
    waiting: Judged,
) -> None:
    rewrite(waiting, outcome="needs_person", reasons=("half of them left",))
    question = ask(waiting)
    assert question is not None and "would not decide alone" in question.body
    with pytest.raises(NeedsPerson, match=r"half of them left.* nobody has answered\. .*Clear"):
        promote_judged(waiting.run, waiting.lineage, waiting.evaluated)
    assert versions.read_pointer(waiting.run.store) is None
    approval = answered(waiting)
    assert promote_judged(waiting.run, waiting.lineage, waiting.evaluated, approval).moved


@pytest.mark.slow
def test_a_rejected_candidate_is_tagged_and_its_run_has_done_its_work(
    waiting: Judged, registry: Registry
) -> None:
    approval = answered(waiting, approved=False, why="")
    assert approval.told == "rejected by anna"
    reject(waiting.run, waiting.lineage, approval)
    candidate = waiting.lineage.trained.candidate
    expected = {**TAGS, "approval": "rejected", "approval_reason": "none given"}
    assert tags_of(registry, CANDIDATES, candidate) == expected
    version = registry._client.get_model_version(CANDIDATES, candidate)
    assert version.tags[STATUS_TAG] == "rejected"
    run = registry._client.get_run(waiting.lineage.ingested.mlflow_run_id)
    assert run.info.status == "FINISHED" and run.data.tags["approval_by"] == "anna"
    with pytest.raises(NeedsPerson, match="it was rejected by anna"):
        promote_judged(waiting.run, waiting.lineage, waiting.evaluated, approval)


@pytest.mark.slow
def test_an_approval_counts_for_the_decision_that_it_was_shown_and_for_no_other(
    weak_champion: Judged, waiting: Judged, registry: Registry
) -> None:
    approval = answered(waiting)  # of a candidate without a rival; then version 1 was promoted
    with pytest.raises(
        NeedsPerson, match=r"against version 1 .*approved by anna: looked at, on an"
    ):
        promote_judged(waiting.run, waiting.lineage, waiting.evaluated, approval)
    assert_whole(waiting.run.store, registry, "1")
    question = ask(waiting)  # as if `approve_promotion` had been cleared
    assert question is not None and "judged against version 1" in question.subject
    promoted = promote_judged(waiting.run, waiting.lineage, waiting.evaluated, answered(waiting))
    assert promoted.version == "2"
