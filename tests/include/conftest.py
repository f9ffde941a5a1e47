"""A small bank: sample customers, a fresh registry, and training runs over them."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from include.champion.registry import PRODUCTION, Registry
from include.contract import Contract, load_contract
from include.customers.sample import sample_customers
from include.params import Params, load_params
from include.settings import Settings
from include.store import LocalStore, Store
from include.training.approve_promotion import Approval
from include.training.evaluate_model import Evaluated, Lineage, evaluate_model
from include.training.ingest_data import ingest_data
from include.training.promote_model import Promoted, promote_model
from include.training.run import TrainingRun
from include.training.train_model import train_model
from include.training.transform_data import transform_data
from include.training.validate_data import validate_data
from tests.include.banks import bank_of, training_run

ROWS = 3000
WEAK = {"n_estimators": 3, "max_depth": 1}
STRONG = {"n_estimators": 60, "max_depth": 4}

MakeRun = Callable[..., TrainingRun]


@dataclass(frozen=True)
class Judged:
    """A run that only has to be promoted."""

    run: TrainingRun
    lineage: Lineage
    evaluated: Evaluated

    def promoted(self, store: LocalStore, **parts: Any) -> "Judged":
        """The same as version 1 in an empty store and an empty registry."""
        assert isinstance(self.run.store, LocalStore)
        shutil.copytree(self.run.store.root, store.root)
        again = replace(self, run=replace(self.run, store=store, **parts))
        assert promote_judged(again.run, again.lineage, again.evaluated).version == "1"
        return again


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The project's own contract."""
    return load_contract()


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """Sample customers."""
    return sample_customers(ROWS, seed=1)


@pytest.fixture
def params() -> Params:
    """The project's parameters with few, strong trees."""
    return changed(load_params(Settings().params_file), STRONG)


@pytest.fixture
def engine(sqlite_url: str, people: pd.DataFrame) -> Iterator[Engine]:
    """A customer database that holds them."""
    engine = bank_of(sqlite_url, people)
    yield engine
    engine.dispose()


@pytest.fixture
def registry(mlflow_server: str) -> Registry:
    """A registry on the shared server in which nothing is in production."""
    registry = Registry(mlflow_server)
    clear_production(registry)
    return registry


@pytest.fixture
def make_run(
    local_store: Store,
    engine: Engine,
    registry: Registry,
    params: Params,
    tmp_path: Path,
) -> MakeRun:
    """Makes a run by its name; keywords replace its parts."""

    def make(name: str, **parts: Any) -> TrainingRun:
        usual = {"store": local_store, "engine": engine, "registry": registry, "params": params}
        return training_run(f"{name}__{tmp_path.name}", **{**usual, **parts})

    return make


@pytest.fixture(scope="session")
def first_runs(
    tmp_path_factory: pytest.TempPathFactory,
    mlflow_server: str,
    people: pd.DataFrame,
) -> Iterator[Callable[..., Judged]]:
    """Makes a judged first run on the sample customers, once for each kind of trees."""
    home = tmp_path_factory.mktemp("first runs")
    engine = bank_of(f"sqlite:///{home / 'churn.db'}", people)
    base = load_params(Settings().params_file)

    @cache
    def judged(name: str) -> Judged:
        run = training_run(
            f"{name}__{home.name}",
            changed(base, {"weak": WEAK, "strong": STRONG}[name]),
            store=LocalStore(home / name),
            engine=engine,
            registry=Registry(mlflow_server),
        )
        lineage = lineage_of(run)
        return Judged(run, lineage, evaluate(run, lineage))

    yield judged
    engine.dispose()


@pytest.fixture
def weak_champion(
    first_runs: Callable[..., Judged], local_store: LocalStore, engine: Engine, registry: Registry
) -> Judged:
    """Version 1, in production: a model that every other one beats."""
    return first_runs("weak").promoted(local_store, engine=engine, registry=registry)


@pytest.fixture
def champion(
    first_runs: Callable[..., Judged], local_store: LocalStore, engine: Engine, registry: Registry
) -> Judged:
    """Version 1, in production: the model that `make_run` trains."""
    return first_runs("strong").promoted(local_store, engine=engine, registry=registry)


def sql(engine: Engine, statement: str) -> None:
    """Change the customers' table."""
    with engine.begin() as connection:
        connection.execute(text(statement))


def clear_production(registry: Registry) -> None:
    """Remove all versions of the model in production; candidates disturb nobody."""
    from mlflow.exceptions import MlflowException

    try:
        registry._client.delete_registered_model(PRODUCTION)
    except MlflowException as error:
        assert error.error_code == "RESOURCE_DOES_NOT_EXIST", error


def changed(params: Params, trees: dict[str, Any], **rules: Any) -> Params:
    """Parameters with other trees, and rules such as `promotion`."""
    boosting = params.model.xgboost.model_copy(update=trees)
    model = params.model.model_copy(update={"xgboost": boosting})
    return params.model_copy(update={"model": model, **rules})


def lineage_of(run: TrainingRun) -> Lineage:
    """Run the first four tasks."""
    ingested = ingest_data(run)
    validated = validate_data(run, ingested)
    transformed = transform_data(run, validated)
    return Lineage(ingested, validated, transformed, train_model(run, ingested, transformed))


def evaluate(run: TrainingRun, lineage: Lineage) -> Evaluated:
    """Run the fifth."""
    return evaluate_model(run, lineage)


def promote(run: TrainingRun) -> Promoted:
    """Run all six."""
    lineage = lineage_of(run)
    return promote_judged(run, lineage, evaluate(run, lineage))


def promote_judged(
    run: TrainingRun,
    lineage: Lineage,
    evaluated: Evaluated,
    approved: Approval | None = None,
) -> Promoted:
    """Run the last."""
    return promote_model(run, lineage, evaluated, approved)
