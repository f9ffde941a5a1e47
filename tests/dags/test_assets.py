"""How the DAGs hang together by assets, what each task tells of itself, and what ends it."""

from typing import Any

import pytest

from tests.dags.conftest import AnswersOf
from tests.schedules import SCHEDULES

pytestmark = pytest.mark.slow

BAG = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag()
def seconds(limit):
    return limit and limit.total_seconds()

def told(task):
    return {
        "doc": task.doc_md,
        "limit": seconds(task.execution_timeout),
        "inlets": [asset.name for asset in task.inlets],
        "outlets": [asset.name for asset in task.outlets],
    }
print(json.dumps({
    "errors": bag.import_errors,
    "limits": {d.dag_id: seconds(d.dagrun_timeout) for d in bag.dags.values()},
    "tasks": {d.dag_id: {t.task_id: told(t) for t in d.tasks} for d in bag.dags.values()},
}))
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
from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent
from airflow.utils.session import create_session
from include.champion import rollback
from include.tasks import rollback as tasks

tasks._places = lambda: (None, None)
rollback.check_version = lambda *_: "it is whole"
dag = DagBag().dags["churn_rollback"]
states = []
for moved in (True, False):
    done = rollback.RolledBack("3", "2", moved=moved, message="")
    rollback.move_champion = lambda *_, now: done
    states.append(str(dag.test(run_conf={"version": "3", "reason": "a test"}).state))
with create_session() as session:
    own = session.query(AssetEvent).filter_by(source_dag_id=dag.dag_id)  # others' are there, too
    events = [[e.source_task_id, e.asset.name, e.extra] for e in own]
print(json.dumps({"states": states, "events": events}))
"""


@pytest.fixture(scope="module")
def bag(airflow: Any) -> dict[str, Any]:
    """Every DAG, as far as it is looked at here."""
    found: dict[str, Any] = airflow.run(BAG)
    assert found["errors"] == {}
    return found


def tasks_with(bag: dict[str, Any], place: str, asset: str) -> set[str]:
    return {
        f"{dag_id}.{task_id}"
        for dag_id, tasks in bag["tasks"].items()
        for task_id, told in tasks.items()
        if asset in told[place]
    }


def test_each_task_has_a_page_and_a_limit(bag: dict[str, Any]) -> None:
    for tasks in bag["tasks"].values():
        assert [task_id for task_id, told in tasks.items() if not told["doc"]] == []
        assert [task_id for task_id, told in tasks.items() if not told["limit"]] == []


def test_each_run_has_a_limit_but_the_one_that_may_wait_for_a_person(bag: dict[str, Any]) -> None:
    assert [dag_id for dag_id, limit in bag["limits"].items() if not limit] == ["churn_training"]
    for dag_id, tasks in bag["tasks"].items():
        longest = max(told["limit"] or 0 for told in tasks.values())
        assert dag_id == "churn_training" or bag["limits"][dag_id] > longest


def test_assets_say_who_makes_what_of_what(bag: dict[str, Any]) -> None:
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
