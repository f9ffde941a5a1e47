"""`make airflow`: Airflow's own command line, with the settings of the local stack."""

import os
import sys

from dotenv import load_dotenv

from include.settings import PROJECT, load_settings
from infra.local import airflow
from infra.local.services import base_environment, layout


def main() -> None:
    """Become `airflow` with this process's arguments."""
    load_dotenv(PROJECT / ".env")
    settings = load_settings()
    places = layout(settings)
    airflow.prepare(places)
    environment = airflow.airflow_environment(
        places, base_environment(places), database_url=settings.resolved_database_url
    )
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *sys.argv[1:]], environment)


if __name__ == "__main__":
    main()
