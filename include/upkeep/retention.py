"""How long what is kept, and that nothing goes that somebody still needs."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from include.errors import ConfigurationError
from include.params import DriftRules
from include.settings import Settings
from include.store import Store

WEEK_DAYS, HOURS = 7, 24
CLOCKS_APART = timedelta(hours=12)  # nothing is kept for so short a time


@dataclass(frozen=True)
class Retention:
    """Days that each thing is kept, as the settings say."""

    runs_days: int
    predictions_days: int
    scores_days: int
    logs_days: int


def checked_retention(settings: Settings, rules: DriftRules) -> Retention:
    """The settings' days; ConfigurationError where outcomes would lose what they are joined from.

    `measure_outcomes` may read a week's predictions until all of them are ripe: `outcome_days` and
    `label_days` after the week's end. A drift run may be repeated some days late: a week more.
    """
    ripening = math.ceil(rules.outcome_days + rules.performance.label_days)
    needed = ripening + 2 * WEEK_DAYS
    if settings.keep_predictions_days < needed:
        raise ConfigurationError(
            f"CHURN_KEEP_PREDICTIONS_DAYS must be at least {needed}, found "
            f"{settings.keep_predictions_days}: measure_outcomes reads predictions that old "
            "(outcome_days and label_days of drift in params.yaml, the week itself, and one for "
            "late runs). Keep more, or let them ripen sooner; nothing is deleted until then"
        )
    if HOURS * settings.keep_runs_days < settings.approval_hours + HOURS:
        raise ConfigurationError(
            "CHURN_KEEP_RUNS_DAYS must be a day longer than CHURN_APPROVAL_HOURS at least, found "
            f"{settings.keep_runs_days} days and {settings.approval_hours:g} hours: a run that "
            "waits for a person needs its files afterwards; nothing is deleted until then"
        )
    return Retention(
        runs_days=settings.keep_runs_days,
        predictions_days=settings.keep_predictions_days,
        scores_days=settings.keep_scores_days,
        logs_days=settings.keep_logs_days,
    )


def check_clock(store: Store, key: str, now: datetime) -> None:
    """ConfigurationError where the store dates a new object `key` far from `now`.

    By a clock that is a year ahead all that a bank has kept is too old.
    """
    store.write(key, b"")
    (found,) = (info.modified for info in store.list(key) if info.key == key)
    dated = datetime.fromtimestamp(found, UTC)
    if abs(dated - now) > CLOCKS_APART:
        raise ConfigurationError(
            f"expected this host's clock and the object store's to agree, found "
            f"{now:%Y-%m-%d %H:%M} here and {dated:%Y-%m-%d %H:%M} in the store (UTC): set the "
            "wrong one; nothing is deleted until then"
        )


def moment_before(now: datetime, days: int) -> datetime:
    """The moment before which a thing is too old."""
    return now - timedelta(days=days)


def day_before(now: datetime, days: int) -> date:
    """The day before which a day's objects are too old: a whole day is kept or goes."""
    return moment_before(now, days).date()
