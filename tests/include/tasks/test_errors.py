"""Which errors end a task at once, and which are worth another try."""

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include import errors
from include.customers.database import open_engine, reading
from include.tasks.errors import reported


@pytest.mark.parametrize(
    "kind",
    [
        *(errors.ChampionError, errors.ConfigurationError, errors.DataError),
        *(errors.NeedsPerson, errors.StoreForbidden),
    ],
)
def test_what_a_retry_cannot_mend_fails_at_once(kind: type[errors.ChurnError]) -> None:
    with pytest.raises(AirflowFailException, match="look at the table") as caught, reported():
        raise kind("look at the table")
    assert isinstance(caught.value.__cause__, kind)


@pytest.mark.parametrize(
    "kind",
    [errors.DatabaseUnavailable, errors.StoreUnavailable, errors.RegistryError, ValueError],
)
def test_what_may_pass_is_raised_as_it_is(kind: type[Exception]) -> None:
    with pytest.raises(kind), reported():
        raise kind("no answer")


@pytest.mark.parametrize("statement", ["SELECT 1 FROM churners", "SELECT gone FROM here"])
def test_a_table_or_column_that_sqlite_lacks_is_not_waited_for(
    statement: str, sqlite_url: str
) -> None:
    engine = open_engine(sqlite_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE here (x INTEGER)")
    with pytest.raises(AirflowFailException, match="could not read the table churners .*no such"):
        with reported(), reading(engine, "churners") as connection:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_database_that_another_process_writes_to_is_asked_again(sqlite_url: str) -> None:
    engine, other = open_engine(f"{sqlite_url}?timeout=0.01"), open_engine(sqlite_url)
    with other.connect() as writer, pytest.raises(errors.DatabaseUnavailable, match="locked"):
        writer.exec_driver_sql("BEGIN EXCLUSIVE")
        with reported(), reading(engine, "churners") as connection:
            connection.exec_driver_sql("SELECT 1 FROM churners")
    engine.dispose()
    other.dispose()
