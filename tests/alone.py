"""No test and no benchmark reaches what a developer's shell or `.env` names: a bank's own data."""

import os
from collections.abc import Collection

NAMES = ("CHURN_", "AIRFLOW_CONN_", "MLFLOW_TRACKING_URI")
FOR_TESTS = ("CHURN_TEST_CONTAINERS", "CHURN_KEEP_IMAGES", "CHURN_KEEP_CONTAINERS")


def stand_alone(*, but: Collection[str] = FOR_TESTS) -> None:
    """Forget what the environment names, but these; for the processes that follow, too."""
    os.environ["PYTHON_DOTENV_DISABLED"] = "true"  # python-dotenv's own switch
    for name in [name for name in os.environ if name.startswith(NAMES) and name not in but]:
        del os.environ[name]
