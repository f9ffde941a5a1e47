"""Upkeep in the containers: what is old goes from PostgreSQL, S3 and disk, and no champion does."""

import gzip
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, create_engine, text

from include.champion import versions
from include.champion.registry import Registry
from tests.containers.stack import RunningStack, ask, records
from tests.include.upkeep.long_time import DAGS, fill_metadata

KEPT_DAYS = 400  # of Airflow's and MLflow's records; 30 in MLflow's bin
OLD_DAYS = 3
OLD_LOG = "/opt/airflow/logs/dag_id=churn_drift/old.log"
LONG_AGO = int(500 * timedelta(days=1).total_seconds() * 1000)

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def mlflow_database(stack: RunningStack) -> Iterator[Engine]:
    """MLflow's own, past the closed network: this machine is its host."""
    engine = create_engine(address(stack, "mlflow", "CHURN_MLFLOW_DB_PASSWORD"))
    yield engine
    engine.dispose()


def address(stack: RunningStack, name: str, secret: str) -> str:
    password = stack.secret(secret)
    return f"postgresql+psycopg2://{name}:{password}@{stack.address('postgres')}:5432/{name}"


def fail_long_ago(registry: Registry) -> str:
    """A training run of long ago that came to no candidate."""
    client, experiment = registry._client, registry._experiment()
    began = int(datetime.now(UTC).timestamp() * 1000) - LONG_AGO
    run_id = client.create_run(experiment, start_time=began).info.run_id
    client.log_text(run_id, "why", "why.txt")
    return str(run_id)


def make_old(stack: RunningStack) -> str:
    """Old records, an old object and an old log; Airflow's database."""
    url, now = address(stack, "airflow", "CHURN_AIRFLOW_DB_PASSWORD"), datetime.now(UTC)
    fill_metadata(url, now - timedelta(days=KEPT_DAYS), days=OLD_DAYS)
    fill_metadata(url, now, days=1)  # of each DAG the last run is kept, however old
    stack.store().write(f"predictions/date={date(2020, 1, 1)}/old.parquet", b"old")
    script = f"echo old >{OLD_LOG} && touch -d '60 days ago' {OLD_LOG}"
    stack.compose.run("exec", "-T", "airflow-scheduler", "sh", "-c", script)
    return url


def kept_rows(stack: RunningStack, table: str) -> int:
    """How many of a table's rows upkeep has kept aside, its heading not counted."""
    found = [i.key for i in stack.store().list("runs/") if f"__{table}__" in i.key]
    return sum(gzip.decompress(stack.store().read(key).data).count(b"\n") - 1 for key in found)


def test_what_is_old_goes_and_a_champion_stays(
    stack: RunningStack, mlflow_database: Engine
) -> None:
    stack.wait()
    found = versions.read_pointer(stack.store())
    assert found is not None
    champion = found[0]
    registry = Registry(stack.url("MLFLOW"))
    failed, binned = fail_long_ago(registry), fail_long_ago(registry)
    registry._client.delete_run(binned)
    ages = "start_time = start_time - :age, deleted_time = deleted_time - :age"
    with mlflow_database.begin() as connection:  # the champion's run grows as old
        connection.execute(text(f"UPDATE runs SET {ages}"), {"age": LONG_AGO})
    airflow = create_engine(make_old(stack))

    assert stack.run_dag("churn_upkeep", {}).state == "success"

    with airflow.connect() as connection:
        for wanted in (
            "SELECT count(*) FROM dag_run WHERE run_id LIKE 'scheduled__202%' "
            f"AND start_date < now() - interval '{KEPT_DAYS} days'",
            "SELECT count(*) FROM pg_tables WHERE tablename LIKE '\\_airflow\\_deleted%'",
        ):
            assert connection.execute(text(wanted)).scalar() == 0
    airflow.dispose()
    assert kept_rows(stack, "dag_run") == OLD_DAYS * len(DAGS)
    keys = [each.key for each in stack.store().list("")]
    assert not [key for key in keys if "date=2020-01-01" in key or f"/{binned}/" in key]
    assert [key for key in keys if f"/{failed}/" in key]  # in the bin, for another month
    gone = stack.compose.run("exec", "-T", "airflow-scheduler", "sh", "-c", f"ls {OLD_LOG} || true")
    assert gone == b""
    assert registry._client.get_run(failed).info.lifecycle_stage == "deleted"
    assert registry._client.get_run(champion.run_id).info.lifecycle_stage == "active"
    manifest = versions.read_manifest(stack.store(), champion)
    assert versions.read_files(stack.store(), manifest, manifest.files)
    with stack.api() as client:
        answer = ask(client, records(1)[0])
    assert answer is not None and answer["model_version"] == champion.version
