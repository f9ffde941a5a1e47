"""Evidently's reports, which are megabytes a day; the findings of the day stay."""

from include.drift.findings import PREFIX, REPORT_FILE, REPORT_PAGE
from include.upkeep.old_objects import delete_named
from include.upkeep.retention import day_before
from include.upkeep.run import Freed, UpkeepRun

REPORTS = (f"/{REPORT_PAGE}", f"/{REPORT_FILE}")


def delete_reports(run: UpkeepRun) -> Freed:
    """Delete a day's report with its predictions; drift.json and the outcomes, some kB, stay.

    A bucket's lifecycle rules go by a key's beginning and cannot do this.
    """
    before = day_before(run.now, run.retention.predictions_days)
    return delete_named(
        run, PREFIX, before=before, is_wanted=lambda info: info.key.endswith(REPORTS)
    )
