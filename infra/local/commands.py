"""What a person asks of the stack that is up: make train, tune, score, rollback, promote, airflow.

And of one that may be down: make load-history, history, forget, clean-data.
"""

import argparse
import getpass
import logging
import os
import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

from pydantic import SecretStr

from include.champion.history import UNKNOWN, HistoryReader
from include.champion.versions import POINTER_KEY, read_manifest, read_pointer, way_back
from include.erasure.asked import add_arguments
from include.errors import ChampionError, ObjectNotFound
from include.params import load_params
from include.settings import Settings
from include.store import Store, open_store
from include.tasks.rollback import ON_BEHALF
from infra.airflow import training_run
from infra.airflow.dag_runs import Tick
from infra.local import airflow, directory
from infra.local.running import count, day, exit_code, run_dag, running_stack
from infra.local.services import base_environment, layout
from infra.local.stack import Stack, StackError
from infra.local.status import champion, figures

logger = logging.getLogger(__name__)

MOVES_SHOWN = 30


def main() -> int:
    """The command line; 1 when the run fails, or nothing can be put into production."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.commands", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="name")
    train = commands.add_parser("train", help="train once more")
    train.add_argument("--reason", default="by hand", help="why, for the run's record")
    train.set_defaults(work=_train)
    score = commands.add_parser("score", help="score every customer now")
    score.add_argument("--date", type=day, help="day to file the scores under")
    score.set_defaults(work=_score)
    tune = commands.add_parser("tune", help="search hyperparameters")
    tune.add_argument("--trials", type=count, help="sets to try; as in params.yaml when not given")
    tune.add_argument("--minutes", type=float, help="after these no trial is begun; likewise")
    tune.add_argument("--workers", type=count, help="tasks that search at once; likewise")
    tune.add_argument("--write", action="store_true", help="put a better set into params.yaml")
    tune.set_defaults(work=_tune)
    rollback = commands.add_parser("rollback", help="an earlier version into production again")
    rollback.add_argument("version", type=count, help="the version to return to")
    rollback.add_argument("--reason", required=True, help="why; it is kept with the move")
    rollback.set_defaults(work=_roll_back)
    promote = commands.add_parser("promote", help="approve what waits, or name a version")
    which = promote.add_mutually_exclusive_group()
    which.add_argument("version", nargs="?", type=count, help="one that the store holds")
    which.add_argument("--candidate", help="the one that waits")
    promote.add_argument("--reason", required=True, help="why; it is kept in the pointer")
    promote.set_defaults(work=_promote)
    history = commands.add_parser("history", help="which version was put into production when")
    history.add_argument("--last", type=count, default=MOVES_SHOWN, help="so many moves")
    history.set_defaults(work=_history)
    forget = commands.add_parser("forget", help="erase one customer everywhere")
    add_arguments(forget)
    forget.add_argument("--asked-by", help="who wants it, for the note; this terminal's user")
    forget.set_defaults(work=_forget)
    # Without a prefix for options all words are another's own.
    for name, whose, work in (
        ("airflow", "Airflow's", _airflow),
        ("load-history", "include.history's", _load_history),
    ):
        own = commands.add_parser(name, help=f"{whose} own", prefix_chars="+", add_help=False)
        own.add_argument("words", nargs="*")
        own.set_defaults(work=work)
    clean = commands.add_parser("clean-data", help="delete the data of a stack that is down")
    clean.set_defaults(work=_clean)
    arguments = parser.parse_args()
    return exit_code(arguments.name, lambda settings: arguments.work(settings, arguments))


def _train(settings: Settings, arguments: argparse.Namespace) -> int:
    places = running_stack(settings)
    before = champion(settings)
    with closing(airflow.client(places)) as client:
        run = training_run.train(client, reason=arguments.reason, logs=places.airflow_logs)
    if not run.is_finished:
        logger.info('or here, which shows it first: make promote REASON="…"')
        return 0
    after = champion(settings)
    logger.info("%.1f s from trigger to success", run.seconds or 0.0)
    if after is None or (before and after.version == before.version):
        store = open_store(settings.resolved_store_uri)
        logger.info("nothing was promoted; %s", training_run.gate_told(store, run.run_id))
    if after:
        logger.info("champion version %s: %s", after.version, figures(after))
    return 0


def _score(settings: Settings, arguments: argparse.Namespace) -> int:
    filed = arguments.date or datetime.now(UTC).date()
    run = run_dag(settings, "churn_scoring", {"date": filed.isoformat()})
    logger.info("%.1f s from trigger to success", run.seconds or 0.0)
    from include.scoring.summary import described, read_summary  # pandas: likewise

    summary = read_summary(open_store(settings.resolved_store_uri), filed)
    if summary is None:
        logger.info("nobody was scored: there is no champion yet, `make train` first")
        return 0
    for line in described(summary, load_params(settings.params_file).scoring):
        logger.info("%s", line)
    return 0


def _tune(settings: Settings, arguments: argparse.Namespace) -> int:
    from include.documents import parse_document
    from include.training.tuned_set import BEST_KEY, TunedSet
    from infra.local import params_file

    given = {name: getattr(arguments, name) for name in ("trials", "minutes", "workers")}
    conf = {name: value for name, value in given.items() if value is not None}
    run_dag(settings, "churn_tuning", conf, watch=partial(_trials, settings))
    data = open_store(settings.resolved_store_uri).read(BEST_KEY).data
    best = parse_document(TunedSet, data, BEST_KEY)
    for line in best.described():
        logger.info("%s", line)
    if not arguments.write or not best.is_better:
        kept = "takes it" if best.is_better else "stays with params.yaml: no gain beyond chance"
        logger.info("the next training %s", kept)
        return 0
    try:
        params_file.write_set(settings.params_file, best)
    except OSError as error:
        logger.error("make tune: %s was not changed: %s", settings.params_file, error)
        return 1
    logger.info("%s has it now", settings.params_file)
    return 0


def _trials(settings: Settings, run_id: str) -> Tick:
    """Tells how far a search is, whenever it is further."""
    from include.tuning import study as studies  # Optuna: likewise

    study = studies.open_study(settings.resolved_tuning_storage, run_id)
    told = 0

    def tick() -> None:
        nonlocal told
        done = len(studies.finished(study))
        if done > told:
            told = done
            logger.info("  %s", studies.progress(study))

    return tick


def _roll_back(settings: Settings, arguments: argparse.Namespace) -> int:
    store = open_store(settings.resolved_store_uri)
    conf = {"version": str(arguments.version), "reason": arguments.reason, ON_BEHALF: _user()}
    before = _pointer_etag(store)
    run = run_dag(settings, "churn_rollback", conf)
    logger.info("%.1f s from trigger to success", run.seconds or 0.0)
    found = read_pointer(store)
    if found is None:
        logger.error("the pointer is gone from %s", store.uri)
        return 1
    pointer, etag = found
    if etag == before:
        logger.info("version %s was in production already: nothing was moved", pointer.version)
        return 0
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


def _promote(settings: Settings, arguments: argparse.Namespace) -> int:
    """Put a version into production; without one, answer the training that waits for a person."""
    if arguments.version is not None:
        return _roll_back(settings, arguments)  # which checks and moves whichever way it goes
    places, why = running_stack(settings), f"by {_user()} at a terminal: {arguments.reason}"
    with closing(airflow.client(places)) as client:
        training_run.approve(client, arguments.candidate, why=why, logs=places.airflow_logs)
    if found := champion(settings):
        logger.info("champion version %s: %s", found.version, figures(found))
    return 0


def _load_history(settings: Settings, arguments: argparse.Namespace) -> int:
    from include.history.__main__ import main as history  # likewise

    _refuse_others_data(settings)
    return history(["load", *arguments.words], settings)


def _refuse_others_data(settings: Settings) -> None:
    """Where a stack is up, RunFailed for another database or store than the stack's."""
    if directory.is_held(layout(settings)):
        running_stack(settings)


