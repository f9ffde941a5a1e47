"""The drift DAG: real days run by Airflow, up to the training run that it queues."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.drift import performance
from include.drift.findings import DriftDay, read_day
from include.settings import Settings
from include.store import LocalStore
from tests.dags.conftest import Forks, load
from tests.include.bank_days import BUSY_SHIFT, DAY, SNAPSHOT, log, people, publish

pytestmark = pytest.mark.slow

CHAIN = [
    "plan_parts",
    "collect_predictions",
    "detect_drift",
    "publish_report",
    "drift_detected",
    "trigger_training",
]
PARAMS = Settings().params_file
RUN_ID = f"drift__{DAY}__v1"
STOPPED, EMPTY = DAY - timedelta(7), DAY - timedelta(1)
AFTER, QUIET = DAY + timedelta(1), DAY + timedelta(2)
# In this order; the second time DAY's training run waits already.
RUNS: list[dict[str, Any]] = [
    {},  # first, because `dag.test` hands a run's parameters on to the next
    {"logical_date": f"{DAY}T00:30:00+00:00"},  # as of EMPTY's own scheduled run
    {"date": str(STOPPED)},
    {"date": str(DAY)},
    {"date": str(DAY)},
    {"date": str(AFTER), "cooldown_days": 0},
    {"date": str(QUIET)},
    {"date": "yesterday"},
]

RUN = """
import json
from airflow.sdk.timezone import parse
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models import DagRun
from airflow.models.xcom import XComModel
from airflow.sdk.observability import stats
from airflow.utils.session import create_session
metrics = []
stats.gauge = lambda name, value, **rest: metrics.append([name, value])
stats.incr = lambda name, count=1, **rest: metrics.append([name, rest.get("tags")])
bag = DagBag()
DagBundlesManager().sync_bundles_to_db()
sync_bag_to_db(bag, "dags-folder", None)
days = []
for conf in {confs}:
    metrics.clear()
    given = {{"logical_date": parse(conf.pop("logical_date"))}} if "logical_date" in conf else {{}}
    try:
        run = bag.dags["churn_drift"].test(run_conf=conf, **given)
    except Exception as error:
        days.append({{"state": repr(error), "tasks": {{}}, "metrics": []}})
        continue
    states = {{t.task_id: str(t.state) for t in run.get_task_instances()}}
    ours = [each for each in metrics if each[0].startswith("churn_")]
    parts = sum(t.task_id == "collect_predictions" for t in run.get_task_instances())
    days.append({{"state": str(run.state), "tasks": states, "metrics": ours, "parts": parts}})
with create_session() as session:
    runs = session.query(DagRun).filter(DagRun.run_id.like("drift__%")).all()
    started = {{r.run_id: [r.dag_id, str(r.state), r.conf, str(r.logical_date)] for r in runs}}
    key = "_link_DriftReportLink"
    links = [x.value for x in session.query(XComModel).filter(XComModel.key == key).all()]
print(json.dumps({{"days": days, "started": started, "links": links}}))
"""


@dataclass(frozen=True)
class Week:
    """What Airflow made of RUNS, and the store afterwards."""

    store: LocalStore
    days: list[dict[str, Any]]
    started: dict[str, Any]
    links: list[str]

    def drift(self, day: Any) -> DriftDay:
        """A day's drift.json."""
        return read_day(self.store, day)


