"""The link from Airflow's page of `publish_report` to the report, as the dashboard shows it."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from include.addresses import drift_report_page
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
        return drift_report_page(load_settings().resolved_dashboard_url, str(found or ""))
