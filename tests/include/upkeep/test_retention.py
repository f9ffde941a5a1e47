"""How long what is kept, and which days are refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.errors import ConfigurationError
from include.params import DriftRules, load_params
from include.settings import Settings
from include.store import LocalStore
from include.upkeep.retention import check_clock, checked_retention


@pytest.fixture
def rules() -> DriftRules:
    return load_params(Settings().params_file).drift


@pytest.mark.parametrize(
    ("days", "changed", "needed"),
    [
        (117, {}, 118),
        (118, {}, 0),
        (400, {"outcome_days": 400.5}, 429),
        (400, {"outcome_weeks": 500}, 0),  # weeks that are settled are read no more
    ],
)
def test_what_outcomes_are_measured_on_is_kept(
    rules: DriftRules, days: int, changed: dict[str, float], needed: int
) -> None:
    settings = Settings(keep_predictions_days=days)
    rules = rules.model_copy(update=changed)
    if not needed:
        assert checked_retention(settings, rules).predictions_days == days
        return
    with pytest.raises(ConfigurationError, match=f"must be at least {needed}, found {days}: "):
        checked_retention(settings, rules)


def test_a_run_that_waits_for_a_person_keeps_its_files(rules: DriftRules) -> None:
    settings = Settings(keep_runs_days=7, approval_hours=144)
    assert checked_retention(settings, rules).runs_days == 7
    longer = settings.model_copy(update={"approval_hours": 145})
    with pytest.raises(ConfigurationError, match="found 7 days and 145 hours"):
        checked_retention(longer, rules)


def test_a_clock_that_the_store_does_not_share_deletes_nothing(tmp_path: Path) -> None:
    store, now = LocalStore(tmp_path), datetime.now(UTC)
    check_clock(store, "runs/upkeep/clock", now)
    for wrong in (now + timedelta(days=365), now - timedelta(days=1)):
        with pytest.raises(ConfigurationError, match=f"found {wrong:%Y-%m-%d %H:%M} here"):
            check_clock(store, "runs/upkeep/clock", wrong)