@pytest.fixture(scope="module")
def week(airflow: Forks, tmp_path_factory: pytest.TempPathFactory) -> Week:
    """A week of days, run by Airflow one after the other."""
    home = tmp_path_factory.mktemp("bank")
    store, url = LocalStore(home / "store"), f"sqlite:///{home / 'churn.db'}"
    publish(store, people=people(5000, seed=1))
    labelled_at = SNAPSHOT + timedelta(days=1, microseconds=1)
    load(url, people(600, seed=2), now=labelled_at)
    for day in (STOPPED, DAY, AFTER):
        log(store, people(2500, drift=BUSY_SHIFT), day=day)
    log(store, people(2500), day=QUIET)
    params = home / "params.yaml"
    params.write_text(re.sub("part_mebibytes: .*", "part_mebibytes: 0.05", PARAMS.read_text()))
    environment = {
        "CHURN_PARAMS_FILE": str(params),
        "CHURN_VAR_DIR": str(home / "var"),
        "CHURN_ID_KEY": "k",
        "CHURN_STORE_URI": store.uri,
        "CHURN_DATABASE_URL": url,
    }
    found = airflow.run(RUN.format(confs=RUNS), **environment)
    return Week(store, found["days"], found["started"], found["links"])


def test_a_drifted_day_queues_a_training_run_with_the_reason(week: Week) -> None:
    assert week.days[3]["tasks"] == dict.fromkeys([*CHAIN, "measure_outcomes"], "success")
    assert (week.days[3]["parts"], week.days[0]["parts"]) == (2, 1)
    dag_id, state, conf, logical_date = week.started[RUN_ID]
    assert (dag_id, state, logical_date) == ("churn_training", "queued", "None")
    assert conf["trigger_reason"] == "drift" and conf["drift_date"] == str(DAY)
    assert conf["num_drifted_features"] >= 3 and conf["threshold"] == 1
    assert conf["report_uri"] == f"{week.store.uri}/monitoring/date={DAY}/report.html"
    assert week.store.read(f"monitoring/date={DAY}/report.html").data


def test_the_same_day_again_starts_nothing_new(week: Week) -> None:
    assert week.days[4]["state"] == "success"
    assert week.days[4]["tasks"]["trigger_training"] == "skipped"
    assert week.drift(DAY).retraining.triggered
    assert [*week.started] == [RUN_ID]


@pytest.mark.parametrize(
    ("place", "day", "status", "reason"),
    [
        (1, EMPTY, "no_predictions", "no_drift"),
        (2, STOPPED, "drifted", "older_than_champion"),
        (5, AFTER, "drifted", "in_flight"),
        (6, QUIET, "quiet", "no_drift"),
    ],
)
def test_days_that_start_nothing_are_green_and_say_why(
    week: Week, place: int, day: Any, status: str, reason: str
) -> None:
    assert week.days[place]["state"] == "success"
    assert week.days[place]["tasks"]["drift_detected"] == "success"
    assert week.days[place]["tasks"]["trigger_training"] == "skipped"
    assert (week.drift(day).status, week.drift(day).retraining.reason) == (status, reason)


def test_the_metrics_tell_of_success_features_and_guards(week: Week) -> None:
    names = "churn_drift_features", "churn_drift_last_success_timestamp_seconds"
    for day in week.days[:-1]:
        assert {name for name, _ in day["metrics"]} >= {*names}
    guards = [[v for n, v in d["metrics"] if n == "churn_retrain_guard_total"] for d in week.days]
    assert guards[2] == [{"reason": "older_than_champion"}] and guards[5] == [
        {"reason": "in_flight"}
    ]
    assert guards[3] == guards[6] == []


def test_without_a_date_it_is_the_day_before(week: Week) -> None:
    assert week.days[0]["state"] == "success"
    yesterday = datetime.now(UTC).date() - timedelta(1)
    assert week.drift(yesterday).status == "no_predictions"


def test_a_date_that_is_none_is_refused(week: Week) -> None:
    assert "yesterday" in week.days[7]["state"] and not week.days[7]["tasks"]


def test_the_report_is_linked_from_airflows_own_pages(week: Week) -> None:
    assert any(f"http://127.0.0.1:8050/drift?report={DAY}" in link for link in week.links)


def test_outcomes_are_measured_beside(week: Week) -> None:
    assert performance.read_performance(week.store)
    assert all(["churn_performance_lost", 0] in day["metrics"] for day in week.days[:-1])
