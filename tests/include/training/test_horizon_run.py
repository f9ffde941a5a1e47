"""A training run that learns from history: from months in the database to a champion."""

from datetime import UTC, datetime, time, timedelta

import pandas as pd
import pytest
from sqlalchemy import Engine

from include.champion import versions
from include.contract import Contract
from include.customers import contacts
from include.customers.treatment import CALLED, TAGS
from include.errors import DataError
from include.history.changes import extended
from include.history.clock import AS_OF, LEFT_AFTER, OLDER
from include.params import Params
from include.store import LocalStore
from include.training import tuned_set
from include.training.evaluate_model import Lineage, evaluate_model
from include.training.fit import SPLIT
from include.training.ingest_data import ingest_data
from include.training.train_model import train_model
from include.training.transform_data import transform_data
from include.training.validate_data import validate_data
from tests.include.conftest import MakeRun, promote_judged, sql
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
    run = tuned_set.settled(run)  # as each later task is opened
    validated = handed_on(validate_data(run, ingested))
    transformed = handed_on(transform_data(run, validated))
    trained = handed_on(train_model(run, ingested, transformed))
    lineage = Lineage(ingested, validated, transformed, trained)
    evaluated = handed_on(evaluate_model(run, lineage))
    assert promote_judged(run, lineage, evaluated).outcome == "accepted"
    manifest = versions.read_production_manifest(local_store)
    assert manifest is not None
    assert (manifest.target, manifest.target_reason) == (run.params.horizon, ingested.target_reason)
    assert manifest.metrics["roc_auc"] > 0.75
    assert manifest.record_columns == run.contract.of_records.feature_names
    assert set(manifest.columns) - set(manifest.record_columns) == set(manifest.contract.defaults)


def test_the_frame_between_the_tasks_has_days_sides_and_what_became_of_customers(
    make_run: MakeRun, engine: Engine, params: Params, tiny: Tiny, contract: Contract
) -> None:
    fill(engine, tiny)
    run = make_run("frame", params=warned_early(params))
    ingested = ingest_data(run)
    validated = validate_data(run, ingested)
    transformed = transform_data(run, validated)
    frame = run.read_frame(transformed.customers)
    names = [contract.key.name, contract.target.name, *contract.feature_names]
    added = extended(contract, "all").defaults
    assert {*frame.columns} == {*names, LEFT_AFTER, *added, *TAGS, AS_OF, SPLIT}
    months = ingested.months
    assert months is not None
    assert set(frame.loc[frame[SPLIT] == "holdout", AS_OF]) == {months.holdout}
    assert set(frame.loc[frame[SPLIT] == OLDER, AS_OF]) == set(months.older)
    taught = frame[frame[SPLIT].isin(["training", "calibration"])]
    assert set(taught[AS_OF]) == set(months.training)
    assert not set(taught["CLIENTNUM"]) & set(frame["CLIENTNUM"][~frame.index.isin(taught.index)])
    assert frame[LEFT_AFTER].dtype == "Int64"
    assert transformed.older_rows == (frame[SPLIT] == OLDER).sum()
    assert validate_data(run, ingest_data(run)).data_sha256 == validated.data_sha256


def test_who_was_called_in_the_days_of_a_label_is_left_out_of_that_month(
    make_run: MakeRun, engine: Engine, params: Params, tiny: Tiny
) -> None:
    fill(engine, tiny)
    contacts.create_contacts(engine)
    run = make_run("called", params=warned_early(params))
    months = ingest_data(run).months
    assert months is not None
    called = [int(key) for key in tiny.snapshots["CLIENTNUM"].unique()]
    day = datetime.combine(months.training[-1], time(), UTC)
    contacts.mark(engine, [contacts.Mark(key, "called") for key in called], now=day)
    found = ingest_data(run)
    left_out = run.read_frame(run.key("ingest_data", "left_out.parquet"))
    alone = left_out[left_out["why"] == CALLED]
    assert found.called.left_out == len(alone) > 0
    # 90 days of the call's, so that only months after those are of people who were left alone
    assert set(alone[AS_OF]) == {d for d in months.older if d < (day + timedelta(90)).date()}
    kept = run.read_frame(found.customers)
    assert set(kept[AS_OF]) | set(alone[AS_OF]) == set(months.closed)
    beside = kept[kept[AS_OF].isin(alone[AS_OF])]  # who had left before the call
    left_on = pd.to_datetime(beside[AS_OF]) + pd.to_timedelta(beside[LEFT_AFTER], unit="D")
    assert (left_on < pd.Timestamp(day.date())).all()


def test_rows_of_customers_who_had_left_are_counted_and_many_of_them_refused(
    make_run: MakeRun, engine: Engine, params: Params, tiny: Tiny
) -> None:
    fill(engine, tiny)
    run = make_run("gone", params=warned_early(params))
    few, first = "CLIENTNUM % 100 = 0", tiny.days[0] - timedelta(days=9)
    change = f"UPDATE churner_exits SET left_on = '{first}', known_at = '{first}' WHERE"
    sql(engine, f"{change} {few}")
    rows = tiny.snapshots.merge(tiny.exits.query("CLIENTNUM % 100 == 0"), on="CLIENTNUM")
    assert 0 < ingest_data(run).left_out.after_exit <= len(rows)
    sql(engine, f"{change} CLIENTNUM % 3 = 0")
    with pytest.raises(DataError, match="rows of history .* are of customers who had left before"):
        ingest_data(run)


def test_a_set_that_was_searched_on_the_state_is_not_used(
    make_run: MakeRun, params: Params
) -> None:
    run = make_run("tuned", params=params)
    settled, why = tuned_set.settle(run, params.horizon)
    assert settled.params.model == params.model
    assert why == (
        "params.yaml: no search is made for what leaves within 90 days, after the first 14"
    )
