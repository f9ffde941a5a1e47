"""A task's connections: customers and store as Airflow's connections and the settings name them."""

import logging
from typing import TYPE_CHECKING

from include.customers.database import open_engine
from include.settings import Settings
from include.store import Store, open_store, s3_config

if TYPE_CHECKING:
    from sqlalchemy import Engine

logger = logging.getLogger(__name__)

DATABASE_CONNECTION = "churn_db"
AWS_CONNECTION = "aws_default"


def customer_engine(settings: Settings) -> "Engine":
    """The customer database: Airflow's connection `churn_db`, else CHURN_DATABASE_URL."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        hook = BaseHook.get_hook(DATABASE_CONNECTION)
    except AirflowNotFoundException:
        return open_engine(settings.resolved_database_url)
    return open_engine(with_driver(hook.get_uri()))


def task_store(settings: Settings) -> Store:
    """The object store, on S3 with the credentials of Airflow's connection `aws_default`."""
    uri = settings.resolved_store_uri
    if not uri.startswith("s3://"):
        return open_store(uri)
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from include.store.s3_errors import making_a_client

    # Without that connection the hook falls back to the usual AWS variables and roles.
    with making_a_client():
        client = S3Hook(AWS_CONNECTION, config=s3_config()).get_conn()
    return open_store(uri, client=client)


def with_driver(uri: str) -> str:
    """A MySQL URI that names no driver, with PyMySQL: mysqlclient has no wheel for Linux."""
    return uri.replace("mysql://", "mysql+pymysql://", 1) if uri.startswith("mysql://") else uri
