"""Evidently's reports, which are megabytes a day; the findings of the day stay."""

from include.drift.findings import PREFIX, REPORT_FILE, REPORT_PAGE
from include.upkeep.old_objects import delete_days
from include.upkeep.retention import day_before
from include.upkeep.run import Freed, UpkeepRun

REPORTS = (f"/{REPORT_PAGE}", f"/{REPORT_FILE}")


def delete_reports(run: UpkeepRun) -> Freed:
    """Delete a day's report with its predictions; drift.json and the outcomes, some kB, stay."""
    before = day_before(run.now, run.retention.predictions_days)
    return delete_days(run, PREFIX, before=before, ends=REPORTS)
