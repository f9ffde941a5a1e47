"""How long what is kept, and which days are refused."""

import pytest

from include.errors import ConfigurationError
from include.params import DriftRules, load_params
from include.settings import Settings, load_settings
from include.upkeep.retention import checked_retention


@pytest.fixture
def rules() -> DriftRules:
    return load_params(Settings().params_file).drift


def test_the_usual_days_are_kept(rules: DriftRules) -> None:
    found = checked_retention(Settings(), rules)
    kept = (found.runs_days, found.predictions_days, found.scores_days, found.logs_days)
    assert kept == (30, 400, 400, 30)


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


@pytest.mark.parametrize("value", ["0", "-1", "6", "a month", "nan", "30.5", "99999999999999999"])
@pytest.mark.parametrize("name", ["RUNS", "PREDICTIONS", "SCORES", "LOGS"])
def test_days_that_cannot_be_meant_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"CHURN_KEEP_{name}_DAYS", value)
    if value == "6" and name in {"PREDICTIONS", "LOGS"}:
        assert load_settings()
        return
    with pytest.raises(ConfigurationError, match=f"CHURN_KEEP_{name}_DAYS: .*, found '{value}'"):
        load_settings()
