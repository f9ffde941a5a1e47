"""Two who move the champion at once: one wins, the other says so, and no version is mixed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.champion.history import HistoryReader
from tests.e2e.faults.pipelines import Places, World, founded, seen
from tests.e2e.faults.racers import promote, raced, roll_back, training_of
from tests.include.conftest import evaluate, lineage_of
from tests.include.training.production import assert_whole

pytestmark = pytest.mark.slow  # training runs, and processes


@pytest.fixture
def world(tmp_path: Path, mlflow_server: str) -> Iterator[World]:
    places = Places(
        tmp_path, f"sqlite:///{tmp_path / 'bank.db'}", (tmp_path / "store").as_uri(), mlflow_server
    )
    found = founded(places)
    yield found
    found.engine.dispose()


def moves(world: World) -> list[tuple[str | None, str, str]]:
    found = HistoryReader(world.store).latest(9, pointer=None).moves
    return [(each.before, each.to, each.who) for each in found]


def test_of_two_promotions_at_once_one_wins_and_the_other_decides_again_against_it(
    world: World,
) -> None:
    racers = []
    for name, trees in (("early", 60), ("late", 60)):
        run = training_of(world, name, trees)
        lineage = lineage_of(run)
        racers.append((world.places, name, trees, lineage, evaluate(run, lineage)))
    answers = raced(promote, *racers)
    winner, loser = sorted(answers, key=lambda name: not answers[name]["moved"])
    assert answers[winner]["message"] == f"champion is {answers[winner]['version']}"
    assert not answers[loser]["moved"] and answers[loser]["outcome"] == "rejected"
    assert "not promoted: the gain in ROC-AUC is +0.0000" in answers[loser]["message"]
    version = answers[winner]["version"]
    assert_whole(world.store, world.registry, version)
    by = f"training run {winner}__{world.places.name}"
    assert [each[:2] for each in moves(world)] == [(None, "1"), ("1", version)]
    assert moves(world)[-1][2] == by


def test_of_two_rollbacks_at_once_one_moves_and_the_other_says_that_nothing_was_moved(
    world: World,
) -> None:
    run = training_of(world, "second", 60)
    lineage = lineage_of(run)
    promote(world.places, "second", 60, lineage, evaluate(run, lineage))
    answers = raced(roll_back, (world.places, "anna"), (world.places, "ben"))
    winner, loser = sorted(answers, key=lambda name: not answers[name]["moved"])
    assert answers[winner]["message"] == "champion is 1, before it was 2"
    assert "in production already: nothing was moved" in answers[loser]["message"]
    assert_whole(world.store, world.registry, "1")
    assert seen(world).moves == 3 and moves(world)[-1] == ("2", "1", winner)
