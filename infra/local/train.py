"""`make train`: one training run on the stack that is up, with its progress."""

import argparse
import logging
import sys

from include.settings import Settings
from infra.airflow import training_run
from infra.local import airflow
from infra.local.running import exit_code, running_stack
from infra.local.status import champion, figures

logger = logging.getLogger("train")


def main() -> int:
    """The command line; 1 when the run fails."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.train", description=__doc__)
    parser.add_argument("--reason", default="by hand", help="why, for the run's record")
    arguments = parser.parse_args()
    return exit_code("train", lambda settings: _train(settings, arguments.reason))


def _train(settings: Settings, reason: str) -> int:
    places = running_stack(settings)
    before = champion(settings)
    client = airflow.client(places)
    try:
        run = training_run.train(client, reason=reason, logs=places.airflow_logs)
    finally:
        client.close()
    after = champion(settings)
    logger.info("%.1f s from trigger to success", run.seconds or 0.0)
    if after is None or (before and after.version == before.version):
        logger.info("the champion stays: gate.json of the run says why")
    if after:
        logger.info("champion version %s: %s", after.version, figures(after))
    return 0


if __name__ == "__main__":
    sys.exit(main())
