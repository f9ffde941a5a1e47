"""Two processes that move the champion at the same moment, each behind a gate of its own making."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from include.champion import rollback, versions
from include.champion.rollback import Rollback
from include.handover import now
from include.params import load_params
from include.settings import Settings
from include.training.evaluate_model import Evaluated, Lineage
from include.training.run import TrainingRun
from tests.e2e.faults.kills import forks
from tests.e2e.faults.pipelines import Places, World
from tests.include.conftest import changed, promote_judged

WAIT_SECONDS = 60


def training_of(world: World, name: str, trees: int) -> TrainingRun:
    """A run whose candidate the gate promotes unasked."""
    shape = {"n_estimators": trees, "max_depth": 4}
    params = changed(load_params(Settings().params_file), shape)
    return replace(world.training, dag_run_id=f"{name}__{world.places.name}", params=params)


def promote(places: Places, name: str, trees: int, *judged: Lineage | Evaluated) -> dict[str, Any]:
    """Promote what the run of that name has judged."""
    lineage, evaluated = judged
    assert isinstance(lineage, Lineage) and isinstance(evaluated, Evaluated)
    return vars(promote_judged(training_of(World(places), name, trees), lineage, evaluated))


def roll_back(places: Places, who: str) -> dict[str, Any]:
    """Move back to version 1."""
    world = World(places)
    asked = Rollback("1", "complaints", who)
    return vars(rollback.move_champion(world.store, world.registry, asked, now=now()))


def run(call: Callable[..., Any], arguments: tuple[Any, ...], gate: Any, answers: Any) -> None:
    """In a process: wait with the first move until the rival is about to move, too."""
    real = versions.move_pointer

    def together(*given: Any, **named: Any) -> Any:
        versions.move_pointer = real
        gate.wait(WAIT_SECONDS)
        return real(*given, **named)

    versions.move_pointer = together
    answers.put((arguments[1], call(*arguments)))


def raced(call: Callable[..., Any], *racers: tuple[Any, ...]) -> dict[str, dict[str, Any]]:
    """What each process answered, by its name."""
    context = forks()
    gate, answers = context.Barrier(len(racers)), context.Queue()
    processes = [
        context.Process(target=run, args=(call, arguments, gate, answers)) for arguments in racers
    ]
    for process in processes:
        process.start()
    found = dict(answers.get(timeout=2 * WAIT_SECONDS) for _ in racers)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return found
