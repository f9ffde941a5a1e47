"""The snapshot DAG: a real run by Airflow."""

import pytest
import sqlalchemy as sa

from include.customers.database import opened
from include.customers.sample import sample_customers
from tests.dags.conftest import AnswersOf, load, run_of

pytestmark = pytest.mark.slow


def test_airflow_keeps_a_month(answers_of: AnswersOf, world: dict[str, str]) -> None:
    url = world["AIRFLOW_CONN_CHURN_DB"].replace("mysql://", "mysql+pymysql://")
    load(url, sample_customers(300, seed=1))
    found = answers_of(run_of("churn_snapshot"), **world)
    assert {state for _, _, state in found["tasks"]} == {"success"}
    with opened(url) as engine:
        with engine.connect() as connection:
            kept = connection.scalar(sa.text("SELECT count(*) FROM churner_snapshots"))
            there = connection.scalar(
                sa.text("SELECT count(*) FROM churners WHERE Attrition_Flag = 'Existing Customer'")
            )
    assert kept == there
