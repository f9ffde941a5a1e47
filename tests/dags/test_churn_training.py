"""The training DAG: its shape, its cost to parse, and real runs of it by Airflow."""

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from include.champion import versions
from include.champion.registry import Registry
from include.customers import loading
from include.customers.database import open_engine
from include.customers.sample import sample_customers
from include.store import S3Store
from include.tasks import training as training_tasks
from infra.aws import mwaa
from tests.conftest import AWS_DUMMY
from tests.dags.conftest import AnswersOf
from tests.include.conftest import clear_production

STAGES = [
    "ingest_data",
    "validate_data",
    "transform_data",
    "train_model",
    "evaluate_model",
    "promote_model",
]

SHAPE = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag()
dag = bag.dags["churn_training"]
print(json.dumps({
    "errors": bag.import_errors,
    "tasks": [t.task_id for t in dag.topological_sort()],
    "downstream": {t.task_id: sorted(t.downstream_task_ids) for t in dag.tasks},
    "operators": sorted({t.task_type for t in dag.tasks}),
    "params": {name: dag.params.get_param(name).description for name in dag.params},
    "max_active_runs": dag.max_active_runs,
    "paused": dag.is_paused_upon_creation,
    "schedule": type(dag.timetable).__name__,
    "doc": dag.doc_md or "",
}))
"""

RUN = """
import json, sys
from datetime import timedelta
from airflow.dag_processing.dagbag import DagBag
dag = DagBag().dags["churn_training"]
for task in dag.tasks:
    task.retry_delay = timedelta(seconds=1)  # what comes of a retry is tested, not the wait for it
run = dag.test(run_conf={"trigger_reason": "test"})
states = {t.task_id: str(t.state) for t in run.get_task_instances()}
print(json.dumps({"state": str(run.state), "tasks": states, "run_id": run.run_id}))
"""

IMPORTED = """
import json, sys
import airflow.sdk, airflow.providers.standard.operators.python
import airflow.providers.standard.operators.trigger_dagrun
before = set(sys.modules)
from airflow.dag_processing.dagbag import DagBag
assert DagBag().dags.keys() >= {"churn_training", "churn_drift"}
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""

