"""Runs of `churn_upkeep` over what a long time has left."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.store import LocalStore, Store
from include.upkeep.retention import Retention
from include.upkeep.run import Places, UpkeepRun

NOW = datetime(2026, 11, 29, 5, tzinfo=UTC)
MakeRun = Callable[..., UpkeepRun]


# A tenth of what is usual: a test's days are files.
SHORT = Retention(runs_days=3, predictions_days=40, scores_days=40, logs_days=3)


def upkeep_run(store: Store, log_folder: Path, **given: Any) -> UpkeepRun:
    """A run at NOW with a short retention; arguments replace its parts and its places."""
    places = {
        "remote_logs": "",
        "airflow_database_url": "",
        "mlflow_database_url": "",
        "tracking_uri": "",
    }
    parts = {
        "dag_run_id": "scheduled__2026-11-29T05:00:00+00:00",
        "store": store,
        "retention": SHORT,
        "store_expires": False,
        "now": NOW,
        "dry_run": False,
    }
    found = {name: given.pop(name, usual) for name, usual in places.items()}
    return UpkeepRun(**{**parts, **given}, places=Places(log_folder, **found))


@pytest.fixture
def make_run(local_store: LocalStore, tmp_path: Path) -> MakeRun:
    """Makes a run over a directory; arguments as above."""
    (tmp_path / "logs").mkdir()
    return lambda **given: upkeep_run(given.pop("store", local_store), tmp_path / "logs", **given)
