"""`make score`: score every customer now, on the stack that is up, and print the summary."""

import argparse
import logging
import sys
from datetime import UTC, date, datetime

from dotenv import load_dotenv

from include.errors import ChurnError
from include.params import load_params
from include.scoring.summarise_scores import described, read_summary
from include.settings import PROJECT, load_settings
from include.store import open_store
from infra.local.airflow_client import AirflowError
from infra.local.dag_runs import RunFailed, run_dag
from infra.local.run import log_to_terminal

logger = logging.getLogger("score")

DAG_ID = "churn_scoring"


def main() -> int:
    """The command line; 1 when the run fails."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.score", description=__doc__)
    parser.add_argument("--date", type=date.fromisoformat, help="day to file the scores under")
    arguments = parser.parse_args()
    log_to_terminal()
    load_dotenv(PROJECT / ".env")
    try:
        return _score(arguments.date)
    except (ChurnError, AirflowError, RunFailed) as error:
        logger.error("make score: %s", error)
        return 1


def _score(day: date | None) -> int:
    settings, filed = load_settings(), day or datetime.now(UTC).date()
    run = run_dag(settings, DAG_ID, {"date": filed.isoformat()})
    logger.info("%.1f s from trigger to success", run.seconds or 0.0)
    summary = read_summary(open_store(settings.resolved_store_uri), filed)
    if summary is None:
        logger.info("nobody was scored: there is no champion yet, `make train` first")
        return 0
    for line in described(summary, load_params(settings.params_file).scoring):
        logger.info("%s", line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
