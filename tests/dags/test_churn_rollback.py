"""The rollback DAG: its form, and a real way back by Airflow."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from include.champion import promotion, versions
from include.champion.history import HistoryReader
from include.champion.registry import Registry
from include.customers.sample import sample_customers
from include.params import load_params
from include.settings import Settings
from include.store import LocalStore
from include.training.run import TrainingRun
from tests.dags.conftest import AnswersOf, run_of
from tests.include.banks import bank_of, training_run
from tests.include.conftest import STRONG, WEAK, changed, clear_production, promote

pytestmark = pytest.mark.slow

FORM = """
import json
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError

params = DagBag().dags["churn_rollback"].params
tried = {"version": ["2", "10", "0", "", "../1", "2 ", 2, None], "reason": ["why", "", "  ", None]}

def takes(name, value):
    try:
        params.get_param(name).resolve(value)
    except ParamValidationError:
        return False
    return True

print(json.dumps({
    "given": [name for name in params if params.get_param(name).has_value],
    "takes": {name: [v for v in values if takes(name, v)] for name, values in tried.items()},
}))
"""


@pytest.fixture
def run(tmp_path: Path, mlflow_server: str) -> Iterator[TrainingRun]:
    """A training run behind which version 2 is in production, and version 1 before it."""
    engine = bank_of(f"sqlite:///{tmp_path / 'churn.db'}", sample_customers(2000, seed=3))
    registry = Registry(mlflow_server)
    clear_production(registry)
    base = load_params(Settings().params_file)
    first = training_run(
        f"first__{tmp_path.name}",
        changed(base, WEAK),
        store=LocalStore(tmp_path / "store"),
        engine=engine,
        registry=registry,
    )
    promote(first)
    second = replace(first, dag_run_id=f"second__{tmp_path.name}", params=changed(base, STRONG))
    promote(second)
    yield second
    engine.dispose()


def test_the_form_asks_for_a_version_and_a_reason(answers_of: AnswersOf) -> None:
    found = answers_of(FORM)
    assert found == {"given": [], "takes": {"version": ["2", "10"], "reason": ["why"]}}


def test_airflow_refuses_what_is_not_there_and_rolls_back_without_a_pointer(
    answers_of: AnswersOf, run: TrainingRun, mlflow_server: str
) -> None:
    world = {"CHURN_STORE_URI": run.store.uri, "MLFLOW_TRACKING_URI": mlflow_server}

    def roll_back(version: str) -> list[str]:
        whose = {"on_behalf_of": "anna"}  # as `make rollback` tells it
        script = run_of("churn_rollback", version=version, reason="a test", **whose)
        return [state for _, _, state in answers_of(script, **world)["tasks"]]

    assert roll_back("9") == ["failed", "upstream_failed"]
    assert promotion.read_production(run.store, run.registry).version == "2"
    run.store.delete(versions.POINTER_KEY)  # the worst case: somebody removed it
    assert roll_back("1") == ["success", "success"]
    production = promotion.read_production(run.store, run.registry)
    assert (production.version, production.alias) == ("1", "1")
    pointer, _ = versions.read_pointer(run.store) or (None, "")
    assert pointer is not None and " (for anna): a test" in pointer.reason
    (move,) = HistoryReader(run.store).latest(1, pointer=None).moves
    assert (move.before, move.to, move.why) == ("2", "1", pointer.reason)
    assert move.who.endswith(" (for anna)")
    assert pointer.previous == "2"  # which the alias still named
