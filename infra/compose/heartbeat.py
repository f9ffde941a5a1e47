"""Whether one of Airflow's components is alive, as Airflow's API server tells it.

python -m infra.compose.heartbeat scheduler

`airflow jobs check` asks the database and takes four seconds of a core each time.
"""

import json
import sys
from urllib.request import urlopen

HEALTH_URL = "http://airflow-api-server:8080/api/v2/monitor/health"
ANSWER_SECONDS = 5


def main(url: str = HEALTH_URL) -> int:
    """0 for a component that is alive; a health check shows what else is printed."""
    component = sys.argv[1]
    with urlopen(url, timeout=ANSWER_SECONDS) as answer:
        told = json.load(answer)[component]
    if told["status"] != "healthy":
        sys.stderr.write(f"{component}: {told}, expected healthy\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
