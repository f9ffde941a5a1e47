"""Drift of a version that says who will leave: the customers it is held against, new labels."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import Engine

from include.champion import versions
from include.champion.versions import Evaluation
from include.drift.guards import NewLabels, PinnedChampion
from include.drift.new_labels import new_labels
from include.errors import ChampionError
from include.handover import frame_bytes
from include.history.tables import AS_OF, LOADED_AT
from include.store import LocalStore
from include.target import Target
from tests.include.bank_days import (
    BUSY_SHIFT,
    CONTRACT,
    DAY,
    SNAPSHOT,
    drift_run,
    existing,
    log,
    manifest_of,
    people,
    promote,
    reference,
)
from tests.include.champion.early_warning_example import EARLY
from tests.include.drift.conftest import MakeRun, detect
from tests.include.history.tiny import Tiny, fill

MONTH = Target(kind="horizon", gap_days=14, horizon_days=30)
CHAMPION = PinnedChampion("2", SNAPSHOT, SNAPSHOT, MONTH)
DAYS = [date(2026, month, 1) for month in (1, 2, 3, 4, 5)]  # up to March their windows are over


def publish(store: LocalStore, *, judged_by: date | None = DAYS[0]) -> None:
    """Version 2, which says who will leave, is in production."""
    early = EARLY.model_copy(update={"as_of": judged_by}) if judged_by else None
    facts = {"metrics": {}, "curves": {}, "slices": [], "importance": {}}
    found = Evaluation(threshold=0.5, holdout_rows=1, early_warning=early, **facts)  # type: ignore[arg-type]
    files = {
        versions.EVALUATION_FILE: found.to_bytes(),
        versions.REFERENCE_FILE: frame_bytes(reference(people(5000, seed=1))),
    }
    names = CONTRACT.feature_names
    promote(store, manifest_of("2", names, files, target=MONTH), files)


def history(bank: Engine, *left: tuple[date, bool]) -> None:
    """Snapshots of a few customers, who leave on these days; the bank knows it two days later."""
    some = people(len(left)).drop(columns="Attrition_Flag")
    rows = [some.assign(**{AS_OF: day, LOADED_AT: datetime(2026, 5, 1)}) for day in DAYS]
    exits = pd.DataFrame(
        {
            "CLIENTNUM": some["CLIENTNUM"],
            "left_on": [day for day, _ in left],
            "known_at": [datetime(day.year, day.month, day.day) + timedelta(2) for day, _ in left],
            "voluntary": [wished for _, wished in left],
        }
    )
    fill(bank, Tiny(pd.concat(rows), exits, tuple(DAYS)))


def found(store: LocalStore, bank: Engine) -> NewLabels:
    return new_labels(drift_run(store=store, open_engine=lambda: bank), CHAMPION)


def test_only_leavers_in_windows_that_closed_since_are_new(
    local_store: LocalStore, bank: Engine
) -> None:
    publish(local_store)
    history(
        bank,
        (date(2026, 2, 14), True),  # in the window that judged the champion
        (date(2026, 2, 15), True),
        (date(2026, 4, 14), True),  # in the last day of March's window
        (date(2026, 4, 15), True),  # in April's, which is open
        (date(2026, 3, 3), False),  # not by the customer's wish
    )
    labels = found(local_store, bank)
    assert (labels.found, labels.needed) == (2, 100)
    assert "since the champion's last one, 2026-01-01 (the newest is 2026-03-01)" in labels.told


@pytest.mark.parametrize("judged_by", [date(2026, 3, 1), date(2026, 4, 1)])
def test_without_a_newly_closed_month_nothing_is_new(
    local_store: LocalStore, bank: Engine, judged_by: date
) -> None:
    publish(local_store, judged_by=judged_by)
    history(bank, (date(2026, 4, 14), True), (date(2026, 4, 30), True))
    assert found(local_store, bank).found == 0


def test_without_tables_of_history_nothing_is_new(local_store: LocalStore, bank: Engine) -> None:
    publish(local_store)
    assert "make load-history" in found(local_store, bank).told


def test_a_version_whose_month_is_unknown_is_said_to_be_broken(
    local_store: LocalStore, bank: Engine
) -> None:
    publish(local_store, judged_by=None)
    history(bank, (date(2026, 4, 14), True))
    with pytest.raises(ChampionError, match="expected early_warning, train a version anew"):
        found(local_store, bank)


def test_drift_starts_no_training_before_a_month_has_closed(
    local_store: LocalStore, bank: Engine, make_run: MakeRun
) -> None:
    publish(local_store)
    log(local_store, people(2500, drift=BUSY_SHIFT), version="2")
    history(bank, (date(2026, 2, 20), True), (date(2026, 4, 20), True))
    now = {"open_engine": lambda: bank, "now": datetime(2026, 5, 5, 0, 30, tzinfo=UTC)}
    day, told = detect(make_run(**now))
    assert day.drifted and told.reason == "few_new_labels"
    assert "1 customers left in the windows of months" in told.explanation
    assert detect(make_run("again", rules={"newly_left_min": 1}, **now))[1].triggered


@pytest.mark.parametrize("configured", ["nearest", "existing", "all"])
def test_customers_are_compared_with_all_who_were_there_on_the_day(
    local_store: LocalStore, make_run: MakeRun, configured: str
) -> None:
    publish(local_store)
    log(local_store, existing(2500), version="2")
    day, _ = detect(make_run(rules={"reference": configured}))
    assert [group.reference for group in day.groups] == ["all"]
    assert day.date == DAY
