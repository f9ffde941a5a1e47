"""How long what is kept, and that nothing goes that somebody still needs."""

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from include.errors import ConfigurationError
from include.params import DriftRules
from include.settings import Settings

WEEK_DAYS = 7


@dataclass(frozen=True)
class Retention:
    """Days that each thing is kept, as the settings say."""

    runs_days: int
    predictions_days: int
    scores_days: int
    logs_days: int


def checked_retention(settings: Settings, rules: DriftRules) -> Retention:
    """The settings' days; ConfigurationError where outcomes would lose what they are joined from.

    `measure_outcomes` joins the last `outcome_weeks` of predictions with what customers did, and a
    prediction ripens for `outcome_days`. A drift run may be repeated some days late: a week more.
    """
    needed = math.ceil(max(WEEK_DAYS * rules.outcome_weeks, rules.outcome_days)) + WEEK_DAYS
    if settings.keep_predictions_days < needed:
        raise ConfigurationError(
            f"CHURN_KEEP_PREDICTIONS_DAYS must be at least {needed}, found "
            f"{settings.keep_predictions_days}: measure_outcomes reads predictions that old "
            "(drift.outcome_weeks and drift.outcome_days in params.yaml, and a week for late "
            "runs). Keep more, or measure less; nothing is deleted until then"
        )
    return Retention(
        runs_days=settings.keep_runs_days,
        predictions_days=settings.keep_predictions_days,
        scores_days=settings.keep_scores_days,
        logs_days=settings.keep_logs_days,
    )


def moment_before(now: datetime, days: int) -> datetime:
    """The moment before which a thing is too old."""
    return now - timedelta(days=days)


def day_before(now: datetime, days: int) -> date:
    """The day before which a day's objects are too old: a whole day is kept or goes."""
    return moment_before(now, days).date()
