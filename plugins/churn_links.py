"""Links from Airflow's own pages to the rest of the system."""

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from include.settings import load_settings


def create_views() -> list[dict[str, Any]]:
    """The entries of Airflow's navigation; addresses as a browser reaches them."""
    settings = load_settings()
    dashboard = settings.resolved_dashboard_url
    links = {
        "MLflow: runs and models": settings.mlflow_public_url or settings.tracking_uri,
        "Customers at risk": dashboard,
        "Latest drift report": f"{dashboard}/drift",
        "Churn API": f"{settings.api_public_url or settings.api_url}/docs",
    }
    return [
        {"name": name, "href": href, "destination": "nav", "category": "browse"}
        for name, href in links.items()
    ]


class ChurnLinks(AirflowPlugin):
    """Registers the links."""

    name = "churn_links"
    external_views = create_views()
