"""A search that takes seconds: few customers, small trees, six trials."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from include.champion.registry import Registry
from include.champion.tracking import PARAMS_TAG
from include.contract import load_contract
from include.customers.sample import sample_customers
from include.params import Bounds, Params, load_params
from include.settings import Settings
from include.store import LocalStore
from include.tuning.prepare_study import Share, prepare_study
from include.tuning.run import EXPERIMENT, TuningRun
from include.tuning.tune_hyperparameters import tune_hyperparameters
from tests.include.banks import bank_of
from tests.include.conftest import changed

CUSTOMERS = 1200
SPACE = {"n_estimators": Bounds(low=2, high=12), "max_depth": Bounds(low=1, high=3)}
MakeSearch = Callable[..., TuningRun]


def small_search(**rules: Any) -> Params:
    """The project's parameters, with small trees in params.yaml and smaller ones to try."""
    params = changed(load_params(Settings().params_file), {"n_estimators": 5, "max_depth": 2})
    given = {"trials": 6, "workers": 1, "folds": 3, "repeats": 2, "families": {"xgboost": SPACE}}
    assert params.tuning is not None
    tuning = params.tuning.model_copy(update={"resampling": ("none", "smote"), **given, **rules})
    return params.model_copy(update={"tuning": tuning})


def search_in(home: Path, tracking_uri: str, name: str, **rules: Any) -> TuningRun:
    """A tuning run whose customers, store and study lie in a directory."""
    known = (home / "churn.db").exists()
    people = None if known else sample_customers(CUSTOMERS, seed=3)
    engine = bank_of(f"sqlite:///{home / 'churn.db'}", people)
    params = small_search(**rules)
    assert params.tuning is not None
    return TuningRun(
        dag_run_id=f"{name}__{home.name}",
        store=LocalStore(home / "store"),
        engine=engine,
        registry=Registry(tracking_uri, experiment=EXPERIMENT),
        contract=load_contract(),
        params=params,
        rules=params.tuning,
        storage=str(home / "tuning" / "studies.log"),
        tags={PARAMS_TAG: params.sha256()},
    )


@pytest.fixture
def make_search(tmp_path: Path, mlflow_server: str) -> MakeSearch:
    """Makes a run by its name; keywords replace its rules."""

    def make(name: str, *, storage: str = "", **rules: Any) -> TuningRun:
        run = search_in(tmp_path, mlflow_server, name, **rules)
        return replace(run, storage=storage) if storage else run

    return make


def searched(run: TuningRun) -> list[Share]:
    """Prepare a study and let each worker do its share, one after the other."""
    shares = prepare_study(run)
    for share in shares:
        tune_hyperparameters(run, share)
    return shares
