"""The training DAG: its cost to parse, and real runs of it by Airflow."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from include.champion import versions
from include.champion.registry import Registry
from include.customers.sample import sample_customers
from include.store import S3Store
from include.tasks import training as training_tasks
from infra.aws import mwaa
from tests.dags.conftest import AnswersOf, load, run_of
from tests.include.conftest import clear_production

pytestmark = pytest.mark.slow

STAGES = [
    "ingest_data",
    "validate_data",
    "transform_data",
    "train_model",
    "evaluate_model",
    "approve_promotion",
    "promote_model",
]

DAG = "churn_training"

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
def world(world: dict[str, str], mlflow_server: str) -> dict[str, str]:
    """With a registry in which nothing is in production."""
    clear_production(Registry(mlflow_server))
    return {**world, "MLFLOW_TRACKING_URI": mlflow_server}


def ends(answers_of: AnswersOf, world: dict[str, str]) -> dict[str, str]:
    """How each task of a run ends."""
    found = answers_of(run_of(DAG, trigger_reason="test"), **world)
    return {task: state for task, _, state in found["tasks"]}


def test_airflow_trains_the_first_champion_from_mariadb_into_s3(
    answers_of: AnswersOf,
    world: dict[str, str],
    mariadb_url: str,
    s3_store: S3Store,
    capfd: pytest.CaptureFixture[str],
) -> None:
    customers = sample_customers(2000, seed=2)
    customers.loc[::100, "Customer_Age"] = 997
    load(mariadb_url, customers)
    found = ends(answers_of, world)
    assert found == dict.fromkeys(STAGES, "success")
    pointer, _ = versions.read_pointer(s3_store) or (None, "")
    assert pointer is not None and pointer.version == "1"
    assert versions.read_manifest(s3_store, pointer).trigger["trigger_reason"] == "test"
    said = "".join(capfd.readouterr())
    assert "set aside 20 customers: Customer_Age expected an integer" in said
    assert "found 997" not in said
    assert [key for key in customers["CLIENTNUM"] if str(key) in said] == []


def test_an_empty_table_fails_the_first_task_and_nothing_follows(
    answers_of: AnswersOf, world: dict[str, str], mariadb_url: str, s3_store: S3Store
) -> None:
    load(mariadb_url, sample_customers(10, seed=2).head(0))
    found = ends(answers_of, world)
    assert found["ingest_data"] == "failed"
    assert {found[task] for task in STAGES[1:]} == {"upstream_failed"}
    assert list(s3_store.list("champion/")) == []


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
