"""The link from Airflow's page of `publish_report` to the report, as the dashboard shows it."""

import re
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from include.settings import load_settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class DriftReportLink(BaseOperatorLink):
    """A button beside the task; browsers open neither file:// nor s3:// from a web page."""

    name = "Drift report"

    def get_link(self, operator: "BaseOperator", *, ti_key: Any) -> str:
        """The dashboard's page for the day whose report the task has just put away."""
        from airflow.sdk.execution_time.xcom import XCom

        found = XCom.get_value(ti_key=ti_key, key="return_value")
        return report_link(str(found or ""))


def report_link(report_uri: str) -> str:
    """Where a browser finds the report of a URI such as s3://bucket/…/date=2026-01-31/…."""
    settings = load_settings()
    dashboard = settings.dashboard_public_url or f"http://127.0.0.1:{settings.dashboard_port}"
    day = re.search(r"/date=(\d{4}-\d{2}-\d{2})/", report_uri)
    return f"{dashboard.rstrip('/')}/drift" + (f"?report={day[1]}" if day else "")
