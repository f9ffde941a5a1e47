"""The first start of the containers: customers where there are none, and a first champion.

It ends when both are there, and finds nothing to do the next time.
"""

import logging
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from include.champion.versions import read_production_manifest
from include.customers import __main__ as customers
from include.customers.first_customers import loading_arguments, look_at_customers
from include.errors import ChurnError, DataError
from include.settings import Settings, load_settings
from include.store import open_store
from infra.airflow import training_run
from infra.airflow.client import AirflowClient, AirflowError
from infra.airflow.dag_files import wait_for_dags
from infra.airflow.dag_runs import RunFailed
from infra.airflow.login import USER

logger = logging.getLogger("bootstrap")

CSV = Path("/opt/customers/customers.csv")  # where compose mounts CHURN_CUSTOMERS_CSV
LOGS = Path("/opt/airflow/logs")  # in the image
READ_WITHIN_SECONDS = 120  # Airflow reads each DAG file again every half minute


class Place(BaseSettings):
    """Where this stack's Airflow is, and how to sign in."""

    model_config = SettingsConfigDict(env_prefix="CHURN_", frozen=True)

    airflow_url: str = Field(description="Airflow's API server")
    airflow_page: str = Field(
        default="", validation_alias="AIRFLOW__API__BASE_URL", description="it, for a browser"
    )
    airflow_password: SecretStr = Field(description="of its user admin")


def main() -> int:
    """The command line; 1 and one message when the stack has no customers or no champion."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = load_settings()
        has_new = load_customers(settings, CSV)
        with closing(_airflow(Place())) as client:
            train_if_needed(settings, client, has_new_customers=has_new)
            wait_for_dags(client, since=datetime.now(UTC) - timedelta(seconds=READ_WITHIN_SECONDS))
    except (ChurnError, AirflowError, RunFailed) as error:
        logger.error("%s", error)
        return 1
    return 0


def load_customers(settings: Settings, csv: Path) -> bool:
    """Fill the table from the CSV file, or an empty one with made-up customers; whether it did.

    A file whose customers would come to lie beside others is refused.
    """
    if csv.is_dir():
        raise DataError("CHURN_CUSTOMERS_CSV names a directory: expected a CSV file")
    file = csv if csv.is_file() else None
    rows, known = look_at_customers(settings.resolved_database_url)
    if rows and (file is None or (known and known.holds(file))):
        logger.info("%s customers are in the table%s", f"{rows:,}", f", {known}" if known else "")
        return False
    if customers.main(loading_arguments(file)) != 0:
        raise DataError("the customers could not be loaded, see above")
    return True


def train_if_needed(settings: Settings, client: AirflowClient, *, has_new_customers: bool) -> None:
    """Have Airflow train, unless the champion that is there knows these customers."""
    store = open_store(settings.resolved_store_uri)
    before = read_production_manifest(store)
    if before and not has_new_customers:
        logger.info("champion %s is in production", before.version)
        return
    reason = "new customers" if before else "first champion"
    run = training_run.train(client, reason=reason, logs=LOGS)
    if not run.is_finished:
        return
    manifest = read_production_manifest(store)
    if manifest is None:
        raise RunFailed(
            f"{run.run_id} ended well and promoted nothing; "
            f"{training_run.gate_told(store, run.run_id)}"
        )
    logger.info("champion %s in %s s", manifest.version, f"{run.seconds or 0:.1f}")


def _airflow(place: Place) -> AirflowClient:
    return AirflowClient(
        place.airflow_url,
        user=USER,
        password=place.airflow_password.get_secret_value(),
        public_url=place.airflow_page,
    )


if __name__ == "__main__":
    sys.exit(main())
