"""Which errors end a task at once, and which are worth another try."""

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include import errors
from include.tasks.errors import reported


@pytest.mark.parametrize(
    "kind",
    [
        *(errors.ChampionError, errors.ConfigurationError, errors.DataError),
        *(errors.NeedsPerson, errors.StoreForbidden),
    ],
)
def test_what_a_retry_cannot_mend_fails_at_once(kind: type[errors.ChurnError]) -> None:
    with pytest.raises(AirflowFailException, match="look at the table") as caught, reported():
        raise kind("look at the table")
    assert isinstance(caught.value.__cause__, kind)


@pytest.mark.parametrize(
    "kind",
    [errors.DatabaseUnavailable, errors.StoreUnavailable, errors.RegistryError, ValueError],
)
def test_what_may_pass_is_raised_as_it_is(kind: type[Exception]) -> None:
    with pytest.raises(kind), reported():
        raise kind("no answer")
