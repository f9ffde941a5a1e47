"""`make run`: the whole system on this machine, without containers, until Ctrl-C.

It starts MLflow, Airflow and the API on loopback, loads the sample customers where there are none,
trains a first champion through Airflow where there is none, and keeps everything running.
"""

import argparse
import fcntl
import json
import logging
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from include.customers.first_customers import count_customers, loading_arguments
from include.customers.table import TABLE
from include.settings import Settings
from infra.airflow import training_run
from infra.airflow.client import AirflowError
from infra.airflow.dag_files import wait_for_dags
from infra.airflow.dag_runs import RunFailed
from infra.airflow.files import write_whole
from infra.local import airflow, status
from infra.local.ports import port_faults
from infra.local.running import exit_code
from infra.local.services import (
    Layout,
    Service,
    api_service,
    base_environment,
    dashboard_service,
    layout,
    mlflow_service,
)
from infra.local.stack import Interrupted, Stack, StackError, answers

logger = logging.getLogger("run")

IDLE_SECONDS = 0.5


def main() -> int:
    """The command line; 0 when it was stopped, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.run", description=__doc__)
    parser.add_argument("--csv", type=Path, help="load these customers instead of made-up ones")
    arguments = parser.parse_args()

    def work(settings: Settings) -> int:
        places = layout(settings)
        with alone(places), Stack(places) as stack:
            return StartUp(settings, places, stack, csv=arguments.csv).run()

    return exit_code("run", work)


@contextmanager
def alone(places: Layout) -> Iterator[None]:
    """Hold the directory's lock, which the system frees however this process ends."""
    places.record.parent.mkdir(parents=True, exist_ok=True)
    with (places.record.parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StackError(
                f"another `make run` uses {places.var}; {places.stack_file} says where it is. "
                "Stop it, or give this one its own CHURN_VAR_DIR and ports"
            ) from error
        yield


class StartUp:
    """One `make run`."""

    def __init__(
        self, settings: Settings, places: Layout, stack: Stack, *, csv: Path | None
    ) -> None:
        self.settings, self.places, self.stack, self.csv = settings, places, stack, csv
        self.began, self.began_at = time.monotonic(), datetime.now(UTC)
        self.failure: str | None = None

    def run(self) -> int:
        """Everything; the exit code when it was stopped is 1 if the training had failed."""
        self._refuse()
        try:
            self._prepare()
            self._start()
            self._train_if_needed()
            self._open()
            while True:
                self.stack.tick()
                time.sleep(IDLE_SECONDS)
        except Interrupted:
            logger.info("stopping …")
            return 1 if self.failure else 0
        finally:
            self.places.stack_file.unlink(missing_ok=True)

    def _refuse(self) -> None:
        """Say what cannot work before anything is started."""
        faults = port_faults(self.places.ports)
        if self.csv and not self.csv.is_file():
            faults.append(f"there is no file {self.csv} to load customers from")
        if faults:
            raise StackError("\n".join(faults))

    def _prepare(self) -> None:
        self.places.stack_file.unlink(missing_ok=True)
        shutil.rmtree(self.places.scratch, ignore_errors=True)
        self.places.scratch.mkdir(parents=True)
        airflow.prepare(self.places)
        self.environment = base_environment(self.places)
        self.of_airflow = airflow.airflow_environment(
            self.places, self.environment, database_url=self.settings.resolved_database_url
        )
        self.api = api_service(self.places, self.environment)

    def _start(self) -> None:
        """Start what a training needs; an API without a champion to serve can wait for it."""
        if status.champion(self.settings):
            self.stack.start(self.api)
        mlflow = mlflow_service(self.places, self.environment)
        self.stack.start(mlflow)
        loading = self._start_loading()
        self._migrate()
        server = airflow.api_server(self.places, self.of_airflow)
        self.stack.start(server)
        self.stack.start(airflow.scheduler(self.of_airflow))
        self.stack.start(airflow.dag_processor(self.of_airflow))
        self._finish_loading(loading)
        self.stack.wait_for(mlflow)
        self._say(f"mlflow     {self.places.mlflow.url}")
        self.stack.wait_for(server)
        self._say(f"airflow    {self.places.airflow.url}")

    def _start_loading(self) -> Service | None:
        if not self.csv and self._customers():
            return None
        command = (sys.executable, "-m", "include.customers", *loading_arguments(self.csv))
        job = Service("customers", command, self.environment, ends=True)
        self.stack.start(job)
        return job

    def _finish_loading(self, job: Service | None) -> None:
        if job:
            self.stack.finish(job)
        rows = self._customers()
        if rows == 0:
            raise StackError(
                f"the table {TABLE} is still empty: see {self.places.log('customers')}"
            )
        self._say(f"customers  {rows:,} in the table")

    def _customers(self) -> int:
        return count_customers(self.settings.resolved_database_url)

    def _migrate(self) -> None:
        """Make Airflow's database or bring it to the installed version, once: it takes seconds."""
        done = self.places.airflow_home / "migrated"
        wanted = version("apache-airflow")
        if done.exists() and done.read_text() == wanted:
            return
        job = airflow.migration(self.of_airflow)
        self.stack.start(job)
        self.stack.finish(job)
        write_whole(done, wanted)

    def _train_if_needed(self) -> None:
        if status.champion(self.settings):
            return
        self.stack.start(self.api)
        try:
            with closing(airflow.client(self.places)) as client:
                run = training_run.train(
                    client,
                    reason="first champion",
                    logs=self.places.airflow_logs,
                    tick=self.stack.tick,
                )
        except (RunFailed, AirflowError) as error:
            self.failure = f"training failed: {error}"
            return
        self._say(f"trained    in {run.seconds:.1f} s from trigger to success")

    def _look_for_dags(self) -> None:
        """Say which DAG Airflow does not show: a schedule that is not there misses nobody."""
        if self.failure:
            return
        try:
            with closing(airflow.client(self.places)) as client:
                wait_for_dags(client, since=self.began_at, tick=self.stack.tick)
        except (RunFailed, AirflowError) as error:
            self.failure = str(error)

    def _open(self) -> None:
        """Say that the stack is there, with a champion or with what stood in its way."""
        self.stack.start(airflow.triggerer(self.of_airflow))
        self._look_for_dags()
        dashboard = dashboard_service(self.places, self.environment)
        self.stack.start(dashboard)
        manifest = status.champion(self.settings)
        page = f"{self.places.api.url}/{'ready' if manifest else 'health'}"
        self.stack.wait_until(lambda: answers(page), "api")
        self._say(f"api        {self.places.api.url}")
        self.stack.wait_for(dashboard)
        self._say(f"dashboard  {self.places.dashboard.url}")
        self.stack.restarting = True
        found = status.describe(self.places, self.settings, manifest, failure=self.failure)
        write_whole(self.places.stack_file, json.dumps(found, indent=2) + "\n")
        for line in status.summary(self.places, self.settings, manifest, failure=self.failure):
            logger.info("%s", line)

    def _say(self, line: str) -> None:
        logger.info("%5.1f s  %s", time.monotonic() - self.began, line)


if __name__ == "__main__":
    sys.exit(main())
