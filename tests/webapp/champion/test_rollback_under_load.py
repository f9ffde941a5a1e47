"""An operator's rollback as callers see it: not at all, but for the version in the answers."""

import sys
import time
from datetime import UTC, datetime

import pytest

from include.champion import promotion, rollback
from include.champion.registry import CANDIDATES, PRODUCTION, Registry
from include.champion.rollback import Wish
from include.store import LocalStore
from tests.include.conftest import clear_models
from tests.webapp.champions import Version, publish, records
from tests.webapp.conftest import Server
from tests.webapp.load import Load

POLL_SECONDS = 1.0
WISH = Wish("1", "complaints from the call centre", "anna")


@pytest.fixture
def registry(mlflow_server: str) -> Registry:
    """A registry whose production has the versions 1 and 2; 2 is the champion."""
    registry = Registry(mlflow_server)
    clear_models(registry, CANDIDATES, PRODUCTION)
    registry._client.create_registered_model(PRODUCTION)
    run_id = registry.ensure_run("rollback under load", {"params_sha256": "0"})
    source = f"{registry._client.get_run(run_id).info.artifact_uri}/model"
    for _ in ("1", "2"):
        registry._client.create_model_version(PRODUCTION, source, run_id=run_id)
    registry.set_champion("2")
    return registry


def test_all_workers_serve_the_old_version_within_the_polling_interval(
    server: Server,
    server_store: LocalStore,
    registry: Registry,
    version_1: Version,
    version_2: Version,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for version in (version_1, version_2):
        publish(server_store, version)
    server.environment["CHURN_CHAMPION_POLL_SECONDS"] = str(POLL_SECONDS)
    server.start()
    with Load(server, records(8)) as load:
        time.sleep(2)
        rollback.check_version(server_store, registry, WISH)
        before = len(load.answers)
        done = rollback.move_champion(server_store, registry, WISH, now=datetime.now(UTC))
        time.sleep(POLL_SECONDS + 3)
    assert done.moved and promotion.read_production(server_store, registry).alias == "1"
    assert load.refused == [] and load.cut_off == 0
    last_new = max(i for i, (_, a) in enumerate(load.answers) if a["model_version"] == "2")
    moved_at = datetime.fromisoformat(load.answers[before - 1][1]["timestamp"])
    ended_at = datetime.fromisoformat(load.answers[last_new][1]["timestamp"])
    seconds = (ended_at - moved_at).total_seconds()
    with capsys.disabled():
        shown = f"{len(load.answers)} answers, none failed, the last worker after {seconds:.2f} s"
        sys.stdout.write(shown + "\n")
    assert seconds < POLL_SECONDS + 2  # a busy machine loads more slowly
    assert load.answers[-1][1]["model_version"] == "1"