MWAA = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
heavy = sorted({"pandas", "xgboost", "mlflow"} & set(sys.modules))
bag = DagBag()
import include
print(json.dumps({
    "errors": [bag.import_errors, errors], "dags": sorted(bag.dags),
    "include": include.__file__, "heavy": heavy, "plugins": [p.name for p in plugins],
}))
"""


def test_the_dag_is_the_one_of_the_design(answers_of: AnswersOf) -> None:
    found = answers_of(SHAPE)
    assert found["errors"] == {}
    assert found["tasks"] == STAGES
    assert found["operators"] == ["PythonOperator"]
    assert all(
        following in found["downstream"][task]
        for task, following in zip(STAGES, STAGES[1:], strict=False)
    )
    assert (found["max_active_runs"], found["paused"]) == (1, False)
    assert found["schedule"] == "NullTimetable"


def test_the_trigger_form_explains_each_parameter(answers_of: AnswersOf) -> None:
    found = answers_of(SHAPE)
    assert set(found["params"]) == {
        *("trigger_reason", "drift_date", "threshold", "num_drifted_features", "report_uri")
    }
    assert all(found["params"].values()) and "gate" in found["doc"]


def test_training_can_be_weekly_by_configuration(answers_of: AnswersOf) -> None:
    assert (
        answers_of(SHAPE, CHURN_TRAINING_SCHEDULE="@weekly")["schedule"] == "CronTriggerTimetable"
    )


def test_parsing_imports_nothing_heavy(fresh_answers_of: AnswersOf) -> None:
    heavy = {
        *("pandas", "numpy", "scipy", "sklearn", "xgboost", "mlflow", "onnx", "evidently"),
        *("boto3", "pyarrow"),
    }
    assert heavy.isdisjoint(fresh_answers_of(IMPORTED))


def test_the_dags_import_from_the_layout_of_mwaa(
    fresh_answers_of: AnswersOf, tmp_path: Path
) -> None:
    import zipfile

    mwaa.build(tmp_path / "mwaa")
    plugins = tmp_path / "plugins"
    zipfile.ZipFile(tmp_path / "mwaa" / "plugins.zip").extractall(plugins)
    found = fresh_answers_of(
        MWAA,
        PYTHONPATH="",
        AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path / "mwaa" / "dags"),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(plugins),
    )
    assert found["errors"] == [{}, {}] and "churn_training" in found["dags"]
    assert found["include"].startswith(str(plugins))
    assert found["heavy"] == [] and "churn_links" in found["plugins"]


@pytest.fixture
def world(
    mariadb_url: str, mlflow_server: str, s3_endpoint: str, s3_store: S3Store
) -> dict[str, str]:
    """The environment of a task whose database is MariaDB and whose store is S3."""
    clear_production(Registry(mlflow_server))
    aws = {
        "conn_type": "aws",
        "login": AWS_DUMMY["AWS_ACCESS_KEY_ID"],
        "password": AWS_DUMMY["AWS_SECRET_ACCESS_KEY"],
        "extra": {
            "region_name": AWS_DUMMY["AWS_DEFAULT_REGION"],
            "endpoint_url": s3_endpoint,
        },
    }
    return {
        "AIRFLOW_CONN_CHURN_DB": mariadb_url.replace("mysql+pymysql", "mysql"),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws),
        "CHURN_STORE_URI": s3_store.uri,
        "CHURN_DATABASE_URL": "sqlite:////nowhere/the-connection-wins.db",
        "MLFLOW_TRACKING_URI": mlflow_server,
    }


def load(url: str, frame: pd.DataFrame) -> None:
    """Put customers into a database."""
    engine = open_engine(url)
    loading.create_table(engine)
    loading.load_customers(engine, frame, now=datetime.now(UTC))
    engine.dispose()


def test_airflow_trains_the_first_champion_from_mariadb_into_s3(
    answers_of: AnswersOf, world: dict[str, str], mariadb_url: str, s3_store: S3Store
) -> None:
    load(mariadb_url, sample_customers(2000, seed=2))
    found = answers_of(RUN, **world)
    assert found["tasks"] == dict.fromkeys(STAGES, "success")
    pointer, _ = versions.read_pointer(s3_store) or (None, "")
    assert pointer is not None and pointer.version == "1"
    assert versions.read_manifest(s3_store, pointer).trigger["trigger_reason"] == "test"


@pytest.mark.slow
def test_an_empty_table_fails_the_first_task_and_nothing_follows(
    answers_of: AnswersOf, world: dict[str, str], mariadb_url: str, s3_store: S3Store
) -> None:
    load(mariadb_url, sample_customers(10, seed=2).head(0))
    found = answers_of(RUN, **world)
    assert found["tasks"]["ingest_data"] == "failed"
    assert {found["tasks"][task] for task in STAGES[1:]} == {"upstream_failed"}
    assert list(s3_store.list("champion/")) == []


@pytest.mark.slow
def test_a_dead_database_is_named_without_its_password(
    answers_of: AnswersOf, world: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    hush = secrets.token_hex(8)
    dead = {**world, "AIRFLOW_CONN_CHURN_DB": f"mysql://churn:{hush}@127.0.0.1:9/churn"}
    found = answers_of(RUN, **dead)
    assert found["tasks"]["ingest_data"] == "failed"
    assert hush not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("run_type", "given", "reason"),
    [
        ("scheduled", "manual", "schedule"),
        ("manual", "manual", "manual"),
        ("manual", "drift", "drift"),
    ],
)
def test_a_run_says_what_started_it(run_type: str, given: str, reason: str) -> None:
    run = SimpleNamespace(run_type=run_type)
    context = {"params": {"trigger_reason": given, "drift_date": None}, "dag_run": run}
    assert training_tasks.trigger_of(context) == {"trigger_reason": reason, "drift_date": None}
