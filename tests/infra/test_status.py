"""What a person is told once the stack is up."""

import json
import shlex
from typing import Any

import pytest
from pydantic import SecretStr

from include.champion.versions import Manifest
from include.settings import Settings
from include.store import open_store
from infra.local import airflow, status
from infra.local.services import Layout
from tests.webapp.champions import make_version, publish


@pytest.fixture
def manifest(settings: Settings) -> Manifest:
    """A champion in the stack's store."""
    publish(open_store(settings.resolved_store_uri), make_version("1"))
    found = status.champion(settings)
    assert found is not None
    return found


def test_the_example_can_be_pasted_into_a_shell_and_is_accepted(
    settings: Settings, manifest: Manifest
) -> None:
    words = shlex.split(status.example_call(settings, manifest, "http://127.0.0.1:1"))
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:1/predict"]
    record = json.loads(words[-1])
    assert tuple(record) == manifest.columns
    _, faults = manifest.contract.check_record(record, required=manifest.columns)
    assert faults == []


def test_figures_have_names(manifest: Manifest) -> None:
    judged = manifest.model_copy(
        update={"metrics": {"roc_auc": 0.99, "brier": 0.02, "f1": 0.9, "calibration_error": 0.004}}
    )
    assert status.figures(judged) == (
        "ROC-AUC 0.9900, Brier score 0.0200, F1 0.9000, calibration error 0.0040"
    )


def test_the_summary_says_where_everything_is(
    places: Layout, settings: Settings, manifest: Manifest
) -> None:
    airflow.prepare(places)
    text = "\n".join(status.summary(places, settings, manifest, failure=None))
    for url in places.urls.values():
        assert url in text
    assert f"user admin, password in {places.passwords}" in text
    assert airflow.password(places) not in text
    assert "curl -s" in text


@pytest.mark.parametrize(
    ("champion_is_there", "failure", "state", "news"),
    [
        (True, None, "ready", "champion  version 1"),
        (False, None, "no champion", "there is no champion: the training run promoted none"),
        (False, "out of cheese", "failed", "training failed: out of cheese"),
    ],
)
def test_stack_json_and_the_last_lines_tell_the_state(
    champion_is_there: bool,
    failure: str | None,
    state: str,
    news: str,
    places: Layout,
    settings: Settings,
    manifest: Manifest,
) -> None:
    champion = manifest if champion_is_there else None
    found: dict[str, Any] = status.describe(places, settings, champion, failure=failure)
    assert found["state"] == state
    assert found["urls"] == places.urls
    assert found["passwords"]["airflow"] == {"user": "admin", "file": str(places.passwords)}
    assert json.loads(json.dumps(found)) == found
    assert news in "\n".join(status.summary(places, settings, champion, failure=failure))


def test_with_keys_the_example_carries_one(
    places: Layout, settings: Settings, manifest: Manifest
) -> None:
    guarded = settings.model_copy(update={"api_keys": (SecretStr("k"),)})
    call = status.example_call(guarded, manifest, "http://127.0.0.1:1")
    assert '-H "X-API-Key: $KEY" -d' in call
    found = status.describe(places, guarded, manifest, failure=None)
    assert found["passwords"]["api"] == {"variable": "CHURN_API_KEYS"}
