"""`make run`: the whole system on this machine, without containers, until Ctrl-C.

Where there is a champion, the API and the dashboard answer first. Then it starts MLflow and
Airflow, all on loopback, loads the sample customers where there are none, trains a first champion
through Airflow where there is none, and keeps everything running.
"""

import argparse
import json
import logging
import shutil
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from include.champion.versions import Manifest
from include.customers.first_customers import (
    MADE_UP,
    ROWS_ONLY,
    Source,
    loading_arguments,
    look_at_customers,
    refuse_to_fill,
)
from include.customers.table import TABLE
from include.errors import ChampionError, DataError
from include.history.days import months_kept, refuse_half_made
from include.params import load_params
from include.settings import Settings
from include.store import open_store
from infra.airflow import training_run
from infra.airflow.client import AirflowError
from infra.airflow.dag_files import wait_for_dags
from infra.airflow.dag_runs import RunFailed
from infra.airflow.files import write_whole
from infra.local import airflow, directory, status
from infra.local.directory import alone, prepare
from infra.local.ports import port_faults
from infra.local.running import count, exit_code
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
EVERY_WORKER_HAS_ONE = "\nmodel_loaded 1.0\n"
WITH_A_PAST = (
    "\nThis model recognises who has left. `make run HISTORY=24 REPLACE=1` makes up customers with "
    "24 months behind them instead, and trains one that says who will leave"
)
READY_SECONDS = 120  # for the API to notice a new champion, on a busy machine


