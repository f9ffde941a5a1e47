"""Forgetting that is killed is completed by the next call."""

import subprocess
import sys
from pathlib import Path

from tests.include.erasure.bank import ONE, forgotten, notes, traces
from tests.include.erasure.conftest import copied

WRITTEN = 13  # objects that have the customer
KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from include.customers.database import open_engine
from include.erasure import forget as forgetting, tables
from include.erasure.person import person_of
from include.store import LocalStore

def killed(function, steps):
    def call(*given, **named):
        steps.append(0)
        if len(steps) == int(after):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*given, **named)
    return call

one, *stacks = sys.argv[1:]
for stack in stacks:
    folder, after = stack.rsplit("@")
    if not (child := os.fork()):
        steps = []
        LocalStore.replace = killed(LocalStore.replace, steps)
        LocalStore.create = killed(LocalStore.create, steps)
        tables.compact = killed(tables.compact, steps)
        var = Path(folder)
        engine = open_engine(f"sqlite:///{var / 'churn.db'}")
        places = forgetting.Places(engine, LocalStore(var / "store"), var, var / "spool", 0)
        forgetting.forget(places, person_of(one, b"k"), asked_by="case 17", now=datetime.now(UTC))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, stack
"""


def test_who_is_killed_is_completed_by_the_next(full_laptop: Path, tmp_path: Path) -> None:
    """At the first object; among the objects; before the file is compacted; before the note."""
    moments = (1, 5, WRITTEN + 1, WRITTEN + 2)
    banks = {each: copied(full_laptop, tmp_path / f"killed-{each}") for each in moments}
    stacks = [f"{bank.places.var_dir}@{after}" for after, bank in banks.items()]
    subprocess.run([sys.executable, "-c", KILLED, str(ONE), *stacks], check=True)
    for after, each in banks.items():
        ((key, rows),) = notes(each).items()
        assert key.endswith("Z-unfinished.json") and bool(rows) == (after > WRITTEN), after
        forgotten(each)
        assert traces(each) == {}
        assert [*notes(each)] == ["erasures/2026-05-05T00-30-00.000000Z.json"], after
        each.places.engine.dispose()
