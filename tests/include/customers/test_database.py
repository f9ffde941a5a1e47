"""URLs of databases that cannot work, each told in one message that names what mends it."""

import re
import socket
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.customers import ranges
from include.customers.__main__ import main
from include.customers.database import database_errors, open_engine, reading, shown_url
from include.customers.first_customers import look_at_customers
from include.errors import ConfigurationError, DatabaseUnavailable, DataError
from infra.local.airflow import connection
from tests.include.records import csv_text, customer

MYSQL = "mysql+pymysql://churn:hush@127.0.0.1:1/bank"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "must be a SQLAlchemy URL"),
        ("churn.db", "must be a SQLAlchemy URL"),
        ("postgresql+nothing://x/y", "must be"),
        ("mssql+pyodbc://x/y", "must be"),
        ("sqlite+aiosqlite:////tmp/x.db", "not asynchronous"),
        ("sqlite://", "names no database to keep customers in"),
        ("sqlite:///:memory:", "names no database"),
        ("sqlite:///x.db?mode=ro", "pysqlite has no option mode. It knows .*, timeout"),
        ("sqlite:///x.db?ssl_ca=/ca.pem", "pysqlite has no option ssl_ca"),
        ("sqlite:///x.db?timeout=soon", "could not convert string to float: 'soon'"),
        ("mysql+pymysql://churn:hush@127.0.0.1:1", "names no database"),
        ("mysql+pymysql://churn:hush@127.0.0.1:one/bank", r"Found .*\*\*\*@127.0.0.1:one/bank"),
        (
            f"{MYSQL}?ssl_mode=REQUIRED",
            "pymysql has no option ssl_mode. TLS is asked for by ssl_",
        ),
        (f"{MYSQL}?useSSL=true&tz=UTC", "pymysql has no option tz, useSSL. TLS is"),
        (f"{MYSQL}?ssl=true", "pymysql has no option ssl. TLS"),
        (f"{MYSQL}?charset=utf8mb4&charset=latin1", "the option charset stands there twice"),
        (f"{MYSQL}?ssl_ca=/absent/ca.pem", "there is no file ssl_ca=/absent/ca.pem here"),
        (f"{MYSQL}?ssl_key=/absent.pem", "there is no file ssl_key=/absent.pem here"),
        (f"{MYSQL}?read_default_file=/absent", "there is no file read_default_file=/absent"),
        (f"{MYSQL}?connect_timeout=soon", "invalid literal for int.*'soon'"),
        (f"{MYSQL}?ssl_check_hostname=maybe", "not true/false: 'maybe'"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"CHURN_DATABASE_URL.*{told}") as refused:
        open_engine(url)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("ssl_ca={file}", "pymysql cannot use .*CHURN_DATABASE_URL .* ssl_ca: .*certificate"),
        ("ssl_ca={file.parent}", "pymysql cannot use .* ssl_ca: .*directory"),
        ("read_timeout=0", "pymysql cannot use .* read_timeout: read_timeout should be > 0"),
        ("charset=nonsense", "pymysql cannot use the options .* charset: "),
        ("port=one", "pymysql cannot use the options .* port: port should be of type int"),
    ],
)
def test_an_option_that_the_driver_cannot_use_is_named(
    option: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    engine = open_engine(f"{MYSQL}?{option.format(file=tmp_path / 'ca.pem')}")
    with pytest.raises(ConfigurationError, match=told), reading(engine, "churners"):
        pass


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("hush", "loud"), "Access denied .*Check the user and the password of CHURN_DATABASE_URL"),
        (
            ("churn_", "gone_"),
            "Unknown database .*Check the name of the database in CHURN_",
        ),
        (("127.0.0.1", "no-such-host.invalid"), "Can't connect .*Check that the database runs and"),
        (
            ("/churn_", "?ssl_mode=REQUIRED&x=/churn_"),
            "names no database",
        ),
    ],
)
def test_the_loader_says_in_one_line_what_is_wrong_with_its_database(
    change: tuple[str, str],
    told: str,
    mariadb_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CHURN_DATABASE_URL", mariadb_url.replace(*change))
    (tmp_path / "customers.csv").write_text(csv_text(customer(1)))
    assert main(["load", str(tmp_path / "customers.csv")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "hush" not in line
    assert re.search(told, line), line


@pytest.mark.parametrize("place", ["file/churn.db", "file"])
def test_a_place_where_no_database_can_be_is_told(
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("no database, but something else of some length " * 9)
    (tmp_path / "customers.csv").write_text(csv_text(customer(1)))
    monkeypatch.setenv("CHURN_DATABASE_URL", f"sqlite:///{tmp_path / place}")
    assert main(["load", str(tmp_path / "customers.csv")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"sqlite:///{tmp_path / place}" in line and "CHURN_DATABASE_URL" in line


@pytest.mark.parametrize("driver", ["pymysql", "mysqlconnector"])
def test_a_server_that_does_not_answer_is_asked_again(driver: str) -> None:
    engine = open_engine(MYSQL.replace("pymysql", driver))
    with pytest.raises(
        DatabaseUnavailable, match=r"churn:\*\*\*@127.0.0.1.* that the database runs"
    ):
        with reading(engine, "churners"):
            pass


@pytest.mark.parametrize("said", [b"\0\1\2\3" * 40, b"\5\0\0\0junk!", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_what_speaks_no_mysql_is_asked_again(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as others:

        def answer() -> None:
            with listener.accept()[0] as client:
                client.sendall(said)

        others.submit(answer)
        engine = open_engine(f"mysql+pymysql://c:p@127.0.0.1:{listener.getsockname()[1]}/bank")
        with pytest.raises(DatabaseUnavailable), reading(engine, "churners"):
            pass


def test_a_file_that_cannot_be_opened_is_no_reason_to_wait(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}")
    with pytest.raises(DataError, match="unable to open .*let this user read and") as failed:
        with reading(engine, "churners"):
            pass
    assert type(failed.value) is DataError


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
    engine = open_engine(f"mysql+pymysql://churn:{password}@{HOST}")
    assert shown_url(engine) == f"mysql+pymysql://churn:***@{HOST}"
    with pytest.raises(DataError, match=r"churn:\*\*\*@127") as told:
        ranges.count_customers(engine)
    assert not any(part in str(told.value) for part in ("hush", "hu@", "hu/", "hu:", "hu#"))


@pytest.mark.parametrize("url", ["churn:hu@sh@host/churn", "mysql:/churn:hush@host", "mysql"])
def test_what_is_no_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must be a SQLAlchemy URL such as") as told:
        look_at_customers(url)
    assert "sh" not in str(told.value)


def test_a_path_may_hold_what_a_password_may_not(tmp_path: object) -> None:
    assert look_at_customers(f"sqlite:///{tmp_path}/a:b@c.db")[0] == 0


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
        with database_errors(open_engine("sqlite:////tmp/churn.db"), "write the table churners"):
            raise failed
    shown = "".join(traceback.format_exception(found.value))
    assert told in shown and said not in shown