def main() -> int:
    """The command line; 0 when it was stopped, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.run", description=__doc__)
    parser.add_argument("--csv", type=Path, help="load these customers instead of made-up ones")
    parser.add_argument("--replace", action="store_true", help="even if made-up ones are there")
    parser.add_argument("--history", type=count, default=0, help="make up so many months")
    arguments = parser.parse_args()
    if arguments.history and arguments.csv:
        parser.error(
            "--history (HISTORY=24) makes customers up, --csv (CSV=path) loads yours: give one. "
            "Months of your own: make load-history"
        )
    if arguments.replace and not (arguments.csv or arguments.history):
        parser.error(
            "--replace (REPLACE=1) needs --csv (CSV=path) or --history (HISTORY=24): which "
            "customers instead?"
        )

    def work(settings: Settings) -> int:
        places = layout(settings)
        prepare(places)
        with alone(places), Stack(places) as stack:
            csv = arguments.csv and arguments.csv.expanduser()
            start = StartUp(
                settings,
                places,
                stack,
                csv=csv,
                months=arguments.history,
                replace=arguments.replace,
            )
            return start.run()

    return exit_code("run", work)


class StartUp:
    """One `make run`."""

    def __init__(
        self,
        settings: Settings,
        places: Layout,
        stack: Stack,
        *,
        csv: Path | None,
        months: int = 0,
        replace: bool = False,
    ) -> None:
        self.settings, self.places, self.stack = settings, places, stack
        self.csv, self.months, self.replace = csv, months, replace
        self.began, self.began_at = time.monotonic(), datetime.now(UTC)
        self.environment = base_environment(places)
        self.has_new_customers = False
        self.down = {"mlflow", "airflow"}
        self.failure: str | None = None

    def run(self) -> int:
        """Everything; the exit code when it was stopped is 1 if the training had failed."""
        self._refuse()
        try:
            self._prepare()
            if self._champion():
                self._serve()
            self._start_training()
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
        load_params(self.settings.params_file)
        faults = port_faults(self.places.ports)
        if self.csv and not self.csv.is_file():
            faults.append(f"there is no file {self.csv} to load customers from")
        if faults:
            raise StackError("\n".join(faults))

    def _prepare(self) -> None:
        shutil.rmtree(self.places.scratch, ignore_errors=True)
        self.places.scratch.mkdir(exist_ok=True)
        self._load_file()
        self._make_up_months()
        airflow.prepare(self.places)
        self.of_airflow = airflow.airflow_environment(
            self.places, self.environment, database_url=self.settings.resolved_database_url
        )
        self.api = api_service(self.places, self.environment)
        self.dashboard = dashboard_service(self.places, self.environment)

    def _load_file(self) -> None:
        """Load the CSV file before anything else starts: what is wrong with it ends the start."""
        if self.csv is None:
            return
        known = look_at_customers(self.settings.resolved_database_url)[1]
        if known and known.holds(self.csv):
            return
        if self.replace and known == MADE_UP:
            self._customers_job("check", str(self.csv.resolve()), ROWS_ONLY)
            self._clear()
        self._customers_job(*loading_arguments(self.csv))
        self.has_new_customers = True

    def _make_up_months(self) -> None:
        """Make up customers with a past before anything else starts, unless they are there."""
        if not self.months:
            return
        url = self.settings.resolved_database_url
        (rows, known), kept = look_at_customers(url), months_kept(url)
        if known == MADE_UP and kept >= self.months:
            return
        if rows or kept:
            if not (self.replace and known == MADE_UP):
                way = f"run HISTORY={self.months} REPLACE=1" if known == MADE_UP else "clean-data"
                was = known or "not made up by this stack"
                raise StackError(
                    f"the table {TABLE} holds {rows:,} customers, {was}, with {kept} months of "
                    f"history: HISTORY={self.months} makes up others. `make {way}` deletes what "
                    f"this stack holds; another CHURN_VAR_DIR keeps both"
                )
            self._clear()
        logger.info("making up customers with %s months behind them …", self.months)
        self._customers_job("sample", "--months", str(self.months), module="include.history")
        self.has_new_customers = True

    def _clear(self) -> None:
        """Begin anew: what was trained on made-up customers is no champion for others."""
        elsewhere = directory.data_elsewhere(self.settings)
        if elsewhere:
            raise StackError(
                f"REPLACE=1 empties {self.places.var}, and this stack also keeps data elsewhere: "
                f"{', '.join(elsewhere)}. Name another database and another store"
            )
        names = ", ".join(directory.empty(self.places))
        logger.info("deleted the made-up customers and what was made of them: %s", names)

    def _customers_job(self, *arguments: str, module: str = "include.customers") -> None:
        job = self._customers_service(*arguments, module=module)
        self.stack.start(job)
        self.stack.finish(job)

    def _customers_service(self, *arguments: str, module: str = "include.customers") -> Service:
        command = (sys.executable, "-m", module, *arguments)
        return Service("customers", command, self.environment, ends=True)

    def _serve(self) -> None:
        """Start what answers people; it needs neither MLflow nor Airflow."""
        services = (self.api, self.dashboard)
        for service in services:
            if not self.stack.has_started(service):
                self.stack.start(service)
        for service in services:
            self.stack.wait_for(service)
            self._say(f"{service.name:10} {service.health_url.removesuffix('/health')}")
        self.stack.restarting = True  # from now on who falls does not take along what answers

    def _start_training(self) -> None:
        """Start what trains, and train where that is due; what answers already goes on without."""
        try:
            self._start()
            self._train_if_needed()
        except (StackError, DataError) as error:
            if not self.stack.restarting:
                raise
            self.failure = str(error)
        except (RunFailed, AirflowError) as error:
            self.failure = f"training failed: {error}"

    def _start(self) -> None:
        """Start what a training needs."""
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
        self.down.discard("mlflow")
        self.stack.wait_for(server)
        self._say(f"airflow    {self.places.airflow.url}")
        self.down.discard("airflow")

    def _start_loading(self) -> Service | None:
        refuse_half_made(self.settings.resolved_database_url)
        if self._customers()[0]:
            return None
        if self.settings.database_url:
            refuse_to_fill(self.settings.database_url)
        job = self._customers_service(*loading_arguments(None))
        self.stack.start(job)
        self.has_new_customers = True
        return job

    def _finish_loading(self, job: Service | None) -> None:
        if job:
            self.stack.finish(job)
        rows, known = self._customers()
        if rows == 0:
            raise StackError(
                f"the table {TABLE} is still empty: see {self.places.log('customers')}"
            )
        self._say(f"customers  {rows:,} in the table{f', {known}' if known else ''}")

    def _customers(self) -> tuple[int, Source | None]:
        return look_at_customers(self.settings.resolved_database_url)

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
        before = self._champion()
        if self.failure or (before and not self.has_new_customers):
            return
        if not before:
            self.stack.start(self.api)
        with closing(airflow.client(self.places)) as client:
            run = training_run.train(
                client,
                reason="new customers" if before else "first champion",
                logs=self.places.airflow_logs,
                tick=self.stack.tick,
            )
        if not run.is_finished:
            return
        self._say(f"trained    in {run.seconds:.1f} s from trigger to success")
        after = self._champion()
        if after is None or (before and after.version == before.version):
            store = open_store(self.settings.resolved_store_uri)
            logger.info("nothing was promoted; %s", training_run.gate_told(store, run.run_id))

    def _champion(self) -> Manifest | None:
        """The champion, if any; one that cannot be read is no end: a rollback needs the stack."""
        try:
            return status.champion(self.settings)
        except ChampionError as error:
            self.failure = f"the champion cannot be read: {error}"
            return None

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
        if not self.stack.restarting:
            self._serve()
        manifest = self._champion()
        try:
            if manifest:
                page = f"{self.places.api.url}/metrics"
                self.stack.wait_until(
                    lambda: answers(page, EVERY_WORKER_HAS_ONE),
                    "the champion",
                    seconds=READY_SECONDS,
                )
        except StackError as error:  # damaged perhaps: to roll back, or to train, a stack is needed
            self.failure = self.failure or str(error)
        found = status.describe(self.places, self.settings, manifest, failure=self.failure)
        try:
            write_whole(self.places.stack_file, json.dumps(found, indent=2) + "\n")
        except OSError as error:
            logger.warning("other commands will not find this stack: %s", error)
        told = status.summary(
            self.places, self.settings, manifest, failure=self.failure, down=self.down
        )
        logger.info("%s", "\n".join(told))
        try:
            known = self._customers()[1]
        except DataError:  # told above; what answers goes on without them
            return
        if manifest and known == MADE_UP and not manifest.target.is_early_warning:
            logger.info("%s", WITH_A_PAST)
        if manifest and known and known.loaded_at and manifest.snapshot_at < known.loaded_at:
            logger.info(
                "\nVersion %s is from before these customers were loaded: the dashboard's page "
                "Model says why it stays, and `make train` trains on them once more",
                manifest.version,
            )

    def _say(self, line: str) -> None:
        logger.info("%5.1f s  %s", time.monotonic() - self.began, line)


if __name__ == "__main__":
    sys.exit(main())
