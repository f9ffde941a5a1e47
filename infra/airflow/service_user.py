"""Gives Airflow's FAB auth manager the user by which this system's own programs ask its REST API.

Its password signs in to no page: those lead to the provider (webserver_config.py).
"""

import os

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from infra.airflow.login import USER


def main() -> None:
    """Make the user, or give it today's password and its role again."""
    password = os.environ["CHURN_AIRFLOW_PASSWORD"]
    with get_application_builder() as appbuilder:
        manager = appbuilder.sm
        role, user = manager.find_role("Admin"), manager.find_user(username=USER)
        if user is None:
            manager.add_user(USER, "churn", "", f"{USER}@localhost", role, password=password)
            return
        user.roles = [role]
        manager.update_user(user)
        manager.reset_password(user.id, password)


if __name__ == "__main__":
    main()
