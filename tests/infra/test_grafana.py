"""Grafana's provisioning, and every expression of its dashboards against a real Prometheus."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from include.settings import PROJECT
from include.store import LocalStore
from tests.infra.expressions import (
    BOARDS,
    metrics_named,
    names_in,
    panel_expressions,
    panels,
)
from tests.infra.watched import Watched, watched_stack
from tests.webapp.champions import make_version, publish, records

GRAFANA = PROJECT / "infra" / "grafana"
VERSIONS = (10, 1, 101, 9, 2)


def test_names_are_found_in_an_expression() -> None:
    text = (
        'sum by (le, route) (rate(a_total{b="c"}[5m] offset 6h)) / on () group_left () x:y unless z'
    )
    assert names_in(text) == {"a_total", "x:y", "z"}


def test_the_data_source_is_the_one_that_every_panel_asks() -> None:
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())
    (prometheus,) = source["datasources"]
    assert prometheus["url"] == "http://prometheus:9090"
    for _, panel in panels():
        for each in (panel, *panel["targets"]):
            assert each["datasource"] == {"type": "prometheus", "uid": prometheus["uid"]}


def test_grafana_finds_the_dashboards_where_they_are_mounted() -> None:
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/churn.yml").read_text())
    compose = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
    mounts = dict(m.split(":")[:2] for m in compose["services"]["grafana"]["volumes"])
    assert mounts["./infra/grafana/dashboards"] == provider["providers"][0]["options"]["path"]
    assert mounts["./infra/grafana/provisioning"] == "/etc/grafana/provisioning"


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: str(path.stem))
def test_a_dashboard_needs_nothing_by_hand_and_its_panels_do_not_overlap(path: Path) -> None:
    found = json.loads(path.read_text())
    assert found["templating"]["list"] == [] and "$" not in path.read_text()
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    cells = [cell for panel in found["panels"] for cell in _cells(panel["gridPos"])]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24


def _cells(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    columns = range(place["x"], place["x"] + place["w"])
    return itertools.product(columns, range(place["y"], place["y"] + place["h"]))


@pytest.mark.parametrize(("title", "panel"), panels(), ids=[title for title, _ in panels()])
def test_a_panel_explains_itself(title: str, panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert len(panel["description"]) > 20 and defaults["unit"]
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert all(target["expr"] for target in panel["targets"])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A stack in which something of everything has happened."""
    with watched_stack(tmp_path_factory.mktemp("watched")) as found:
        publish(LocalStore(found.api.var_dir / "store"), make_version("1"))
        found.api.start()
        found.signal("training=accepted", "guard=cool_down", "airflow=churn_training")
        found.signal("performance=0.95", "asks=answered")
        # Prometheus looks at a new target only after some seconds, and a rate needs a look before.
        found.until(lambda: found.query("prediction_requests_total"))
        for record in records(20):
            assert httpx.post(f"{found.api.url}/predict", json=record).status_code == 200
        found.until(lambda: found.query("churn:predictions:rate5m > 0"))
        found.until(lambda: found.query("churn:training:increase6h"))
        found.until(lambda: found.query("sum(rate(airflow_heartbeat_total[5m]))"))
        yield found


@pytest.mark.slow
def test_every_panel_has_data(stack: Watched) -> None:
    empty = [each for each in panel_expressions() if not stack.query(each)]
    assert empty == []


@pytest.mark.slow
def test_every_metric_that_is_named_exists(stack: Watched) -> None:
    assert metrics_named() - stack.names() == set()


@pytest.mark.slow
def test_what_the_dags_say_has_the_names_and_labels_of_the_design(stack: Watched) -> None:
    found = {
        tuple(sorted(each["metric"].items())) for each in stack.query('{job="statsd-exporter"}')
    }
    said = {(dict(each)["__name__"], _own_labels(dict(each))) for each in found}
    assert said >= {
        ("churn_training_total", 'outcome="accepted"'),
        ("churn_retrain_guard_total", 'reason="cool_down"'),
        ("churn_drift_features", ""),
        ("churn_drift_last_success_timestamp_seconds", ""),
        ("churn_performance_lost", ""),
        ("churn_performance_roc_auc", 'kind="estimated",version="1"'),
        ("churn_performance_roc_auc", 'kind="realised",version="1"'),
        ("airflow_task_finished_total", 'dag_id="churn_training",state="failed",task_id="a_task"'),
        (
            "airflow_dagrun_duration_seconds_sum",
            'dag_id="churn_training",run_type="manual",state="success"',
        ),
    }
    assert not [name for name, _ in said if "else" in name]


@pytest.mark.slow
def test_times_arrive_in_seconds(stack: Watched) -> None:
    (run,) = stack.query('airflow_dagrun_duration_seconds_sum{state="success"}')
    (task,) = stack.query("airflow_task_duration_seconds_sum")
    assert (float(run["value"][1]), float(task["value"][1])) == (12.0, 5.0)


@pytest.mark.slow
def test_versions_are_shown_in_the_order_of_their_numbers(stack: Watched) -> None:
    """Of series over time, Prometheus sorts the labels as texts."""
    (panel,) = (panel for _, panel in panels() if panel["title"] == "Version in production")
    made_up = " or ".join(f'label_replace(vector(1), "version", "{n}", "", "")' for n in VERSIONS)
    expression = panel["targets"][0]["expr"].replace("champion_info", made_up)
    asked = {"query": expression, "start": 1, "end": 2, "step": 1}
    answer = httpx.get(f"{stack.prometheus}/api/v1/query_range", params=asked).json()
    found = [int(series["metric"]["version"]) for series in answer["data"]["result"]]
    assert found == sorted(VERSIONS)


def _own_labels(metric: dict[str, str]) -> str:
    own = {k: v for k, v in metric.items() if k not in {"__name__", "job", "instance"}}
    return ",".join(f'{key}="{value}"' for key, value in sorted(own.items()))
