"""`make rollback VERSION=2 REASON="…"`: an earlier version into production again."""

import argparse
import logging
import sys

from include.settings import Settings
from infra.local.running import exit_code, run_dag
from infra.local.status import champion, figures

logger = logging.getLogger("rollback")

DAG_ID = "churn_rollback"


def main() -> int:
    """The command line; 1 when the version cannot be put into production."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.rollback", description=__doc__)
    parser.add_argument("version", help="the version of prod.churn_model to return to")
    parser.add_argument("--reason", required=True, help="why; it is kept with the version")
    arguments = parser.parse_args()
    return exit_code(
        "rollback", lambda settings: _roll_back(settings, arguments.version, arguments.reason)
    )


def _roll_back(settings: Settings, version: str, reason: str) -> int:
    before = champion(settings)
    run = run_dag(settings, DAG_ID, {"version": version, "reason": reason})
    logger.info("%.1f s from trigger to success", run.seconds or 0.0)
    after = champion(settings)
    if after is None:
        logger.error("make rollback: the pointer is gone from %s", settings.resolved_store_uri)
        return 1
    if before and before.version == after.version:
        logger.info("version %s was in production already: nothing was moved", after.version)
    else:
        was = before.version if before else "none"
        logger.info("champion is version %s, it was %s: %s", after.version, was, figures(after))
    logger.info("workers follow within %g s", settings.champion_poll_seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
