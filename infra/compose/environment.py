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

# Keys the HMAC that stands for a customer's id in logs. Keep it for as long as the logs.
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

# Choices; without the # they count.
# The bank's customers instead of made-up ones, for the first start: a CSV file's absolute path.
#CHURN_CUSTOMERS_CSV=
# Real S3 instead of the server in the stack. The keys above are then those of an IAM user.
#CHURN_STORE_URI=s3://bucket/prefix
#AWS_ENDPOINT_URL=
#AWS_DEFAULT_REGION=
# Ports, all on loopback.
#CHURN_API_PORT=8000
#CHURN_DASHBOARD_PORT=8050
#CHURN_AIRFLOW_PORT=8080
#CHURN_MLFLOW_PORT=5000
#CHURN_PROMETHEUS_PORT=9090
#CHURN_GRAFANA_PORT=3000
# At most so many cores for one service: docker takes no more than the machine has.
#CHURN_CPUS=2
# Requests for each API key, counted by each process of the API alone, or in Redis by all together;
# how many processes; when training runs unasked.
#CHURN_RATE_LIMIT=600/minute
#CHURN_RATE_LIMIT_STORAGE=redis://host:6379/0
#CHURN_API_WORKERS=2
#CHURN_TRAINING_SCHEDULE=@weekly
# How long a promotion waits for a person before it is rejected; the Airflow users who may answer
# (with single sign-on: the numeric id from Airflow's page Users).
#CHURN_APPROVAL_HOURS=24
#CHURN_APPROVERS=admin
# How often the API looks for a new champion; when its log goes to the store, how much may wait.
#CHURN_CHAMPION_POLL_SECONDS=5
#CHURN_LOG_FLUSH_SECONDS=10
#CHURN_LOG_FLUSH_ROWS=5000
#CHURN_SPOOL_MAX_BYTES=1073741824
# The largest request: records, and bytes.
#CHURN_MAX_BATCH_ROWS=10000
#CHURN_MAX_BODY_BYTES=16777216
# What the bank earns in a year from a dollar spent and one of balance, from the next scoring on.
#CHURN_REVENUE_PER_SPEND=0.015
#CHURN_REVENUE_PER_BALANCE=0.18
# Who hears of an alert: a file that holds the URL of a webhook, and nothing else.
#CHURN_ALERT_WEBHOOK_FILE=
# Where an alert's link leads: a folder's address, below which each alert's page has its name.
#CHURN_RUNBOOKS_URL=https://git.bank.example/churn/-/blob/main/docs/runbooks
# Logs of tasks go to the store, too.
#CHURN_REMOTE_LOGGING=True
#CHURN_REMOTE_LOG_URI=s3://churn/airflow-logs
# More compose files, such as workers; on EC2 docker-compose.production.yaml says what it needs.
#COMPOSE_FILE=docker-compose.yaml:infra/compose/docker-compose.celery.yaml
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
