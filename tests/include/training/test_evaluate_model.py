"""Judging on a real MLflow server: what is decided, on whose rows, and what is written."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from include.champion import versions
from include.champion.registry import CANDIDATES, Registry
from include.contract import Contract
from include.customers import contacts
from include.customers.contacts import Mark
from include.errors import NeedsPerson
from include.params import FairnessRules, Params
from include.training.evaluate_model import DRAFT_FILE, TASK, Lineage
from include.training.run import TrainingRun
from tests.include.conftest import (
    Judged,
    MakeRun,
    evaluate,
    lineage_of,
    promote,
    promote_judged,
    sql,
)
from tests.include.training.production import assert_whole

pytestmark = pytest.mark.slow


@pytest.mark.slow
def test_the_same_data_gives_the_same_files_and_figures(make_run: MakeRun) -> None:
    first, second = make_run("first"), make_run("second")
    promote(first)
    promote(second)
    files = [
        {name: run.read(run.key(TASK, name)) for name in (versions.MODEL_FILE, "trees.ubj")}
        for run in (first, second)
    ]
    drafts = [run.read_json(run.key(TASK, DRAFT_FILE)) for run in (first, second)]
    assert files[0] == files[1]
    assert drafts[0]["metrics"] == drafts[1]["metrics"]
    assert drafts[0]["data_sha256"] == drafts[1]["data_sha256"]


def test_the_mlflow_run_tells_the_whole_story(make_run: MakeRun, registry: Registry) -> None:
    run = make_run("first", trigger={"trigger_reason": "drift", "num_drifted_features": 3})
    lineage = lineage_of(run)
    promote_judged(run, lineage, evaluate(run, lineage))
    found = registry._client.get_run(lineage.ingested.mlflow_run_id)
    plots = {f.path for f in registry._client.list_artifacts(found.info.run_id, "plots")}
    assert found.info.status == "FINISHED"
    assert found.data.tags["trigger_reason"] == "drift" and found.data.tags["git_commit"] == "abc"
    assert found.data.tags["data_sha256"] == lineage.validated.data_sha256
    told = found.data.metrics
    assert 0.9 < told["roc_auc_low"] < told["roc_auc"] < told["roc_auc_high"] <= 1
    assert found.data.params["family"] == "xgboost"
    assert plots == {
        f"plots/{name}.png"
        for name in ("roc", "precision_recall", "calibration", "confusion", "importance")
    }


def test_fairness_is_told_everywhere_and_of_a_column_that_is_not_there_why(
    make_run: MakeRun, params: Params, registry: Registry
) -> None:
    renamed = FairnessRules(age="Age_Band")
    rules = params.gate.model_copy(update={"fairness": renamed})
    run = make_run("fair", params=params.model_copy(update={"gate": rules}))
    lineage = lineage_of(run)
    evaluated = evaluate(run, lineage)
    gender, age = run.read_json(evaluated.gate)["fairness"]
    assert [group["name"] for group in gender["groups"]] == ["Gender F", "Gender M"]
    assert "there is no column Age_Band; gate.fairness.age names" in age["why_not"]
    report = run.read_json(run.key(TASK, versions.EVALUATION_FILE))
    manifest = run.read_json(run.key(TASK, DRAFT_FILE))
    assert [gender, age] == report["fairness"] == manifest["gate"]["fairness"]
    logged = registry._client.get_run(lineage.ingested.mlflow_run_id).data.metrics
    assert logged["equal_opportunity_gap_gender"] == gender["gap"]
    assert logged["selection_ratio_gender_high"] == gender["ratio_interval"][1]
    card = run.read(run.key(TASK, versions.CARD_FILE)).decode()
    told = registry._client.get_model_version(CANDIDATES, lineage.trained.candidate).description
    for text in (card.replace("By gender", "by gender"), told):
        assert f"selected differs by {gender['gap']:.2f}" in text and "no column Age_Band" in text


def test_what_many_customers_change_is_told_everywhere(
    make_run: MakeRun, params: Params, registry: Registry, people: pd.DataFrame
) -> None:
    model = params.model.model_copy(update={"resampling_rows_max": 1000})
    drift = params.drift.model_copy(update={"reference_rows_max": 1500})
    run = make_run("many", params=params.model_copy(update={"model": model, "drift": drift}))
    lineage = lineage_of(run)
    evaluate(run, lineage)
    manifest = run.read_json(run.key(TASK, DRAFT_FILE))
    logged = registry._client.get_run(lineage.ingested.mlflow_run_id).data
    card = run.read(run.key(TASK, versions.CARD_FILE)).decode()
    reference = run.read_frame(run.key(TASK, versions.REFERENCE_FILE))
    why = f"because {manifest['training_rows']:,} rows are more than the 1,000 of model.resampling"
    for told in (manifest, logged.tags):
        assert (told["resampling"], told["class_weight"]) == ("none", "balanced")
    assert why in manifest["balancing"] and why in logged.tags["balancing"] and why in card
    assert 1300 < len(reference) == manifest["reference_rows"] < 1700
    assert f"{len(reference):,} of the {len(people):,} customers, drawn by a hash" in card


POISONS = {
    "labels": (
        "UPDATE churners SET Attrition_Flag = 'Attrited Customer' WHERE CLIENTNUM % 10 < 8",
        "the contract expects",
    ),
    "leak": (
        "UPDATE churners SET Contacts_Count_12_mon = "
        "CASE Attrition_Flag WHEN 'Attrited Customer' THEN 9 ELSE 1 END",
        "Contacts_Count_12_mon alone has ROC-AUC 1.0000",
    ),
    "flipped": (
        "UPDATE churners SET Attrition_Flag = CASE Attrition_Flag WHEN 'Attrited Customer' "
        "THEN 'Existing Customer' WHEN 'Existing Customer' THEN CASE WHEN CLIENTNUM % 3 = 0 "
        "THEN 'Existing Customer' ELSE 'Attrited Customer' END END",
        "the champion's ROC-AUC on the new hold-out",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("poison", POISONS)
def test_a_poisoned_table_asks_for_a_person(
    make_run: MakeRun, champion: Judged, engine: Engine, registry: Registry, poison: str
) -> None:
    statement, expected = POISONS[poison]
    sql(engine, statement)
    with pytest.raises(NeedsPerson, match=expected):
        promote(make_run("poisoned"))
    assert_whole(champion.run.store, registry, "1")


def test_what_the_champions_age_costs_is_told_at_each_training(
    make_run: MakeRun, champion: Judged, engine: Engine, registry: Registry
) -> None:
    same, _ = against_the_champion(make_run("same"))
    assert same["gain_interval"] == [0, 0] and same["champion_age_days"] > 0
    sql(engine, "UPDATE churners SET Total_Trans_Ct = 150 - Total_Trans_Ct WHERE Gender = 'F'")
    other, lineage = against_the_champion(make_run("other"))
    assert other["gain_interval"][0] > 0.01
    logged = registry._client.get_run(lineage.ingested.mlflow_run_id).data.metrics
    assert logged["gain"] == other["gain"]
    assert logged["champion_age_days"] == other["champion_age_days"] > same["champion_age_days"]
    told = registry._client.get_model_version(CANDIDATES, lineage.trained.candidate).description
    assert f"- gain in ROC-AUC {other['gain']:+.4f}" in told
    assert "- version 1 learned 0.0 days earlier" in told


def against_the_champion(run: TrainingRun) -> tuple[dict[str, Any], Lineage]:
    """What the gate wrote of a training."""
    lineage = lineage_of(run)
    decision: dict[str, Any] = run.read_json(evaluate(run, lineage).gate)
    return decision, lineage


@pytest.mark.usefixtures("weak_champion")
def test_customers_whom_the_champions_contract_refuses_do_not_judge(
    make_run: MakeRun, contract: Contract, params: Params, people: pd.DataFrame, engine: Engine
) -> None:
    column = contract.column("Customer_Age")
    assert column.maximum is not None
    sql(engine, f"UPDATE churners SET Customer_Age = {column.maximum + 1} WHERE CLIENTNUM % 4 = 0")
    older = column.model_copy(update={"maximum": column.maximum + 1})
    columns = tuple(older if each is column else each for each in contract.columns)
    wider = Contract(version=2, attrited_share=contract.attrited_share, columns=columns)
    run = make_run("strong", contract=wider)
    evaluated = evaluate(run, lineage_of(run))
    keys = people["CLIENTNUM"].to_numpy()
    judges = (params.split.sides(keys.tolist()) == "holdout") & (keys % 4 != 0)
    assert run.read_json(evaluated.gate)["holdout_rows"] == int(judges.sum())


@pytest.mark.usefixtures("weak_champion")
def test_a_changed_split_judges_on_rows_that_neither_model_saw(
    make_run: MakeRun, params: Params, people: pd.DataFrame
) -> None:
    split = params.split.model_copy(update={"salt": "another"})
    run = make_run("strong", params=params.model_copy(update={"split": split}))
    lineage = lineage_of(run)
    evaluated = evaluate(run, lineage)
    keys = people["CLIENTNUM"].tolist()
    both = (split.sides(keys) == "holdout") & (params.split.sides(keys) == "holdout")
    assert run.read_json(evaluated.gate)["holdout_rows"] == int(both.sum())


def test_listed_customers_are_judged_on_by_nobody_and_counted_in_the_card(
    make_run: MakeRun, engine: Engine, params: Params, people: pd.DataFrame
) -> None:
    contacts.create_contacts(engine)
    keys = [int(key) for key in people["CLIENTNUM"]]
    marks = [Mark(key, "listed", campaign="spring") for key in keys[:300]]
    marks += [Mark(key, "control", campaign="spring") for key in keys[300:400]]
    contacts.mark(engine, marks, now=datetime.now(UTC))
    run = make_run("after a campaign")
    lineage = lineage_of(run)
    evaluate(run, lineage)
    report = run.read_json(run.key(TASK, versions.EVALUATION_FILE))
    assert report["holdout_rows"] == int((params.split.sides(keys[300:]) == "holdout").sum())
    card = run.read(run.key(TASK, versions.CARD_FILE)).decode()
    assert "300 customers who were listed or called are neither trained nor judged on" in card
    assert "0 others who were listed once and 100 of control groups are among" in card
