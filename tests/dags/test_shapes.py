"""What each DAG is, how they hang together by assets, and what each task tells of itself."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from infra.airflow.dag_files import dag_ids
from tests.dags.conftest import AnswersOf, Forks
from tests.schedules import SCHEDULES

pytestmark = pytest.mark.slow

BAG = """
import json
from airflow.dag_processing.dagbag import DagBag

def seconds(limit):
    return limit and limit.total_seconds()

def waits(task):
    growth = task.retry_exponential_backoff or 1
    return [seconds(task.retry_delay) * growth**tried for tried in range(task.retries)]

def task_of(task):
    return {
        "operator": task.task_type,
        "mapped": task.is_mapped,
        "downstream": sorted(task.downstream_task_ids),
        "doc": task.doc_md,
        "limit": seconds(task.execution_timeout),
        "waits": [min(wait, seconds(task.max_retry_delay) or wait) for wait in waits(task)],
        "inlets": [asset.name for asset in task.inlets],
        "outlets": [asset.name for asset in task.outlets],
    }

def dag_of(dag):
    clock = getattr(dag.timetable, "timetable", dag.timetable)
    return {
        "tasks": {task.task_id: task_of(task) for task in dag.tasks},
        "params": {name: dag.params.get_param(name).description for name in dag.params},
        "runs": [dag.max_active_runs, dag.is_paused_upon_creation, dag.catchup],
        "schedule": getattr(clock, "expression", None),
        "limit": seconds(dag.dagrun_timeout),
        "doc": dag.doc_md,
    }

bag = DagBag()
assert bag.import_errors == {}, bag.import_errors
print(json.dumps({dag_id: dag_of(dag) for dag_id, dag in bag.dags.items()}))
"""

SCHEDULES_OF = """
import json
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from include.tasks.assets import CHAMPION, at_times_or_after

def told(schedule):
    starts = at_times_or_after(schedule, CHAMPION)
    written = DAG("a", schedule=starts, catchup=False, max_active_runs=1)
    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(written))
    dag.timetable.validate()
    assets = [asset.name for _, asset in dag.timetable.asset_condition.iter_assets()]
    return [assets, dag.next_dagrun_info(last_automated_run_info=None) is not None]

print(json.dumps([told(schedule) for schedule in {schedules!r}]))
"""

# The outlets are read when the task has ended.
EVENTS = """
import json
from datetime import UTC, datetime
from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent
from airflow.utils.session import create_session
from include.champion import rollback
from include.tasks import rollback as tasks

tasks._places = lambda: (None, None)
rollback.check_version = lambda *_: "it is whole"
dag = DagBag().dags["churn_rollback"]
states, started = [], datetime.now(UTC)
for moved in (True, False):
    done = rollback.RolledBack("3", "2", moved=moved, message="")
    rollback.move_champion = lambda *_, now: done
    states.append(str(dag.test(run_conf={"version": "3", "reason": "a test"}).state))
with create_session() as session:
    own = session.query(AssetEvent).filter_by(source_dag_id=dag.dag_id)  # others' are there, too
    new = own.filter(AssetEvent.timestamp >= started)
    events = [[e.source_task_id, e.asset.name, e.extra] for e in new]
