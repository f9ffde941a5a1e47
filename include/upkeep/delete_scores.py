"""The nightly scores' old days."""

from include.scoring.run import SCORES_PREFIX
from include.upkeep.old_objects import delete_days
from include.upkeep.retention import day_before
from include.upkeep.run import Freed, UpkeepRun


def delete_scores(run: UpkeepRun) -> Freed:
    """Delete old nights' parquet and summaries; the table `churn_scores` has the last night."""
    return delete_days(run, SCORES_PREFIX, before=day_before(run.now, run.retention.scores_days))
