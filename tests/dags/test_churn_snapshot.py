"""The snapshot DAG: its form, and a real run by Airflow."""

import pytest
import sqlalchemy as sa

from include.customers.database import open_engine
from include.customers.sample import sample_customers
from tests.dags.conftest import AnswersOf, load, run_of, shape_of

pytestmark = pytest.mark.slow

LIMITS = '"limits": [bool(t.execution_timeout and t.doc_md) for t in dag.tasks],'


@pytest.mark.parametrize(
    ("setting", "shown"), [("0 2 1 * *", "0 2 1 * *"), ("@monthly", "0 0 1 * *"), ("", None)]
)
def test_it_runs_by_the_month_and_makes_up_for_none(
    answers_of: AnswersOf, setting: str, shown: str | None
) -> None:
    found = answers_of(shape_of("churn_snapshot", more=LIMITS), CHURN_SNAPSHOT_SCHEDULE=setting)
    assert found["errors"] == {} and found["schedule"] == shown
    assert found["tasks"] == ["snapshot_customers", "record_exits"]
    assert found["runs"] == [1, False, False] and all(found["limits"])


def test_airflow_keeps_a_month(answers_of: AnswersOf, world: dict[str, str]) -> None:
    url = world["AIRFLOW_CONN_CHURN_DB"].replace("mysql://", "mysql+pymysql://")
    load(url, sample_customers(300, seed=1))
    found = answers_of(run_of("churn_snapshot"), **world)
    assert {state for _, _, state in found["tasks"]} == {"success"}
    engine = open_engine(url)
    with engine.connect() as connection:
        kept = connection.scalar(sa.text("SELECT count(*) FROM churner_snapshots"))
        there = connection.scalar(
            sa.text("SELECT count(*) FROM churners WHERE Attrition_Flag = 'Existing Customer'")
        )
    engine.dispose()
    assert kept == there
