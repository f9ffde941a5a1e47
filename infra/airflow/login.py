"""Airflow's users, and the file from which its simple login reads their passwords.

Containers have the first alone, or people of their own by docker-compose.sso.yaml.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from infra.airflow.files import write_whole

USER = "admin"  # airflow.cfg gives the role
# What SimpleAuthManager calls the three roles: an operator triggers and approves, a viewer looks.
ROLES = {USER: "admin", "operator": "op", "viewer": "viewer"}


def write_passwords(path: Path, passwords: Mapping[str, str]) -> None:
    """Write each user's, for the file's owner alone."""
    write_whole(path, json.dumps(passwords), mode=0o600)


def main() -> None:
    """In a container: where the settings say, before the API server starts."""
    path = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    write_passwords(path, {USER: os.environ["CHURN_AIRFLOW_PASSWORD"]})


if __name__ == "__main__":
    main()
