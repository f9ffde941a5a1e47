"""The database's URL: what it may look like, and what is told of it."""

import traceback

import pytest
import sqlalchemy as sa

from include.customers import ranges
from include.customers.database import database_errors, open_engine, shown_url
from include.customers.first_customers import count_customers
from include.errors import ConfigurationError, DataError
from infra.local.airflow import connection

HOST = "127.0.0.1:9/churn"
TORN = ["hu@sh", "hu@sh:1/x", "@hush", "hush@", "hu@sh/x", "hu@sh?x", "hu sh@x", "hu@s?h=1&x"]


@pytest.mark.parametrize("reads", [open_engine, connection])
@pytest.mark.parametrize("password", TORN)
def test_a_password_that_tears_its_url_is_refused_and_no_part_of_it_is_told(
    reads: object, password: str
) -> None:
    assert callable(reads)
    with pytest.raises(ConfigurationError, match="with %40 for an @ in the password") as told:
        reads(f"mysql+pymysql://churn:{password}@{HOST}?charset=utf8mb4")
    assert f"Found mysql+pymysql://churn:***@{HOST}" in str(told.value)
    shown = "".join(traceback.format_exception(told.value)).replace("churn:***", "")
    assert not any(part in shown for part in ("hu@", "@sh", "sh:1", "hush", "hu sh"))


@pytest.mark.parametrize("password", ["hu%40sh", "hu/sh", "hu:sh", "hu#sh", "100%25hush"])
def test_any_other_password_connects_and_is_not_told(password: str) -> None:
    engine = open_engine(f"mysql+pymysql://churn:{password}@{HOST}?password=hush")
    assert shown_url(engine) == f"mysql+pymysql://churn:***@{HOST}?password=***"
    with pytest.raises(DataError, match=r"churn:\*\*\*@127") as told:
        ranges.count_customers(engine)
    assert not any(part in str(told.value) for part in ("hush", "hu@", "hu/", "hu:", "hu#"))


@pytest.mark.parametrize("url", ["churn:hu@sh@host/churn", "mysql:/churn:hush@host", "mysql"])
def test_what_is_no_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must be a SQLAlchemy URL such as") as told:
        count_customers(url)
    assert "sh" not in str(told.value)


def test_a_path_may_hold_what_a_password_may_not(tmp_path: object) -> None:
    assert count_customers(f"sqlite:///{tmp_path}/a:b@c.db") == 0


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Duplicate entry '708082083' for key 'PRIMARY'", "Duplicate entry *** for key 'PRIMARY'"),
        (
            "Incorrect integer value: 'fifty' for column 'Customer_Age' at row 7",
            "Incorrect integer value: *** for column 'Customer_Age' at row 7",
        ),
    ],
)
def test_what_the_server_says_of_a_value_is_told_without_it(said: str, told: str) -> None:
    failed = sa.exc.IntegrityError("INSERT …", None, Exception(said))
    with pytest.raises(DataError) as found:
        with database_errors(open_engine("sqlite://"), "write the table churners"):
            raise failed
    shown = "".join(traceback.format_exception(found.value))
    assert told in shown and said not in shown
