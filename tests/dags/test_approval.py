"""A training waits in Airflow for a person: left until its time is up, and approved."""

from pathlib import Path

import pytest
import yaml

from include.champion import history, versions
from include.champion.registry import Registry
from include.customers.sample import sample_customers
from include.settings import PROJECT
from include.store import open_store
from tests.dags.conftest import AnswersOf, load
from tests.include.conftest import clear_production

pytestmark = pytest.mark.slow

# The run was judged before; what Airflow, the store and the registry do with an answer is real.
ANSWERED = """
import json, os, threading, time, traceback
from dataclasses import asdict, replace
from types import SimpleNamespace
from unittest import mock

from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
from airflow.dag_processing.dagbag import DagBag
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from pydantic_core import to_jsonable_python

from include.errors import RegistryError
from include.tasks import approval, training
from include.training import approve_promotion
from include.training.approve_promotion import reject
from tests.include.conftest import evaluate, lineage_of

context = {"dag_run": SimpleNamespace(run_id="judged", run_type="manual"), "params": {}}
judged = training.open_run(context)
lineage = lineage_of(judged)
handed_on = to_jsonable_python({"lineage": lineage, "evaluated": evaluate(judged, lineage)})
open_run = training.open_run
again = lambda context: replace(open_run(context), dag_run_id="judged")


def approve(task):
    chosen = {"chosen_options": ["Approve"], "params_input": {"why": "looked at" + 1000 * "."}}
    with create_session() as session:
        update_hitl_detail(
            *(task.dag_id, task.run_id, task.task_id, UpdateHITLDetailPayload(**chosen)),
            user=SimpleAuthManagerUser(username="anna", role="admin"),
            session=session,
        )


def let_time_pass(task):
    scheduler = SimpleNamespace(log=mock.Mock())
    while state_of(task) == "awaiting_input":
        SchedulerJobRunner.check_awaiting_input_timeouts(scheduler)


def state_of(task):
    with create_session() as session:
        return session.get(TaskInstance, task.id).state


def give_up(failed):
    traceback.print_exception(failed.exc_value)
    os._exit(1)


threading.excepthook = give_up  # the run would wait for ever


def answer(act, asked):
    while True:
        with create_session() as session:
            waits = TaskInstance.state == "awaiting_input"
            task = session.query(TaskInstance).filter(waits).one_or_none()
            if task is not None:
                found = session.get(HITLDetail, task.id)
                asked.update(subject=found.subject, body=found.body)
                session.expunge_all()
                break
        time.sleep(0.05)
    act(task)


def late(*rejection):
    reject(*rejection)
    raise RegistryError("MLflow is away")


def ends(act, reject=reject):
    dag, asked = DagBag().dags["churn_training"], {}
    dag.task_dict["approve_promotion"].op_kwargs = handed_on
    dag.task_dict["promote_model"].op_kwargs.update(handed_on)
    person = threading.Thread(target=answer, args=(act, asked))
    person.start()
    with (
        mock.patch.object(training, "open_run", again),
        mock.patch.object(approval, "open_run", again),
        mock.patch.object(approve_promotion, "reject", reject),
        mock.patch("airflow.sdk.observability.stats.incr") as told,
    ):
        run = dag.test(mark_success_pattern="[a-z]+_data|train_model|evaluate_model")
    person.join()
    tasks = {t.task_id: str(t.state) for t in run.get_task_instances()}
    ours = [call for call in told.mock_calls if call.args[0] == training.OUTCOMES]
    counted = [call.kwargs["tags"]["outcome"] for call in ours]
    return {"state": str(run.state), "tasks": tasks, "counted": counted, **asked}


print(json.dumps([ends(let_time_pass, late), ends(approve)]))
"""


@pytest.fixture
def places(tmp_path: Path, mlflow_server: str, sqlite_url: str) -> dict[str, str]:
    """The environment of a bank whose promotion is manual."""
    clear_production(Registry(mlflow_server))
    load(sqlite_url, sample_customers(2000, seed=2))
    params = yaml.safe_load((PROJECT / "include" / "config" / "params.yaml").read_text())
    params["promotion"] = "manual"
    params["model"]["xgboost"].update(n_estimators=20, max_depth=3)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return {
        "CHURN_DATABASE_URL": sqlite_url,
        "CHURN_STORE_URI": (tmp_path / "store").as_uri(),
        "CHURN_PARAMS_FILE": str(tmp_path / "params.yaml"),
        "CHURN_APPROVAL_HOURS": "0.0001",
        "MLFLOW_TRACKING_URI": mlflow_server,
    }


def test_who_is_too_late_has_rejected_even_without_mlflow_and_an_approval_is_kept_with_its_name(
    answers_of: AnswersOf, places: dict[str, str]
) -> None:
    late, approved = answers_of(ANSWERED, **places)
    assert (late["state"], late["counted"]) == ("success", ["rejected"])
    ends = [late["tasks"][name] for name in ("approve_promotion", "promote_model")]
    assert ends == ["success", "skipped"]
    assert (approved["state"], approved["counted"]) == ("success", ["accepted"])
    assert set(approved["tasks"].values()) == {"success"}
    assert "judged against no champion" in approved["subject"]
    assert "ROC-AUC 0." in approved["body"]
    store = open_store(places["CHURN_STORE_URI"])
    pointer, _ = versions.read_pointer(store) or (None, "")
    assert pointer is not None and "approved by anna: looked at..." in pointer.reason
    (move,) = store.list(history.HISTORY_PREFIX)
    assert b'"who": "anna"' in store.read(move.key).data