print(json.dumps({"states": states, "events": events}))
"""


Bag = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Shape:
    """What a DAG has to be: its tasks, of which the chain follow one another."""

    chain: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    mapped: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    schedule: str | None = None
    said: str = ""


OF_DRIFT = ("plan_parts", "collect_predictions", "detect_drift", "publish_report")
OF_TRAINING = ("ingest_data", "validate_data", "transform_data", "train_model", "evaluate_model")
TOLD_BY_DRIFT = ("drift_date", "threshold", "num_drifted_features", "report_uri")
DESIGN = {
    "churn_training": Shape(
        chain=(*OF_TRAINING, "approve_promotion", "promote_model"),
        params=("trigger_reason", *TOLD_BY_DRIFT),
        said="gate",
    ),
    "churn_drift": Shape(
        chain=(*OF_DRIFT, "drift_detected", "trigger_training"),
        beside=("measure_outcomes",),
        mapped=("collect_predictions",),
        params=("date", "cooldown_days"),
        schedule="30 0 * * *",
    ),
    "churn_scoring": Shape(
        chain=("plan_ranges", "score_range", "summarise_scores"),
        mapped=("score_range",),
        params=("date",),
        schedule="0 3 * * *",
        said="exactly once",
    ),
    "churn_tuning": Shape(
        chain=("prepare_study", "tune_hyperparameters", "publish_best"),
        mapped=("tune_hyperparameters",),
        params=("trials", "minutes", "workers"),
        said="tuning/best.json",
    ),
    "churn_rollback": Shape(chain=("check_version", "move_champion"), params=("version", "reason")),
    "churn_snapshot": Shape(chain=("snapshot_customers", "record_exits"), schedule="0 2 1 * *"),
    "churn_upkeep": Shape(
        beside=(
            *("delete_runs", "delete_predictions", "delete_scores", "delete_reports"),
            *("delete_logs", "clean_metadata", "clean_mlflow"),
        ),
        params=("dry_run",),
        schedule="0 5 * * 0",
    ),
}


@pytest.fixture(scope="module")
def bag(airflow: Forks) -> Bag:
    """Every DAG, as far as it is looked at here."""
    found: Bag = airflow.run(BAG)
    return found


def test_each_file_is_named_by_its_dag(bag: Bag) -> None:
    assert sorted(bag) == sorted(DESIGN) == dag_ids()


@pytest.mark.parametrize("dag_id", DESIGN)
def test_a_dag_is_the_one_of_the_design(dag_id: str, bag: Bag) -> None:
    wanted, found = DESIGN[dag_id], bag[dag_id]
    tasks = found["tasks"]
    assert {*tasks} == {*wanted.chain, *wanted.beside}
    assert all(after in tasks[task]["downstream"] for task, after in pairwise(wanted.chain))
    assert not any(tasks[task]["downstream"] for task in wanted.beside)
    assert [task for task, told in tasks.items() if told["mapped"]] == [*wanted.mapped]
    assert {*found["params"]} == {*wanted.params} and all(found["params"].values())
    assert (found["runs"], found["schedule"]) == ([1, False, False], wanted.schedule)
    assert wanted.said in found["doc"].replace("\n", " ")


def test_what_a_person_or_the_next_dag_decides_has_an_operator_of_its_own(bag: Bag) -> None:
    found = {told["operator"]: task for dag in bag.values() for task, told in dag["tasks"].items()}
    assert found.pop("PythonOperator")
    assert found == {
        "ApprovePromotion": "approve_promotion",
        "ShortCircuitOperator": "drift_detected",
        "TriggerDagRunOperator": "trigger_training",
    }


@pytest.mark.parametrize("dag_id", ["churn_drift", "churn_scoring"])
def test_what_runs_at_night_outlasts_a_database_that_starts_anew(dag_id: str, bag: Bag) -> None:
    for task, told in bag[dag_id]["tasks"].items():
        assert told["waits"][0] <= 60 and sum(told["waits"]) > 120, task
        assert max(told["waits"]) <= 240, task


@pytest.mark.parametrize(("setting", "shown"), [("", None), ("@weekly", "0 0 * * 0")])
def test_schedules_are_settings(setting: str, shown: str | None, airflow: Forks) -> None:
    names = ("training", "scoring", "snapshot")
    settings = {f"CHURN_{name.upper()}_SCHEDULE": setting for name in names}
    found = airflow.run(BAG, **settings)
    assert [found[f"churn_{name}"]["schedule"] for name in names] == [shown] * len(names)


def tasks_with(bag: Bag, place: str, asset: str) -> set[str]:
    return {
        f"{dag_id}.{task_id}"
        for dag_id, dag in bag.items()
        for task_id, told in dag["tasks"].items()
        if asset in told[place]
    }


def test_each_task_has_a_page_and_a_limit(bag: Bag) -> None:
    for dag in bag.values():
        assert [task_id for task_id, told in dag["tasks"].items() if not told["doc"]] == []
        assert [task_id for task_id, told in dag["tasks"].items() if not told["limit"]] == []


def test_each_run_has_a_limit_but_the_one_that_may_wait_for_a_person(bag: Bag) -> None:
    assert [dag_id for dag_id, dag in bag.items() if not dag["limit"]] == ["churn_training"]
    for dag_id, dag in bag.items():
        longest = max(told["limit"] for told in dag["tasks"].values())
        assert dag_id == "churn_training" or dag["limit"] > longest


def test_assets_say_who_makes_what_of_what(bag: Bag) -> None:
    movers = {"churn_training.promote_model", "churn_rollback.move_champion"}
    assert tasks_with(bag, "outlets", "champion") == movers
    assert tasks_with(bag, "outlets", "scores") == {"churn_scoring.summarise_scores"}
    assert tasks_with(bag, "outlets", "drift") == {"churn_drift.detect_drift"}
    readers = {"churn_scoring.summarise_scores", "churn_drift.detect_drift"}
    assert tasks_with(bag, "inlets", "champion") == readers
    assert "churn_drift.detect_drift" in tasks_with(bag, "inlets", "predictions")


def test_a_clock_and_the_champion_start_a_run_whatever_the_clock_says(
    answers_of: AnswersOf,
) -> None:
    found = answers_of(SCHEDULES_OF.replace("{schedules!r}", repr(["", *SCHEDULES])))
    assert found == [[["champion"], False], *[[["champion"], True]] * len(SCHEDULES)]


def test_only_a_pointer_that_moved_is_an_event(answers_of: AnswersOf) -> None:
    found = answers_of(EVENTS)
    assert found["states"] == ["success", "success"]
    facts = {"version": "3", "verdict": "moved by hand"}
    assert found["events"] == [["move_champion", "champion", facts]]
