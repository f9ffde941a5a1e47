"""The stack that is up, as the commands see it that need one: train, score, rollback, demo."""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from dotenv import load_dotenv

from include.errors import ChurnError
from include.settings import PROJECT, Settings, load_settings
from infra.airflow.client import AirflowError, RunState
from infra.airflow.dag_runs import RunFailed, follow
from infra.local import airflow
from infra.local.services import Layout, layout
from infra.local.stack import StackError

logger = logging.getLogger(__name__)


def exit_code(target: str, work: Callable[[Settings], int]) -> int:
    """What `make target` ends with: what the work says, or 1 and one message when it fails."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    load_dotenv(PROJECT / ".env")
    try:
        return work(load_settings())
    except (ChurnError, AirflowError, RunFailed, StackError) as error:
        logger.error("make %s: %s", target, error)
        return 1


def running_stack(settings: Settings) -> Layout:
    """Where the stack lies that is up, on the ports that it says it has; RunFailed when none is."""
    stack_file = layout(settings).stack_file
    try:
        urls = json.loads(stack_file.read_text())["urls"]
    except FileNotFoundError as error:
        raise RunFailed(f"no stack is up here ({stack_file}): `make run` first") from error
    ports = {f"{name}_port": urlsplit(url).port for name, url in urls.items()}
    return layout(settings.model_copy(update=ports))


def run_dag(settings: Settings, dag_id: str, conf: dict[str, Any]) -> RunState:
    """Trigger a DAG on the stack that is up, and follow its run to a good end; else RunFailed."""
    places = running_stack(settings)
    with closing(airflow.client(places)) as client:
        dag = client.dag(dag_id)
        if dag is None:
            errors = client.import_errors() or ["it reads dags/ every few seconds: try again"]
            raise RunFailed("\n".join([f"Airflow does not know {dag_id} yet:", *errors]))
        if dag["is_paused"]:
            raise RunFailed(f"{dag_id} is paused: switch it on in the UI")
        run_id = client.trigger(dag_id, conf)
        logger.info("%s run %s", dag_id, run_id)
        return follow(client, dag_id, run_id, logs=places.airflow_logs)
