"""Tables of one row and of 100,000, and tables whose columns change under the pipelines."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import Engine

from include.customers import loading
from include.customers.sample import sample_customers
from include.errors import DataError
from include.scoring.run import ScoringRun
from include.scoring.score_range import score_range
from include.store import LocalStore
from include.training.run import TrainingRun
from tests.include.conftest import (
    Judged,
    MakeRun,
    evaluate,
    lineage_of,
    promote,
    promote_judged,
    sql,
)
from tests.include.nights import RANGES, begun, night_of, plan, table_of, whole_night
from tests.include.training.production import assert_whole

pytestmark = pytest.mark.slow  # training runs

MANY = 100_000
COLUMN = "Total_Trans_Ct"
CHANGES = {
    "dropped": f"ALTER TABLE churners DROP COLUMN {COLUMN}",
    "renamed": f"ALTER TABLE churners RENAME COLUMN {COLUMN} TO Transactions",
}
BACK = {
    "dropped": f"ALTER TABLE churners ADD COLUMN {COLUMN} INTEGER",
    "renamed": f"ALTER TABLE churners RENAME COLUMN Transactions TO {COLUMN}",
}
AS_TEXT = (
    f"ALTER TABLE churners RENAME COLUMN {COLUMN} TO old",
    f"ALTER TABLE churners ADD COLUMN {COLUMN} TEXT",
    f"UPDATE churners SET {COLUMN} = 'about ' || old",
)


def test_a_table_of_one_customer_trains_nothing_and_says_how_many_it_takes(
    make_run: MakeRun, engine: Engine
) -> None:
    sql(engine, "DELETE FROM churners WHERE CLIENTNUM > (SELECT MIN(CLIENTNUM) FROM churners)")
    with pytest.raises(DataError, match="1 labelled customers keep .* needs 500 .*: load more"):
        lineage_of(make_run("one"))


def test_a_table_of_100000_customers_is_trained_on_and_promoted(
    make_run: MakeRun, engine: Engine
) -> None:
    people = sample_customers(MANY, seed=9)
    loading.load_customers(engine, people, now=datetime.now(UTC))
    run = make_run("many")
    lineage = lineage_of(run)
    assert lineage.validated.rows >= MANY
    promoted = promote_judged(run, lineage, evaluate(run, lineage))
    assert (promoted.outcome, promoted.version) == ("accepted", "1")
    assert isinstance(run.store, LocalStore)
    assert_whole(run.store, run.registry, "1")


@pytest.mark.parametrize("change", CHANGES)
def test_a_column_that_is_gone_since_last_time_is_named_and_its_return_is_enough(
    make_run: MakeRun, champion: Judged, engine: Engine, people: pd.DataFrame, change: str
) -> None:
    sql(engine, CHANGES[change])
    with pytest.raises(DataError, match=f"lacks the columns {COLUMN}: add them, or change"):
        lineage_of(make_run("changed"))
    sql(engine, BACK[change])
    loading.load_customers(engine, people, now=datetime.now(UTC))
    assert promote(make_run("changed")).outcome == "rejected"  # the same model again


def test_a_number_that_has_become_text_is_a_fault_that_names_its_column(
    make_run: MakeRun, champion: Judged, engine: Engine
) -> None:
    for statement in AS_TEXT:
        sql(engine, statement)
    with pytest.raises(DataError, match=f"break the contract, .*{COLUMN} expected an integer"):
        lineage_of(make_run("text"))


@pytest.mark.parametrize("change", [*CHANGES.values(), "DROP TABLE churners"])
def test_a_table_that_changes_behind_its_reading_changes_nothing_of_the_run(
    make_run: MakeRun, weak_champion: Judged, engine: Engine, change: str
) -> None:
    from include.training.ingest_data import ingest_data
    from include.training.train_model import train_model
    from include.training.transform_data import transform_data
    from include.training.validate_data import validate_data
    from tests.include.conftest import Lineage

    run: TrainingRun = make_run("read")
    ingested = ingest_data(run)
    sql(engine, change)
    validated = validate_data(run, ingested)
    transformed = transform_data(run, validated)
    lineage = Lineage(ingested, validated, transformed, train_model(run, ingested, transformed))
    assert promote_judged(run, lineage, evaluate(run, lineage)).version == "2"


@pytest.fixture
def night(champion: Judged, local_store: LocalStore, engine: Engine) -> ScoringRun:
    """A night whose table `churn_scores` has been filled the night before."""
    found = night_of(local_store, engine, **RANGES)
    whole_night(found)
    return found


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("moment", [plan, begun], ids=["behind the plan", "before it"])
def test_a_night_over_a_changed_table_is_refused_and_last_nights_scores_stay(
    night: ScoringRun, engine: Engine, change: str, moment: Callable[..., object]
) -> None:
    before = table_of(night)
    portions = plan(night) if moment is plan else []
    sql(engine, CHANGES[change])
    portions = portions or plan(night)
    with pytest.raises(DataError, match=f"lacks {COLUMN}, which the champion needs: add them"):
        score_range(night, portions[0])
    assert table_of(night).equals(before)
    sql(engine, BACK[change])
    sql(engine, f"UPDATE churners SET {COLUMN} = 60 WHERE {COLUMN} IS NULL")
    whole_night(night, day=night.day + timedelta(days=1))
    assert len(table_of(night)) == len(before)
