"""The file from which Airflow's login reads its one user's password, from the environment."""

import json
import os
from pathlib import Path

from infra.local.files import write_whole

USER = "admin"


def main() -> None:
    """Write it where the settings say, before the API server starts."""
    path = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    password = os.environ["CHURN_AIRFLOW_PASSWORD"]
    write_whole(path, json.dumps({USER: password}), mode=0o600)


if __name__ == "__main__":
    main()
