"""What the settings say of a schedule is what Airflow makes of it."""

from tests.dags.conftest import AnswersOf
from tests.schedules import NO_SCHEDULES, SCHEDULES

STARTS = """
import json
from airflow.exceptions import AirflowTimetableInvalid
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

def starts(schedule):
    written = DAG("a", schedule=schedule, catchup=False, max_active_runs=1)
    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(written))
    try:
        dag.timetable.validate()
    except AirflowTimetableInvalid:
        return False
    return dag.next_dagrun_info(last_automated_run_info=None) is not None

print(json.dumps([schedule for schedule in {schedules!r} if starts(schedule)]))
"""


def test_airflow_starts_runs_by_what_the_settings_take_and_by_nothing_else(
    answers_of: AnswersOf,
) -> None:
    assert answers_of(STARTS.format(schedules=[*SCHEDULES, *NO_SCHEDULES])) == SCHEDULES
