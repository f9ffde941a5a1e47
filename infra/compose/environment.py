"""`make env`: a .env with random secrets, readable by its owner alone, never written over.

python3 -m infra.compose.environment [FILE]

It needs Python alone, for machines that have containers and nothing else.
"""

import base64
import os
import re
import secrets
import sys
from pathlib import Path

# Secrets are made for the names that end in =.
TEMPLATE = """\
# Made by `make env` for docker compose. Never commit it; keep a copy where you keep secrets.
COMPOSE_PROJECT_NAME=churn

# Who may call the API: keys separated by commas, two while you rotate.
CHURN_API_KEYS=

# People sign in with these: the dashboard, Airflow (user admin), Grafana (user admin).
CHURN_DASHBOARD_PASSWORD=
CHURN_AIRFLOW_PASSWORD=
CHURN_GRAFANA_PASSWORD=

# Keys the HMAC that stands for a customer's id in logs. Keep it for as long as the logs: where you
# change it, the one before goes to CHURN_FORMER_ID_KEYS.
CHURN_ID_KEY=

# What the services say to each other.
CHURN_DASHBOARD_SECRET=
CHURN_AIRFLOW_SECRET=
CHURN_JWT_SECRET=
CHURN_FERNET_KEY=
CHURN_REDIS_PASSWORD=

# Databases. They take these passwords when their volumes are made; later changes do not
# reach them.
CHURN_MYSQL_PASSWORD=
CHURN_MYSQL_ROOT_PASSWORD=
CHURN_EXPORTER_PASSWORD=
CHURN_POSTGRES_PASSWORD=
CHURN_AIRFLOW_DB_PASSWORD=
CHURN_MLFLOW_DB_PASSWORD=

# The object store's credentials.
CHURN_S3_ACCESS_KEY=
CHURN_S3_SECRET_KEY=

# Every other setting, and what it means: .env.example. What you set goes below.
"""
TYPED = (
    *("CHURN_DASHBOARD_PASSWORD", "CHURN_AIRFLOW_PASSWORD", "CHURN_GRAFANA_PASSWORD"),
    "CHURN_S3_ACCESS_KEY",
)


def environment_text() -> str:
    """A whole .env, with secrets that nobody has seen."""
    wanted = re.compile(r"^(CHURN_\w+)=$", re.MULTILINE)
    return wanted.sub(lambda found: f"{found[0]}{make_secret(found[1])}", TEMPLATE)


def make_secret(name: str) -> str:
    """A random value that needs no quoting in a URL, a shell or SQL."""
    if name == "CHURN_FERNET_KEY":
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_hex(12 if name in TYPED else 24)


def write_environment(path: Path) -> None:
    """Write the file for the first and only time; FileExistsError when it is there."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        os.fchmod(handle, 0o600)  # whatever the umask says
        file.write(environment_text())


def main() -> int:
    """The command line; 1 when there is a file already."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".env")
    try:
        write_environment(path)
    except FileExistsError:
        sys.stderr.write(
            f"{path} is there already and stays as it is: databases know its passwords. To begin "
            "anew, `make down ARGS=--volumes`, move it away, and call `make env` again\n"
        )
        return 1
    sys.stdout.write(f"{path} is written, readable by you alone; `make up` is next\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
