"""The Service page: figures from /metrics alone, and from a real Prometheus."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from dashboard.data.api_client import ApiDown, ChurnApi
from dashboard.data.api_metrics import (
    PrometheusDown,
    live_from_prometheus,
)
from dashboard.pages.service import read_live
from include.settings import Settings
from tests.dashboard.conftest import Dashboard, OpenPage, Serve
from tests.ports import free_ports
from tests.webapp.champions import records
from tests.webapp.conftest import Server

SCRAPE = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: api
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def ask(api: Server, *, times: int) -> None:
    """Questions, each of ten customers, that nobody counts as traffic."""
    for _ in range(times):
        question = {"records": [dict(each) for each in records(10)]}
        answer = httpx.post(
            api.url + "/predict_batch", json=question, headers={"X-Churn-Source": "test"}
        )
        assert answer.status_code == 200


@pytest.fixture
def prometheus(api: Server, tmp_path: Path) -> Iterator[str]:
    """A Prometheus of its own that reads the bank's API every second."""
    path = shutil.which("prometheus")
    if path is None:
        pytest.skip("no prometheus on this machine: apt-get install prometheus to run this")
    (port,) = free_ports(1)
    (tmp_path / "prometheus.yml").write_text(SCRAPE.format(port=api.port))
    command = [
        path,
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(30)


def test_page_counts_what_is_asked(dashboard: Dashboard, api: Server, open_page: OpenPage) -> None:
    page = open_page(dashboard.url + "/service")
    page.get_by_text(re.compile(r"\d answers? since it began")).wait_for()
    ask(api, times=3)
    page.evaluate("dash_clientside.set_props('service-tick', {n_intervals: 1})")
    page.get_by_text("times a second over the last").wait_for()


@pytest.mark.slow
def test_page_reads_prometheus(
    prometheus: str, api: Server, serve: Serve, open_page: OpenPage, tmp_path: Path
) -> None:
    api.until(lambda: asked_again(api, prometheus), seconds=60)
    url = serve(Settings(var_dir=tmp_path, prometheus_url=prometheus, api_url=api.url))
    page = open_page(url + "/service")
    page.get_by_text("Live figures from Prometheus").wait_for()
    page.get_by_text("times a second over the last 5 minutes").wait_for()


def asked_again(api: Server, prometheus: str) -> bool:
    """Ask once more; whether Prometheus has seen it grow."""
    ask(api, times=1)
    try:
        found = live_from_prometheus(prometheus)
    except PrometheusDown:  # it is still starting
        return False
    return bool(found.rate and found.p99 is not None and found.errors == 0)


def test_page_says_that_prometheus_is_down(
    api: Server, serve: Serve, open_page: OpenPage, tmp_path: Path
) -> None:
    nobody = "http://127.0.0.1:9"
    url = serve(Settings(var_dir=tmp_path, prometheus_url=nobody, api_url=api.url))
    page = open_page(url + "/service")
    page.get_by_text("did not answer").wait_for()


def test_figures_that_are_none_are_told_as_what_is_no_api(monkeypatch: pytest.MonkeyPatch) -> None:
    api = ChurnApi(Settings(api_url="http://127.0.0.1:9"))
    monkeypatch.setattr(ChurnApi, "metrics", lambda _: "<html>Welcome</html>")
    sources = SimpleNamespace(settings=Settings(), api=api)
    with pytest.raises(ApiDown, match="is not the API: expected Prometheus' text.*Welcome"):
        read_live(sources, None)  # type: ignore[arg-type]
    api.close()
