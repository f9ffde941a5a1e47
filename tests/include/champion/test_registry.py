"""The model registry on a real MLflow server."""

import uuid

import pytest

from include.champion.registry import CANDIDATES, PRODUCTION, Registry
from include.champion.tracking import PARAMS_TAG


@pytest.fixture
def candidate(registry: Registry) -> str:
    """A registered candidate that the gate accepted; it has no graph."""
    run_id = registry.ensure_run(uuid.uuid4().hex, {PARAMS_TAG: "a"})
    registry._ensure_model(CANDIDATES)
    source = f"runs:/{run_id}/model"
    version = str(registry._client.create_model_version(CANDIDATES, source, run_id=run_id).version)
    registry.describe(version, "accepted against no champion", {"gate": "accepted"})
    return version


def test_a_copy_in_production_says_how_its_candidate_was_judged_last(
    registry: Registry, candidate: str
) -> None:
    first = registry.copy_to_production(candidate)
    registry.describe(candidate, "not decided against version 7", {"gate": "needs_person"})
    assert registry.copy_to_production(candidate) == first
    copy = registry._client.get_model_version(PRODUCTION, first)
    told = (copy.description, copy.tags["gate"])
    assert told == ("not decided against version 7", "needs_person")
