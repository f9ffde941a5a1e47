"""`make demo` for real: Airflow schedules both DAGs, the API serves, and the loop closes twice."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from include.champion import versions
from include.drift.findings import read_day
from include.settings import PROJECT
from include.store import LocalStore
from tests.e2e.test_make_run import Started, environment, start

DEMO_SECONDS = 400

pytestmark = pytest.mark.timeout(1200)
__all__ = ["environment"]  # the fixture: a directory and ports of this module's own


@pytest.fixture(scope="module")
def stack(environment: Mapping[str, str]) -> Iterator[Started]:
    """A stack with its first champion."""
    started = start(environment)
    yield started
    if started.process.poll() is None:
        started.process.terminate()
        started.process.wait(timeout=60)


def demo(environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the demonstration."""
    return subprocess.run(
        [sys.executable, "-m", "infra.local.demo"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )


def assert_closed(store: LocalStore, said: str, *, old: str, new: str) -> None:
    """What the story tells is what the store holds."""
    pointer, _ = versions.read_pointer(store) or (None, "")
    assert pointer is not None and (pointer.version, pointer.previous) == (new, old)
    manifest = versions.read_manifest(store, pointer)
    day = manifest.trigger["drift_date"]
    assert manifest.trigger["trigger_reason"] == "drift"
    assert manifest.dag_run_id == f"drift__{day}__v{old}"
    assert manifest.trigger["num_drifted_features"] >= 1
    assert store.read(f"monitoring/date={day}/report.html").data
    assert manifest.trigger["report_uri"] == f"{store.uri}/monitoring/date={day}/report.html"
    assert manifest.gate["gain"] > 0.001 and manifest.gate["gain_interval"][0] > 0
    assert manifest.dag_run_id in [s.run_id for s in read_day(store, _date(day)).started_runs]
    assert "No drift, and no training run." in said
    assert f"The API answers with version {new}" in said
    assert re.search(r"Of [\d,]+ requests in all, none failed\.", said)


def _date(text: str) -> object:
    from datetime import date

    return date.fromisoformat(text)


def test_the_loop_closes_twice_in_a_row(stack: Started, environment: Mapping[str, str]) -> None:
    store = LocalStore(Path(environment["CHURN_VAR_DIR"]) / "store")
    for old, new in (("1", "2"), ("2", "3")):
        done = demo(environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert_closed(store, done.stdout, old=old, new=new)


def test_without_a_stack_it_says_so(environment: Mapping[str, str], tmp_path: Path) -> None:
    done = demo({**environment, "CHURN_VAR_DIR": str(tmp_path)})
    assert done.returncode == 1 and "make run" in done.stdout
