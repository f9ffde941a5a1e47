"""Airflow's one user, and the file from which its login reads that user's password."""

import json
import os
from pathlib import Path

from infra.airflow.files import write_whole

USER = "admin"  # airflow.cfg gives the role


def write_password(path: Path, password: str) -> None:
    """Write the file, for its owner alone."""
    write_whole(path, json.dumps({USER: password}), mode=0o600)


def main() -> None:
    """In a container: where the settings say, before the API server starts."""
    path = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    write_password(path, os.environ["CHURN_AIRFLOW_PASSWORD"])


if __name__ == "__main__":
    main()
