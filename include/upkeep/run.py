"""One run of `churn_upkeep`: what its tasks share, and what they hand back."""

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from include.handover import Run
from include.upkeep.retention import Retention

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """Where things grow outside the object store; an empty URL is not reached from here."""

    log_folder: Path
    remote_logs: str  # where Airflow also sends its logs; empty where it does not
    airflow_database_url: str
    mlflow_database_url: str
    tracking_uri: str


@dataclass(frozen=True)
class UpkeepRun(Run):
    """The connections and rules of one run, whichever task it is in."""

    retention: Retention
    places: Places
    store_expires: bool  # the store itself deletes what is old: a bucket's lifecycle rules
    now: datetime
    dry_run: bool


@dataclass(frozen=True)
class Freed:
    """What a task deleted or, in a dry run, would delete."""

    what: str
    objects: int
    bytes: int | None  # null where only the objects can be counted
    dry_run: bool

    def __add__(self, other: "Freed") -> "Freed":
        """Both together, under the first one's name."""
        size = None if None in (self.bytes, other.bytes) else (self.bytes or 0) + (other.bytes or 0)
        return Freed(self.what, self.objects + other.objects, size, self.dry_run)


def say(freed: Freed) -> Freed:
    """Put it into the log, too."""
    size = "" if freed.bytes is None else f", {freed.bytes:,} bytes"
    verb = "would delete" if freed.dry_run else "deleted"
    logger.info("%s %s: %s%s", verb, freed.what, f"{freed.objects:,}", size)
    return freed


def left_alone(run: UpkeepRun, what: str, reason: str) -> Freed:
    """Nothing, and why."""
    logger.info("%s are left alone: %s", what, reason)
    return Freed(what, 0, 0, run.dry_run)
