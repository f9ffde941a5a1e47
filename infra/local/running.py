"""The stack that is up, as the commands see it that need one: train, score, rollback, demo."""

import argparse
import errno
import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlsplit

from dotenv import load_dotenv

from include.errors import ChurnError
from include.settings import PROJECT, Settings, load_settings
from infra.airflow.client import AirflowError, RunState
from infra.airflow.dag_runs import RunFailed, Tick, follow, nothing, wait_for_dag
from infra.local import airflow, directory
from infra.local.services import Layout, layout
from infra.local.stack import StackError

logger = logging.getLogger(__name__)

DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def exit_code(target: str, work: Callable[[Settings], int]) -> int:
    """What `make target` ends with: what the work says, or 1 and one message when it fails."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    for talkative in ("httpx", "botocore"):  # whose INFO is of every request and credential
        logging.getLogger(talkative).setLevel(logging.WARNING)
    load_dotenv(PROJECT / ".env")
    os.umask(directory.OWNER_ALONE)
    try:
        return work(directory.settled(load_settings()))
    except (ChurnError, AirflowError, RunFailed, StackError) as error:
        logger.error("make %s: %s", target, error)
    except KeyboardInterrupt:
        logger.error("make %s: interrupted; a run that Airflow has begun goes on there", target)
        return 130
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            raise
        logger.error("make %s: %s. Make room, or name another CHURN_VAR_DIR", target, error)
    return 1


def count(text: str) -> int:
    """A whole number from 1; argparse tells of another, and of which argument it was."""
    if text.isdecimal() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")


def day(text: str) -> date:
    """A day as 2026-11-27; likewise."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        expected = f"a day such as {datetime.now(UTC):%Y-%m-%d}"
        raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}") from None


def running_stack(settings: Settings) -> Layout:
    """The stack that is up here, on the ports and with the data that it says it has, or RunFailed.

    Whatever ports this shell's environment names: another's Airflow may listen there.
    """
    places = layout(settings)
    if not directory.is_held(places):
        raise RunFailed(f"no stack is up in {places.var}: `make run` first")
    try:
        found = json.loads(places.stack_file.read_text())
    except FileNotFoundError as error:
        raise RunFailed(f"the stack in {places.var} is not up yet: wait for it") from error
    for name, here in directory.data_of(settings).items():
        there = found.get("data", {}).get(name, here)
        if there != here:
            raise RunFailed(
                f"the stack in {places.var} has {there}, and this shell's settings name {here}: "
                f"set CHURN_{name.upper()} as `make run` had it"
            )
    ports = {f"{name}_port": urlsplit(url).port for name, url in found["urls"].items()}
    return layout(settings.model_copy(update=ports))


def run_dag(
    settings: Settings,
    dag_id: str,
    conf: dict[str, Any],
    *,
    watch: Callable[[str], Tick] = lambda run_id: nothing,
) -> RunState:
    """Trigger a DAG on the stack that is up, and follow its run to a good end; else RunFailed.

    `watch` makes of the run's id what is called again and again meanwhile.
    """
    places = running_stack(settings)
    with closing(airflow.client(places)) as client:
        wait_for_dag(client, dag_id)
        if other := client.unfinished_run(dag_id):
            logger.info("%s is under way: this run begins when that one ends", other)
        run_id = client.trigger(dag_id, conf)
        logger.info("%s run %s", dag_id, run_id)
        return follow(client, dag_id, run_id, logs=places.airflow_logs, tick=watch(run_id))
