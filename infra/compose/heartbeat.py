"""Whether a part of Airflow is alive, as the API server's own health page tells it.

python -m infra.compose.heartbeat scheduler | dag_processor | triggerer

`airflow jobs check` asks the same and takes four seconds of a core each time.
"""

import json
import os
import sys
from urllib.request import ProxyHandler, build_opener

TIMEOUT_SECONDS = 8


def main() -> int:
    """0 for a part that is alive; a health check shows what else is printed."""
    part = sys.argv[1]
    server = os.environ.get("CHURN_AIRFLOW_URL", "http://airflow-api-server:8080")
    page = f"{server}/api/v2/monitor/health"
    with build_opener(ProxyHandler({})).open(page, timeout=TIMEOUT_SECONDS) as answer:
        told = json.load(answer)[part]
    sys.stderr.write(f"{part}: {told}\n")
    return 0 if told["status"] == "healthy" else 1


if __name__ == "__main__":
    sys.exit(main())
