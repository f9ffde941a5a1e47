"""Whether this container's Airflow job is alive: it writes the time to the database by itself.

python -m infra.compose.heartbeat SchedulerJob

`airflow jobs check` asks the same and takes four seconds of a core each time.
"""

import os
import socket
import sys

ALIVE_SECONDS = 45
CONNECT_SECONDS = 5
QUERY = """
SELECT extract(epoch FROM now() - max(latest_heartbeat))
FROM job WHERE job_type = %s AND hostname = %s AND state = 'running'
"""


def age_seconds(job_type: str) -> float | None:
    """How long ago the job last wrote; None when it never did."""
    import psycopg2

    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1)
    connection = psycopg2.connect(url, connect_timeout=CONNECT_SECONDS)
    try:
        with connection.cursor() as cursor:
            cursor.execute(QUERY, (job_type, socket.gethostname()))
            (age,) = cursor.fetchone()
            return None if age is None else float(age)
    finally:
        connection.close()


def main() -> int:
    """0 for a job that is alive; a health check shows what else is printed."""
    job_type = sys.argv[1]
    age = age_seconds(job_type)
    if age is None or age > ALIVE_SECONDS:
        told = "never wrote" if age is None else f"last wrote {age:.0f} s ago"
        sys.stderr.write(
            f"{job_type} of {socket.gethostname()} {told}, expected {ALIVE_SECONDS} s or less\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
