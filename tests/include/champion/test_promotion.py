"""What a version's number stands for in the store, whoever asks for it again."""

import pytest

from include.champion import promotion
from include.errors import ChampionError
from include.store import LocalStore
from tests.include.bank_days import CONTRACT, manifest_of

FILES = {"model.onnx": b"graph"}
DRAFT = manifest_of("draft", CONTRACT.feature_names, FILES, run_id="a", candidate_version="4")


def test_a_repeated_promotion_finds_its_own_version(local_store: LocalStore) -> None:
    first = promotion.publish(local_store, DRAFT, FILES, version="2")
    assert promotion.publish(local_store, DRAFT, FILES, version="2") == first


@pytest.mark.parametrize("other", [{"run_id": "b"}, {"candidate_version": "5"}])
def test_a_version_that_is_of_another_candidate_is_not_taken_for_this_one(
    local_store: LocalStore, other: dict[str, str]
) -> None:
    promotion.publish(local_store, DRAFT.model_copy(update=other), FILES, version="2")
    with pytest.raises(
        ChampionError,
        match=r"version 2 in file:.* is candidate . of MLflow run ., not candidate 4 of MLflow "
        r"run a: does another MLflow server share this store, or was the registry set back\?",
    ):
        promotion.publish(local_store, DRAFT, FILES, version="2")


def test_a_version_that_never_was_is_named_with_those_there_are(local_store: LocalStore) -> None:
    with pytest.raises(ChampionError, match=r"version '7' is not in .*; none is: train first"):
        promotion.read_whole_version(local_store, "7")
    promotion.publish(local_store, DRAFT, FILES, version="2")
    with pytest.raises(ChampionError, match=r"version '7' is not in .* newest there are 2: choose"):
        promotion.read_whole_version(local_store, "7")
