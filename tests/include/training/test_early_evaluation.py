"""Early warning judged on a real MLflow server: against a state, against itself, and in words."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from include.champion import promotion, versions
from include.champion.early_warning import EarlyWarning
from include.champion.gate_decision import GATE_FILE, Decision
from include.documents import parse_document
from include.handover import now
from include.params import Params
from include.training.approve_promotion import Approval, Question, approve_promotion
from include.training.early_card import history_facts
from include.training.early_guards import Apart
from include.training.evaluate_model import TASK, Evaluated, Lineage
from include.training.rival import read_rival
from include.training.run import TrainingRun
from tests.include.conftest import Judged, MakeRun, evaluate, lineage_of, promote_judged
from tests.include.history.tiny import fill, tiny_history, warned_early

pytestmark = pytest.mark.slow


def judged(run: TrainingRun) -> tuple[Lineage, Evaluated, Decision]:
    lineage = lineage_of(run)
    evaluated = evaluate(run, lineage)
    return lineage, evaluated, parse_document(Decision, run.read(evaluated.gate), GATE_FILE)


def asked(run: TrainingRun, lineage: Lineage, evaluated: Evaluated) -> Question:
    found = approve_promotion(run, lineage, evaluated)
    assert found is not None
    return found


def test_a_horizon_after_a_state_asks_a_person_and_then_is_compared_with_itself(
    make_run: MakeRun, weak_champion: Judged, engine: Engine, params: Params
) -> None:
    fill(engine, tiny_history())
    early = warned_early(params)
    run = make_run("early", params=early)
    lineage, evaluated, decision = judged(run)
    told = "version 1 says who has left, this candidate who leaves within 90 days, after the first"
    assert decision.outcome == "needs_person" and told in decision.reasons[0]
    assert (decision.champion, decision.champion_metrics) == ("1", None)
    question = asked(run, lineage, evaluated)
    assert question.subject.endswith("It was not compared with version 1")
    assert told in question.body and "of the naive rule" in question.body
    assert "31–60 days later, on a list of 10%: " in question.body

    approval = Approval(True, "me", "wanted", now(), question.decided_at)
    assert promote_judged(run, lineage, evaluated, approval).version == "2"
    manifest = versions.read_production_manifest(run.store)
    assert manifest is not None and manifest.target == params.horizon

    _, _, again = judged(make_run("again", params=early))
    assert again.outcome == "rejected" and again.gain == 0
    assert again.early_warning is not None
    assert again.early_warning.champion == again.early_warning.model
    assert [month.champion for month in again.early_warning.older] == [
        month.model for month in again.early_warning.older
    ]
    _, _, back = judged(make_run("back", params=early.model_copy(update={"target": "state"})))
    assert back.outcome == "needs_person" and "this candidate who has left" in back.reasons[0]

    for room, changed, told in [
        ("history", {"list_share": 0.2}, "a list of 10% of the customers"),
        ("campaigns", {"listed_customers": "used"}, "left_out when version 2 was trained"),
    ]:
        rules = getattr(early, room).model_copy(update=changed)
        other = replace(run, params=early.model_copy(update={room: rules}))
        production = promotion.read_production(run.store, run.registry)
        apart = read_rival(other, params.horizon, production)
        assert isinstance(apart, Apart) and told in apart.why


def test_the_figures_of_early_warning_are_told_everywhere(
    make_run: MakeRun, engine: Engine, params: Params
) -> None:
    fill(engine, tiny_history())
    run = make_run("told", params=warned_early(params))
    lineage, _, decision = judged(run)
    assert decision.outcome == "accepted" and decision.naive_gain is not None
    report = json.loads(run.read(run.key(TASK, versions.EVALUATION_FILE)))
    early = EarlyWarning.model_validate(report["early_warning"])
    assert early.target == params.horizon and early.months and early.champion is None
    card = run.read(run.key(TASK, versions.CARD_FILE)).decode()
    assert "**Early warning**: the probability that" in card
    assert f"| 31–60 | {early.leavers['31–60']} | {early.model.recall['31–60']:.1%} |" in card
    assert f"| {early.months[0].month} | " in card and "| F1 |" not in card
    logged = run.registry._client.get_run(lineage.ingested.mlflow_run_id).data.metrics
    assert logged["recall_31_to_60_days"] == pytest.approx(early.model.recall["31–60"])
    assert logged["top_decile_lift"] == pytest.approx(early.model.top_decile_lift)
    assumed = replace(lineage.ingested, assumed_rows=1200)
    assert "Of 1,200 rows nobody said when they were loaded" in "".join(history_facts(assumed))
