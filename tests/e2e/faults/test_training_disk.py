"""A full disk under the store, or under the customers' database: said, and over with new room."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from include.errors import ChurnError, DatabaseUnavailable, StoreUnavailable
from include.tasks.errors import reported
from tests.e2e.faults.pipelines import Places, World, founded, made_anew, seen
from tests.full_disk import fill_bytes

pytestmark = pytest.mark.slow  # training runs

TRAINING = ("ingest_data", "validate_data", "transform_data", "train_model", "evaluate_model")
SCORING = ("plan_ranges", "score_range")
NO_ROOM = {"store": "No space left on device", "database": "database or disk is full"}


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str) -> World:
    """A bank with room."""
    home = tmp_path_factory.mktemp("disk")
    places = Places(home, f"sqlite:///{home / 'bank.db'}", (home / "store").as_uri(), mlflow_server)
    world = founded(places)
    for task in (*TRAINING, *SCORING):
        world.run(task)
    return world


def moved(bank: World, disk: Path, home: Path, *, part: str) -> World:
    """The same bank, one part of which lies on another disk."""
    places = {"store": home / "store", "database": home / "bank.db"}
    places[part] = disk / places[part].name
    shutil.copytree(bank.places.home / "store", places["store"])
    shutil.copy(bank.places.home / "bank.db", places["database"])
    return bank.to(
        replace(
            bank.places,
            store=places["store"].as_uri(),
            database=f"sqlite:///{places['database']}",
        )
    )


@pytest.mark.parametrize("small_disk", ["size=24m"], indirect=True)
@pytest.mark.parametrize(
    ("part", "task"),
    [
        ("store", "transform_data"),
        ("store", "train_model"),
        ("store", "promote_model"),
        ("store", "score_range"),
        ("database", "plan_ranges"),
        ("database", "score_range"),
        ("database", "summarise_scores"),
        ("database", "snapshot_customers"),
    ],
)
def test_a_task_on_a_full_disk_says_so_changes_nothing_and_ends_well_when_there_is_room(
    bank: World, small_disk: Path, tmp_path: Path, part: str, task: str
) -> None:
    world = moved(bank, small_disk, tmp_path, part=part)
    made_anew(world, task)
    before = seen(world)
    filler = fill_bytes(small_disk)
    kind: type[ChurnError] = StoreUnavailable if part == "store" else DatabaseUnavailable
    with pytest.raises(kind, match=NO_ROOM[part]), reported():
        world.run(task)
    assert seen(world) == before
    filler.unlink()
    world.run(task)
    world.engine.dispose()