def _history(settings: Settings, arguments: argparse.Namespace) -> int:
    _refuse_others_data(settings)
    store = open_store(settings.resolved_store_uri)
    try:
        found, fault = read_pointer(store), None
    except ChampionError as error:
        found, fault = None, str(error)
    history = HistoryReader(store).latest(arguments.last, pointer=found[0] if found else None)
    for line in history.described():
        logger.info("%s", line)
    if found:
        pointer = found[0]
        since = f"{pointer.promoted_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        logger.info("version %s is in production since %s", pointer.version, since)
        return 0
    if history.moves and fault is None:
        fault = f"{POINTER_KEY} is gone from {store.uri}: {way_back(history.moves[-1].to)}"
    if fault is not None:
        logger.error("make history: %s", fault)
        return 1
    logger.info("nothing was put into production yet: `make train` first")
    return 0


def _forget(settings: Settings, arguments: argparse.Namespace) -> int:
    from include.erasure import command  # pandas: likewise

    places = layout(settings)
    _refuse_others_data(settings)
    url = SecretStr(airflow.metadata_url(places) if places.airflow_home.exists() else "")
    told = command.run(
        settings.model_copy(update={"airflow_database_url": url}),
        arguments.customer,
        asked_by=arguments.asked_by or _user(),
        log_only=arguments.log_only,
    )
    logger.info("%s", "\n".join(told))
    return 0


def _user() -> str:
    """Whose terminal this is."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return UNKNOWN


def _airflow(settings: Settings, arguments: argparse.Namespace) -> int:
    """Become `airflow` with these words."""
    places = running_stack(settings)
    environment = airflow.airflow_environment(
        places, base_environment(places), database_url=settings.resolved_database_url
    )
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *arguments.words], environment)


def _clean(settings: Settings, arguments: argparse.Namespace) -> int:
    places = layout(settings)
    if directory.is_held(places):
        raise StackError(f"a stack is up in {places.var}: stop it first, with Ctrl-C")
    if not places.lock.exists():
        logger.info("nothing is deleted: no stack was ever in %s", places.var)
        return 0
    with directory.alone(places), Stack(places):  # stops what a killed start left
        deleted = directory.empty(places)
    logger.info("deleted in %s: %s", places.var, ", ".join(deleted) or "nothing was left")
    for place in directory.data_elsewhere(settings):
        logger.info("stays, because it lies elsewhere: %s", place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
