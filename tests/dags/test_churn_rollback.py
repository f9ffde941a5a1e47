"""The rollback DAG: its form, and a real way back by Airflow."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.champion import promotion, versions
from include.champion.registry import Registry
from include.contract import load_contract
from include.customers import loading
from include.customers.database import open_engine
from include.customers.sample import sample_customers
from include.params import load_params
from include.settings import Settings
from include.store import LocalStore
from include.training.run import TrainingRun
from tests.dags.conftest import AnswersOf
from tests.include.conftest import STRONG, WEAK, changed, clear_production, promote

SHAPE = """
import json
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError
bag = DagBag()
dag = bag.dags["churn_rollback"]
given = [name for name in dag.params if dag.params.get_param(name).has_value]
def takes(name, value):
    try:
        dag.params.get_param(name).resolve(value)
    except ParamValidationError:
        return False
    return True
tried = {"version": ["2", "10", "0", "", "../1", "2 ", 2, None], "reason": ["why", "", "  ", None]}
print(json.dumps({
    "errors": bag.import_errors,
    "tasks": [t.task_id for t in dag.topological_sort()],
    "takes": {name: [v for v in values if takes(name, v)] for name, values in tried.items()},
    "given": given,
    "paused": dag.is_paused_upon_creation,
}))
"""

RUN = """
import json
from airflow.dag_processing.dagbag import DagBag
dag = DagBag().dags["churn_rollback"]
run = dag.test(run_conf=json.loads({conf!r}))
states = {{t.task_id: str(t.state) for t in run.get_task_instances()}}
print(json.dumps({{"state": str(run.state), "tasks": states}}))
"""


@pytest.fixture
def run(tmp_path: Path, mlflow_server: str) -> Iterator[TrainingRun]:
    """A training run behind which version 2 is in production, and version 1 before it."""
    engine = open_engine(f"sqlite:///{tmp_path / 'churn.db'}")
    loading.create_table(engine)
    loading.load_customers(engine, sample_customers(2000, seed=3), now=datetime.now(UTC))
    registry = Registry(mlflow_server)
    clear_production(registry)
    base = load_params(Settings().params_file)
    first = TrainingRun(
        dag_run_id=f"first__{tmp_path.name}",
        store=LocalStore(tmp_path / "store"),
        engine=engine,
        registry=registry,
        contract=load_contract(),
        params=changed(base, WEAK),
        trigger={"trigger_reason": "test"},
        git_commit="abc",
    )
    promote(first)
    second = replace(first, dag_run_id=f"second__{tmp_path.name}", params=changed(base, STRONG))
    promote(second)
    yield second
    engine.dispose()


def test_the_form_asks_for_a_version_and_a_reason(answers_of: AnswersOf) -> None:
    found = answers_of(SHAPE)
    assert found["errors"] == {} and found["tasks"] == ["check_version", "move_champion"]
    assert found["takes"] == {"version": ["2", "10"], "reason": ["why"]}
    assert (found["given"], found["paused"]) == ([], False)


@pytest.mark.slow
def test_airflow_rolls_back_and_refuses_what_is_not_there(
    answers_of: AnswersOf, run: TrainingRun, mlflow_server: str
) -> None:
    world = {"CHURN_STORE_URI": run.store.uri, "MLFLOW_TRACKING_URI": mlflow_server}

    def roll_back(version: str) -> dict[str, str]:
        conf = json.dumps({"version": version, "reason": "a test"})
        found: dict[str, str] = answers_of(RUN.format(conf=conf), **world)["tasks"]
        return found

    assert roll_back("9") == {"check_version": "failed", "move_champion": "upstream_failed"}
    assert promotion.read_production(run.store, run.registry).version == "2"
    assert roll_back("1") == {"check_version": "success", "move_champion": "success"}
    production = promotion.read_production(run.store, run.registry)
    assert (production.version, production.alias) == ("1", "1")
    pointer, _ = versions.read_pointer(run.store) or (None, "")
    assert pointer is not None and pointer.reason.startswith("rollback by ")
