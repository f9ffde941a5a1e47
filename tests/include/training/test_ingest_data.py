"""Customers into a run: who is read, counted, and dated."""

import pandas as pd
from sqlalchemy import Engine, text

from include.training.ingest_data import ingest_data
from tests.include.conftest import MakeRun, sql


def test_unlabelled_customers_are_counted_and_never_trained_on(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame
) -> None:
    sql(engine, "UPDATE churners SET Attrition_Flag = NULL WHERE CLIENTNUM % 10 = 0")
    found = ingest_data(make_run("some"))
    unlabelled = int((people["CLIENTNUM"] % 10 == 0).sum())
    assert (found.rows, found.unlabelled_rows) == (len(people) - unlabelled, unlabelled)


def test_a_plain_insert_of_21_columns_counts_as_labelled_from_now_on(
    make_run: MakeRun, engine: Engine
) -> None:
    sql(engine, "UPDATE churners SET labelled_at = NULL")
    ingest_data(make_run("stamps"))
    with engine.connect() as connection:
        unstamped = "SELECT COUNT(*) FROM churners WHERE labelled_at IS NULL"
        assert connection.execute(text(unstamped)).scalar() == 0
