"""A bank's customers in a database, and training runs over them."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
from sqlalchemy import Engine

from include.contract import load_contract
from include.customers import loading
from include.customers.database import open_engine
from include.params import Params
from include.training.run import TrainingRun


def bank_of(url: str, people: pd.DataFrame | None = None, *, now: datetime | None = None) -> Engine:
    """A database whose customer table holds these people, or nobody."""
    engine = open_engine(url)
    loading.create_table(engine)
    if people is not None:
        loading.load_customers(engine, people, now=now or datetime.now(UTC))
    return engine


def training_run(name: str, params: Params, **parts: Any) -> TrainingRun:
    """A run by hand; `parts` are its store, engine and registry, and what else is to differ."""
    facts = {
        "contract": load_contract(),
        "trigger": {"trigger_reason": "manual", "drift_date": None},
        "git_commit": "abc",
    }
    return TrainingRun(dag_run_id=name, params=params, **{**facts, **parts})
