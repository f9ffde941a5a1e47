"""What a run takes from the day's log, and from the store's pointer, once."""

import numpy as np
import pandas as pd
import pytest

from include.champion.versions import POINTER_KEY
from include.customers.sample import NO_DRIFT, Drift
from include.drift.detect_drift import detect_drift
from include.drift.statistics import SCORE
from include.errors import ChampionError
from include.store import LocalStore, StoredObject
from tests.include import bank_days
from tests.include.bank_days import BUSY_SHIFT, log, people, publish
from tests.include.drift.conftest import MakeRun, collect

TRAINED = people(4000, seed=1)


class Watched(LocalStore):
    """A store that remembers which keys were read."""

    asked: tuple[str, ...] = ()

    def read(self, key: str) -> StoredObject:
        self.asked += (key,)
        return super().read(key)


def test_the_sample_is_bounded_and_of_logged_rows(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    publish(local_store, people=TRAINED)
    asked = people(2500)
    log(local_store, asked)
    (part,) = collect(make_run(rules={"report_rows": 400}))
    (group,) = part.groups
    sample = pd.read_parquet(local_store.root / (group.sample or ""))
    assert len(sample) == 400
    logged = set(np.round(bank_days.score(asked), 12))
    assert set(np.round(sample[SCORE], 12)) <= logged
    assert abs(sample["Customer_Age"].mean() - asked["Customer_Age"].mean()) < 2


@pytest.mark.parametrize(("drift", "reads"), [(NO_DRIFT, 1), (BUSY_SHIFT, 2)])
def test_the_pointer_is_read_once_and_looked_at_again_only_before_a_training(
    make_run: MakeRun, local_store: LocalStore, drift: Drift, reads: int
) -> None:
    publish(local_store, people=TRAINED)
    log(local_store, people(2500, drift=drift))
    run = make_run(store=Watched(local_store.root))
    assert detect_drift(run, collect(run)).triggered == (reads == 2)
    assert run.store.asked.count(POINTER_KEY) == reads  # type: ignore[union-attr]


def test_an_unreadable_pointer_fails_and_decides_nothing(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    publish(local_store, people=TRAINED)
    log(local_store, people(100))
    local_store.write(POINTER_KEY, b"{")
    with pytest.raises(ChampionError, match=r"champion/current\.json"):
        collect(make_run())
