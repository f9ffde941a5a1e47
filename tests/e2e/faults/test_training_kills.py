"""kill -9 behind every write of every task: nothing half-done is seen, and the next try ends it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from include.store import LocalStore
from tests.conftest import empty_database
from tests.e2e.faults.kills import killed
from tests.e2e.faults.pipelines import (
    CUSTOMERS,
    Places,
    Seen,
    World,
    founded,
    seen,
    without_march,
    without_rows,
    without_second,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a process for each write

TRAINING = ("ingest_data", "validate_data", "transform_data", "train_model", "evaluate_model")
SCORING = ("plan_ranges", "score_range", "summarise_scores")
DRIFT = ("plan_parts", "collect_predictions", "detect_drift")
TUNING = ("prepare_study", "tune_hyperparameters", "publish_best")
# What was done before a task, and how many writes it has at least: a blind watch kills nobody.
TASKS = {
    "ingest_data": (TRAINING[:0], 4),
    "validate_data": (TRAINING[:1], 4),
    "transform_data": (TRAINING[:2], 4),
    "train_model": (TRAINING[:3], 10),
    "evaluate_model": (TRAINING[:4], 20),
    "reject": (TRAINING, 3),
    "plan_ranges": (SCORING[:0], 3),
    "score_range": (SCORING[:1], 9),
    "collect_predictions": (DRIFT[:1], 2),
    "detect_drift": (DRIFT[:2], 1),
    "measure_outcomes": ((), 1),
    "prepare_study": (TUNING[:0], 3),
    "publish_best": (TUNING[:2], 2),
    "delete_runs": ((), 1),
    "delete_predictions": ((), 1),
}
# These change what people see: each kill, and the try behind it, in a bank that is as it was.
SEEN = {
    "summarise_scores": ((), lambda world: [world.run(task) for task in SCORING[:2]], 6),
    "snapshot_customers": ((), without_march, 1),
    "record_exits": ((), without_rows("churner_exits"), 1),
    "promote_model": (TRAINING, without_second, 15),
}
ON_BOTH = (*SCORING[:2], *(task for task in SEEN if task != "promote_model"))


@pytest.fixture(scope="module")
def banks(
    tmp_path_factory: pytest.TempPathFactory, mlflow_server: str, mariadb_server: str
) -> Iterator[dict[str, World]]:
    """A bank on each database, with a champion."""
    homes = {kind: tmp_path_factory.mktemp(kind) for kind in ("sqlite", "mariadb")}
    with empty_database(mariadb_server) as mariadb:
        urls = {"sqlite": f"sqlite:///{homes['sqlite'] / 'bank.db'}", "mariadb": mariadb}
        yield {
            kind: founded(Places(home, urls[kind], (home / "store").as_uri(), mlflow_server))
            for kind, home in homes.items()
        }


def bank_of_its_own(bank: World, home: Path) -> World:
    """The same bank, whose runs nobody has begun."""
    places = replace(bank.places, home=home, store=(home / "store").as_uri())
    assert isinstance(bank.store, LocalStore)
    shutil.copytree(bank.store.root, home / "store")  # with how old each object is
    if bank.engine.dialect.name == "sqlite":
        shutil.copy(bank.places.home / "bank.db", home)
        places = replace(places, database=f"sqlite:///{home / 'bank.db'}")
    return World(places)


KINDS = [
    pytest.param(kind, task, id=f"{task}-{kind}")
    for task in (*TASKS, *SEEN)
    for kind in ("sqlite", "mariadb")
    if kind == "sqlite" or task in ON_BOTH
]


@pytest.mark.parametrize(("kind", "task"), [each for each in KINDS if each.values[1] in TASKS])
def test_a_task_killed_behind_each_of_its_writes_in_turn_ends_well_and_nobody_sees_a_thing(
    banks: dict[str, World], tmp_path: Path, kind: str, task: str
) -> None:
    earlier, writes = TASKS[task]
    world = bank_of_its_own(banks[kind], tmp_path)
    for each in earlier:
        world.run(each)
    before = seen(world)
    kills = next(n for n in count(1) if not killed(world, task, behind=n)) - 1
    assert kills >= writes
    assert seen(world) == before
    if task == "score_range":  # everybody is there once, which the last task of a night proves
        assert [world.run(each) for each in SCORING[1:]][-1].scored == CUSTOMERS


@pytest.mark.parametrize(("kind", "task"), [each for each in KINDS if each.values[1] in SEEN])
def test_a_task_killed_behind_any_write_leaves_the_old_or_the_new_whole_and_the_retry_the_new(
    banks: dict[str, World], tmp_path: Path, kind: str, task: str
) -> None:
    earlier, make_anew, writes = SEEN[task]
    world = bank_of_its_own(banks[kind], tmp_path)
    for each in earlier:
        world.run(each)
    kills = 0
    for behind in count(1):
        make_anew(world)
        old = seen(world)
        if not killed(world, task, behind=behind):
            break
        found = seen(world)
        world.run(task)
        new = seen(world)
        assert new != old and found in (old, new, *between(task, old, new)), behind
        kills += 1
    assert kills >= writes


def between(task: str, old: Seen, new: Seen) -> list[Seen]:
    """The one thing that is told later than it is: a move of the pointer, by the next try."""
    return [replace(new, moves=old.moves)] if task == "promote_model" else []
