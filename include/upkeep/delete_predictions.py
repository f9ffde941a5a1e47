"""The prediction log's old days."""

from include.predictions.log import PREFIX
from include.upkeep.old_objects import delete_days
from include.upkeep.retention import day_before
from include.upkeep.run import Freed, UpkeepRun


def delete_predictions(run: UpkeepRun) -> Freed:
    """Delete the days of predictions that nobody measures any more."""
    before = day_before(run.now, run.retention.predictions_days)
    return delete_days(run, PREFIX, before=before)
