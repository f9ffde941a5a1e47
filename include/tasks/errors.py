"""How a task ends when its function raises: at once where a retry cannot help, else tried again."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from include.errors import (
    ChampionError,
    ChurnError,
    ConfigurationError,
    DatabaseUnavailable,
    DataError,
    DocumentError,
    NeedsPerson,
    StoreForbidden,
)
from include.tasks.masking import mask_secrets

logger = logging.getLogger(__name__)

HOPELESS = (
    *(ChampionError, ConfigurationError, DataError, DocumentError),
    *(NeedsPerson, StoreForbidden),
)


@contextmanager
def reported() -> Iterator[None]:
    """Let the block fail the task as its error deserves, and tell no secret."""
    from airflow.sdk.exceptions import AirflowFailException

    try:
        mask_secrets()
        yield
    except ChurnError as error:
        if isinstance(error, HOPELESS) and not isinstance(error, DatabaseUnavailable):
            raise AirflowFailException(str(error)) from error
        logger.warning("%s; the task is tried again if it has tries left", error)
        raise
