"""`make score`: score every customer now, on the stack that is up, and print the summary."""

import argparse
import logging
import sys
from datetime import UTC, date, datetime

from include.params import load_params
from include.scoring.summarise_scores import described, read_summary
from include.settings import Settings
from include.store import open_store
from infra.local.running import exit_code, run_dag

logger = logging.getLogger("score")

DAG_ID = "churn_scoring"


def main() -> int:
    """The command line; 1 when the run fails."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.score", description=__doc__)
    parser.add_argument("--date", type=date.fromisoformat, help="day to file the scores under")
    arguments = parser.parse_args()
    return exit_code("score", lambda settings: _score(settings, arguments.date))


def _score(settings: Settings, day: date | None) -> int:
    filed = day or datetime.now(UTC).date()
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
