"""A training run that learns from history: from months in the database to a champion."""

import pytest
from sqlalchemy import Engine

from include.champion import versions
from include.params import Params
from include.store import LocalStore
from include.training.evaluate_model import Lineage, evaluate_model
from include.training.ingest_data import ingest_data
from include.training.train_model import train_model
from include.training.transform_data import transform_data
from include.training.validate_data import validate_data
from tests.include.conftest import MakeRun, promote_judged
from tests.include.handing_on import handed_on
from tests.include.history.tiny import Tiny, fill, tiny_history, warned_early

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    """The same history for every test."""
    return tiny_history()


def test_history_becomes_a_champion_that_says_who_will_leave(
    make_run: MakeRun, engine: Engine, params: Params, tiny: Tiny, local_store: LocalStore
) -> None:
    fill(engine, tiny)
    run = make_run("horizon", params=warned_early(params))
    ingested = handed_on(ingest_data(run))
    validated = handed_on(validate_data(run, ingested))
    transformed = handed_on(transform_data(run, validated))
    trained = handed_on(train_model(run, ingested, transformed))
    lineage = Lineage(ingested, validated, transformed, trained)
    evaluated = handed_on(evaluate_model(run, **vars(lineage)))
    assert promote_judged(run, lineage, evaluated).outcome == "accepted"
    manifest = versions.read_production_manifest(local_store)
    assert manifest is not None
    assert (manifest.target, manifest.target_reason) == (run.params.horizon, ingested.target_reason)
    assert manifest.metrics["roc_auc"] > 0.75
