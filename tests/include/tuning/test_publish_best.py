"""The best set: confirmed on fresh folds, kept, and taken by training where it should be."""

import json
from typing import Any
from unittest.mock import Mock

import pytest

from include.contract import load_contract
from include.errors import DataError
from include.store import LocalStore
from include.target import STATE
from include.training import tuned_set
from include.training.ingest_data import ingest_data
from include.training.tuned_set import BEST_KEY, TunedSet
from include.tuning.prepare_study import prepare_study
from include.tuning.publish_best import confirm, publish_best
from tests.include.conftest import MakeRun
from tests.include.tuning.conftest import MakeSearch, searched, small_search

pytestmark = pytest.mark.slow

MODEL = small_search().model


def test_the_best_is_kept_with_what_it_was_compared_with(make_search: MakeSearch) -> None:
    run = make_search("best")
    (share,) = searched(run)
    found = publish_best(run, share)
    assert TunedSet.model_validate_json(run.store.read(BEST_KEY).data) == found
    assert found.trials == 6 and found.contract_sha256 == tuned_set.contract_sha256(run.contract)
    assert found.gain == pytest.approx(found.roc_auc - found.current_roc_auc)
    assert found.gain_interval[0] < found.gain < found.gain_interval[1]
    assert 0.6 < found.floor_roc_auc < 1
    client = run.registry._client
    assert client.get_run(share.mlflow_run_id).info.status == "FINISHED"
    kept = {each.path for each in client.list_artifacts(share.mlflow_run_id, "plots")}
    names = ("optimisation_history", "hyperparameter_importances")
    assert kept == {f"plots/{name}.png" for name in names}


def test_the_best_meets_the_current_set_in_folds_that_no_trial_saw() -> None:
    rules = small_search().tuning
    assert rules is not None
    rules, seeds = rules.model_copy(update={"repeats": 3}), list[int]()

    def folds_of_seed(seed: int) -> Any:
        seeds.append(seed)
        return Mock(
            roc_aucs=lambda model: [0.7, 0.8] if model is MODEL else [0.8, 0.8 + seed / 100],
            floor=lambda: [0.6, 0.6],
        )

    chosen = MODEL.model_copy()
    found = confirm(folds_of_seed, chosen, current=MODEL, rules=rules)
    assert seeds == [rules.seed + 1, rules.seed + 2, rules.seed + 3]
    assert (found.current_roc_auc, found.floor_roc_auc) == pytest.approx((0.75, 0.6))
    assert found.gain == pytest.approx(found.roc_auc - found.current_roc_auc)
    assert found.gain_interval[0] < found.gain < found.gain_interval[1]


def test_without_a_finished_trial_there_is_no_best(make_search: MakeSearch) -> None:
    run = make_search("none", minutes=1e-9)
    with pytest.raises(DataError, match=r"none of 0 trials .* give the search more time"):
        publish_best(run, prepare_study(run)[0])


def best(**changes: Any) -> TunedSet:
    facts: dict[str, Any] = {
        "study": "s",
        "made_at": "2026-01-02T03:04:05Z",
        "mlflow_run_id": "r",
        "contract_sha256": tuned_set.contract_sha256(load_contract()),
        "data_sha256": "d",
        "current_sha256": tuned_set.model_sha256(MODEL),
        "customers": 1000,
        "trials": 50,
        "pruned": 9,
        "family": "random_forest",
        "resampling": "none",
        "class_weight": "balanced",
        "hyperparameters": MODEL.random_forest.model_dump() | {"n_estimators": 7},
        "roc_auc": 0.99,
        "current_roc_auc": 0.98,
        "floor_roc_auc": 0.9,
        "gain": 0.01,
        "gain_interval": (0.001, 0.019),
    }
    return TunedSet.model_validate(facts | changes)


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        (None, "no search was made yet"),
        (b"{", "is not a TunedSet"),
        (best(contract_sha256="x"), "under another contract"),
        (best(current_sha256="x"), "it was changed since"),
        (best(gain_interval=(-0.001, 0.021)), "not better beyond chance"),
        (best(hyperparameters={"max_depth": -1}), "does not fit this release"),
    ],
)
def test_params_yaml_holds_unless_the_tuned_set_is_known_to_be_better(
    local_store: LocalStore, kept: TunedSet | bytes | None, why: str
) -> None:
    if kept is not None:
        local_store.write(BEST_KEY, kept if isinstance(kept, bytes) else kept.to_bytes())
    chosen, said = tuned_set.choose(local_store, load_contract(), MODEL)
    assert chosen == MODEL and said.startswith("params.yaml: ") and why in said


def test_a_better_set_is_taken_for_a_whole_run(make_run: MakeRun, local_store: LocalStore) -> None:
    run = make_run("tuned", params=small_search())
    local_store.write(BEST_KEY, best().to_bytes())
    ingested = ingest_data(run)
    local_store.delete(BEST_KEY)  # what happens meanwhile changes nothing
    model = tuned_set.settled(run).params.model
    assert (model.family, model.random_forest.n_estimators) == ("random_forest", 7)
    assert (model.resampling, model.class_weight) == ("none", "balanced")
    told = run.registry._client.get_run(ingested.mlflow_run_id).data
    assert told.params["n_estimators"] == "7"
    assert told.tags["hyperparameters_from"].startswith("study s: ROC-AUC +0.01000")
    kept = json.loads(run.read(run.key("ingest_data", "chosen.json")))
    assert kept == {"model": model.model_dump(), "target": STATE.model_dump()}


def test_a_set_that_cannot_be_trained_is_refused() -> None:
    with pytest.raises(ValueError, match="max_depth"):
        best(hyperparameters={"max_depth": -1}).applied_to(MODEL)
