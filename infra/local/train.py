"""`make train`: one training run on the stack that is up, with its progress."""

import argparse
import logging
import sys

from dotenv import load_dotenv

from include.errors import ChurnError
from include.settings import PROJECT, load_settings
from infra.airflow import training_run
from infra.airflow.client import AirflowClient, AirflowError
from infra.airflow.dag_runs import RunFailed, nothing
from infra.local import airflow
from infra.local.run import log_to_terminal
from infra.local.services import layout
from infra.local.status import champion, figures

logger = logging.getLogger("train")


def main() -> int:
    """The command line; 1 when the run fails."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.train", description=__doc__)
    parser.add_argument("--reason", default="by hand", help="why, for the run's record")
    arguments = parser.parse_args()
    log_to_terminal()
    load_dotenv(PROJECT / ".env")
    try:
        return _train(arguments.reason)
    except (ChurnError, AirflowError, RunFailed) as error:
        logger.error("make train: %s", error)
        return 1


def _train(reason: str) -> int:
    settings = load_settings()
    places = layout(settings)
    if not places.stack_file.exists():
        logger.error("make train: no stack is up here (%s): `make run` first", places.stack_file)
        return 1
    before = champion(settings)
    client = AirflowClient(places.airflow.url, user=airflow.USER, password=airflow.password(places))
    run = training_run.train(client, places, nothing, reason=reason)
    after = champion(settings)
    logger.info("%.1f s from trigger to success", run.seconds)
    if after is None or (before and after.version == before.version):
        logger.info("the champion stays: gate.json of the run says why")
    if after:
        logger.info("champion version %s: %s", after.version, figures(after))
    return 0


if __name__ == "__main__":
    sys.exit(main())
