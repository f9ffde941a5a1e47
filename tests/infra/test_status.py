"""What a person is told once the stack is up."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from include.champion.versions import EVALUATION_FILE, Manifest, file_entries
from include.settings import Settings
from include.store import open_store
from infra.local import status
from infra.local.services import Layout
from tests.dashboard.horizon import EARLY, horizon_version
from tests.webapp.champions import make_version, publish


@pytest.fixture
def manifest(settings: Settings) -> Manifest:
    """A champion in the stack's store."""
    publish(open_store(settings.resolved_store_uri), make_version("1"))
    found = status.champion(settings)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("champion_is_there", "failure", "state", "news"),
    [
        (True, None, "ready", "champion  version 1: ROC-AUC "),
        (False, None, "no champion", "there is no champion: the training run promoted none"),
        (False, "training failed: out of cheese", "failed", "training failed: out of cheese"),
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
    users = ["admin", "operator", "viewer"]
    assert found["passwords"]["airflow"] == {
        "user": "admin",
        "users": users,
        "file": str(places.passwords),
    }
    assert json.loads(json.dumps(found)) == found
    text = "\n".join(status.summary(places, settings, champion, failure=failure))
    airflow = f"users {', '.join(users)}; passwords in {places.passwords}"
    for told in (news, airflow, *places.urls.values()):
        assert told in text
    lines = status.summary(places, settings, champion, failure=failure, down={"airflow", "mlflow"})
    assert {url: url in "\n".join(lines) for url in places.urls.values()} == {
        url: name in {"api", "dashboard"} for name, url in places.urls.items()
    }


def test_a_champion_that_warns_early_says_how_early(places: Layout, settings: Settings) -> None:
    manifest, files = horizon_version("1", champion=None)
    publish(open_store(settings.resolved_store_uri), (manifest, files))
    text = "\n".join(status.summary(places, settings, manifest, failure=None))
    for told in (
        f"it says who leaves within 90 days, after the first 14; judged on {EARLY.as_of}",
        "left 15–30, 31–60, 61–104 days after, its list of 10% had 76%, 62%, 44%; the naive rule's",
    ):
        assert told in text
    assert "F1" not in text


@pytest.mark.parametrize(
    ("evaluation", "told"),
    [({"of_a_later_release": 1}, True), ({"early_warning": "soon"}, False)],
)
def test_an_evaluation_that_cannot_be_read_costs_its_lines_alone(
    places: Layout, settings: Settings, evaluation: dict[str, Any], told: bool
) -> None:
    manifest, files = horizon_version("1", champion=None)
    found = json.loads(files[EVALUATION_FILE]) | evaluation
    files = {**files, EVALUATION_FILE: json.dumps(found).encode()}
    manifest = manifest.model_copy(update={"files": file_entries(files)})
    publish(open_store(settings.resolved_store_uri), (manifest, files))
    text = "\n".join(status.summary(places, settings, manifest, failure=None))
    assert ("warns early" in text) is told
    assert "champion  version 1" in text and "curl -s" in text


def test_with_keys_the_example_carries_one(
    places: Layout, settings: Settings, manifest: Manifest
) -> None:
    guarded = settings.model_copy(update={"api_keys": (SecretStr("k"),)})
    call = status.example_call(guarded, manifest, "http://127.0.0.1:1")
    assert '-H "X-API-Key: $KEY" -d' in call
    found = status.describe(places, guarded, manifest, failure=None)
    assert found["passwords"]["api"] == {"variable": "CHURN_API_KEYS"}
