"""What MLflow keeps of a candidate: what it read, what it is, why it was taken or not."""

import json
import re

import pytest

from include.champion.gate_decision import GATE_FILE, Decision
from include.champion.registry import CANDIDATES, DESCRIPTIONS, PRODUCTION, Registry
from include.champion.tracking import PARAMS_TAG
from include.champion.versions import EVALUATION_FILE, Evaluation, read_version
from include.documents import parse_document
from include.training.evaluate_model import TASK
from include.training.record import keep_record
from tests.include.conftest import Judged, MakeRun, evaluate, lineage_of, promote_judged

pytestmark = pytest.mark.slow


def test_a_run_and_its_candidate_say_what_they_are_made_of(
    champion: Judged, make_run: MakeRun, registry: Registry
) -> None:
    run = make_run("told", dashboard_url="http://dash/")
    lineage = lineage_of(run)
    evaluated = evaluate(run, lineage)
    promote_judged(run, lineage, evaluated)
    from mlflow.data import get_source

    client, made = registry._client, lineage.transformed
    inputs = client.get_run(lineage.ingested.mlflow_run_id).inputs.dataset_inputs
    rows = {each.tags[0].value: json.loads(each.dataset.profile)["num_rows"] for each in inputs}
    sides = ("training", "calibration", "holdout")
    assert rows == {side: getattr(made, f"{side}_rows") for side in sides}
    assert len({each.dataset.digest for each in inputs}) == 3
    first = inputs[0].dataset
    assert get_source(first).uri == f"{run.store.uri}/{made.customers}"
    columns = {each["name"]: each["type"] for each in json.loads(first.schema)["mlflow_colspec"]}
    assert columns["Gender"] == columns["Attrition_Flag"] == "string" and len(columns) == 20
    version = client.get_model_version(CANDIDATES, lineage.trained.candidate)
    assert f"trained on {made.training_rows:,} customers as of 20" in version.description
    assert re.search(r"- ROC-AUC 0\.\d{4} \(version 1: 0\.\d{4}\)", version.description)
    assert "**The gate rejected it**, against version 1:" in version.description
    run_id = lineage.ingested.mlflow_run_id
    assert f"/runs/{run_id}/artifacts/gate.json)" in version.description
    assert "[drift since then](http://dash/drift)" in version.description
    assert version.tags["gate"] == "rejected"
    assert version.tags["gate_decision"] == f"runs:/{run_id}/gate.json"


def test_what_goes_into_production_takes_its_description_along(
    champion: Judged, registry: Registry
) -> None:
    client = registry._client
    assert client.get_registered_model(PRODUCTION).description == DESCRIPTIONS[PRODUCTION]
    version = client.get_model_version(PRODUCTION, "1")
    assert "**The gate accepted it**, against " in version.description
    manifest, _ = read_version(champion.run.store, "1")
    assert f"- ROC-AUC {manifest.metrics['roc_auc']:.4f}" in version.description
    assert version.tags["gate"] == "accepted" and PARAMS_TAG in version.tags


def test_a_repeated_task_says_it_once_and_somebodys_own_words_stay(
    champion: Judged, registry: Registry
) -> None:
    run, lineage, client = champion.run, champion.lineage, registry._client
    client.update_registered_model(CANDIDATES, "ours")
    decision = parse_document(Decision, run.read(run.key(TASK, GATE_FILE)), GATE_FILE)
    report = parse_document(Evaluation, run.read(run.key(TASK, EVALUATION_FILE)), EVALUATION_FILE)
    keep_record(run, lineage, decision, report)
    found = client.get_run(lineage.ingested.mlflow_run_id).inputs.dataset_inputs
    assert len(found) == 3
    registry._ensure_model(CANDIDATES)
    assert client.get_registered_model(CANDIDATES).description == "ours"
    client.update_registered_model(CANDIDATES, "")
    registry._ensure_model(CANDIDATES)
    assert client.get_registered_model(CANDIDATES).description == DESCRIPTIONS[CANDIDATES]
