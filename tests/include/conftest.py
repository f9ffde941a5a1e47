"""A small bank: sample customers, a fresh registry, and training runs over them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from include.champion.registry import CANDIDATES, PRODUCTION, Registry
from include.contract import Contract, load_contract
from include.customers import loading
from include.customers.database import open_engine
from include.customers.sample import sample_customers
from include.params import Params, load_params
from include.settings import Settings
from include.store import Store
from include.training.evaluate_model import Evaluated, Lineage, evaluate_model
from include.training.ingest_data import ingest_data
from include.training.promote_model import Promoted, promote_model
from include.training.run import TrainingRun
from include.training.train_model import train_model
from include.training.transform_data import transform_data
from include.training.validate_data import validate_data

ROWS = 3000
WEAK = {"n_estimators": 3, "max_depth": 1}
STRONG = {"n_estimators": 60, "max_depth": 4}

MakeRun = Callable[..., TrainingRun]


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
    engine = open_engine(sqlite_url)
    loading.create_table(engine)
    loading.load_customers(engine, people, now=datetime.now(UTC))
    yield engine
    engine.dispose()


@pytest.fixture
def registry(mlflow_server: str) -> Registry:
    """A registry without models on the shared server."""
    registry = Registry(mlflow_server)
    clear_models(registry, CANDIDATES, PRODUCTION)
    return registry


@pytest.fixture
def make_run(
    local_store: Store,
    engine: Engine,
    registry: Registry,
    contract: Contract,
    params: Params,
    tmp_path: Path,
) -> MakeRun:
    """Makes a run by its name; keywords replace its parts."""

    def make(name: str, **parts: Any) -> TrainingRun:
        facts: dict[str, Any] = {
            "dag_run_id": f"{name}__{tmp_path.name}",
            "store": local_store,
            "engine": engine,
            "registry": registry,
            "contract": contract,
            "params": params,
            "trigger": {"trigger_reason": "manual", "drift_date": None},
            "git_commit": "abc",
        }
        return TrainingRun(**{**facts, **parts})

    return make


def clear_models(registry: Registry, *names: str) -> None:
    """Remove registered models with all their versions."""
    from mlflow.exceptions import MlflowException

    for name in names:
        try:
            registry._client.delete_registered_model(name)
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
    return evaluate_model(run, **vars(lineage))


def promote(run: TrainingRun) -> Promoted:
    """Run all six."""
    lineage = lineage_of(run)
    return promote_judged(run, lineage, evaluate(run, lineage))


def promote_judged(run: TrainingRun, lineage: Lineage, evaluated: Evaluated) -> Promoted:
    """Run the last."""
    return promote_model(run, **vars(lineage), evaluated=evaluated)
