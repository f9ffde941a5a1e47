"""`make train`, `make score` and `make rollback`: what a person asks of the stack that is up."""

import argparse
import logging
import sys
from contextlib import closing
from datetime import UTC, date, datetime

from include.champion.versions import POINTER_KEY, read_manifest, read_pointer
from include.errors import ObjectNotFound
from include.params import load_params
from include.scoring.summarise_scores import described, read_summary
from include.settings import Settings
from include.store import Store, open_store
from infra.airflow import training_run
from infra.local import airflow
from infra.local.running import exit_code, run_dag, running_stack
from infra.local.status import champion, figures

logger = logging.getLogger(__name__)


def main() -> int:
    """The command line; 1 when the run fails, or nothing can be put into production."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.commands", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="name")
    train = commands.add_parser("train", help="train once more")
    train.add_argument("--reason", default="by hand", help="why, for the run's record")
    train.set_defaults(work=_train)
    score = commands.add_parser("score", help="score every customer now")
    score.add_argument("--date", type=date.fromisoformat, help="day to file the scores under")
    score.set_defaults(work=_score)
    rollback = commands.add_parser("rollback", help="an earlier version into production again")
    rollback.add_argument("version", help="the version of prod.churn_model to return to")
    rollback.add_argument("--reason", required=True, help="why; it is kept with the version")
    rollback.set_defaults(work=_roll_back)
    arguments = parser.parse_args()
    return exit_code(arguments.name, lambda settings: arguments.work(settings, arguments))


def _train(settings: Settings, arguments: argparse.Namespace) -> int:
    places = running_stack(settings)
    before = champion(settings)
    with closing(airflow.client(places)) as client:
        run = training_run.train(client, reason=arguments.reason, logs=places.airflow_logs)
    after = champion(settings)
    logger.info("%.1f s from trigger to success", run.seconds or 0.0)
    if after is None or (before and after.version == before.version):
        logger.info("the champion stays: gate.json of the run says why")
    if after:
        logger.info("champion version %s: %s", after.version, figures(after))
    return 0


def _score(settings: Settings, arguments: argparse.Namespace) -> int:
    filed = arguments.date or datetime.now(UTC).date()
    run = run_dag(settings, "churn_scoring", {"date": filed.isoformat()})
    logger.info("%.1f s from trigger to success", run.seconds or 0.0)
    summary = read_summary(open_store(settings.resolved_store_uri), filed)
    if summary is None:
        logger.info("nobody was scored: there is no champion yet, `make train` first")
        return 0
    for line in described(summary, load_params(settings.params_file).scoring):
        logger.info("%s", line)
    return 0


def _roll_back(settings: Settings, arguments: argparse.Namespace) -> int:
    store = open_store(settings.resolved_store_uri)
    conf = {"version": arguments.version, "reason": arguments.reason}
    before = _pointer_etag(store)
    run = run_dag(settings, "churn_rollback", conf)
    logger.info("%.1f s from trigger to success", run.seconds or 0.0)
    found = read_pointer(store)
    if found is None:
        logger.error("make rollback: the pointer is gone from %s", store.uri)
        return 1
    pointer, etag = found
    if etag == before:
        logger.info("version %s was in production already: nothing was moved", pointer.version)
    else:
        told = figures(read_manifest(store, pointer))
        was = pointer.previous or "none"
        logger.info("champion is version %s, it was %s: %s", pointer.version, was, told)
    logger.info("workers follow within %g s", settings.champion_poll_seconds)
    return 0


def _pointer_etag(store: Store) -> str | None:
    """What names the pointer as it is, whole or not: a rollback is what mends it."""
    try:
        return store.read(POINTER_KEY).etag
    except ObjectNotFound:
        return None


if __name__ == "__main__":
    sys.exit(main())
