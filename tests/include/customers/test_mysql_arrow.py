"""Customers out of MySQL by connectorx, and row by row where the URL asks for what it cannot do."""

import secrets
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import pytest
import sqlalchemy as sa

from include.contract import load_contract
from include.customers import loading, mysql_arrow, queries
from include.customers.database import open_engine, opened, reading
from include.customers.mysql_arrow import KEEP_ALIVE, connectorx_url, read_arrow
from include.customers.rows import read_rows
from include.errors import DatabaseUnavailable, DataError
from tests.include.records import customer

PLAIN = urlencode({"tcp_connect_timeout_ms": 5000, "prefer_socket": "false", **KEEP_ALIVE})
ONE_BY_ONE = "?local_infile=0"  # of no meaning to reading, and unknown to connectorx


VALUES = [
    ("TINYINT", "-128", -128),
    ("BOOL", "45", 45),
    ("SMALLINT UNSIGNED", "65535", 65535),
    ("MEDIUMINT", "-8388608", -8388608),
    ("INT UNSIGNED", "4294967295", 4294967295),
    ("BIGINT UNSIGNED", "9007199254740993", 9007199254740993),
    ("DOUBLE", "1e-300", 1e-300),
    ("FLOAT", "0.1", 0.1),
    ("DECIMAL(65,20)", "1234567.00000000000000000001", 1234567.0),
    ("DECIMAL(10,2)", "0.29", 0.29),
    *((kind, "NULL", None) for kind in ("INT", "DOUBLE", "DECIMAL(9,2)", "VARCHAR(9)", "DATE")),
    ("VARCHAR(9) CHARACTER SET latin1", "'Jürg '", "Jürg "),
    ("TEXT", "'a,\"b\\n'", 'a,"b\n'),
    ("ENUM('F','M')", "'F'", "F"),
    ("VARBINARY(9)", "'F'", "F"),
    ("VARCHAR(9)", "'45'", "45"),
    ("YEAR", "2026", "2026"),
    ("DATE", "'0000-00-00'", "0000-00-00"),
    ("DATETIME(6)", "'2026-11-01 10:00:00.25'", "2026-11-01 10:00:00.250000"),
]


OTHERWISE = "?init_command=SET%20sql_mode%3D%27%27"


@pytest.fixture(params=["", ONE_BY_ONE, OTHERWISE], ids=["connectorx", "one by one", "own command"])
def engine(request: pytest.FixtureRequest, mariadb_url: str) -> Iterator[sa.Engine]:
    with opened(mariadb_url + request.param) as engine:
        yield engine


@pytest.fixture
def quick(mariadb_url: str) -> Iterator[sa.Engine]:
    """By connectorx alone."""
    with opened(mariadb_url) as engine:
        yield engine


def run(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def odd(engine: sa.Engine) -> pd.DataFrame:
    """The table odd, read as customers are."""
    types = {each["name"]: each["type"] for each in sa.inspect(engine).get_columns("odd")}
    with reading(engine, "odd") as connection:
        return read_rows(connection, sa.select().select_from(sa.table("odd")), types)


def everybody(engine: sa.Engine) -> Any:
    return queries.read_customers(engine, load_contract(), labelled_only=False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("pymysql://me:pw@db/bank", f"me:pw@db:3306/bank?{PLAIN}"),
        ("pymysql://me@[::1]:3307/bank", f"me@[::1]:3307/bank?{PLAIN}"),
        ("pymysql://me@db/bank?charset=utf8mb4&read_timeout=9", f"me@db:3306/bank?{PLAIN}"),
        (
            "pymysql://me@db/bank?ssl_ca=/our%20ca.pem",
            f"me@db:3306/bank?{PLAIN}&ssl-mode=VERIFY_IDENTITY&ssl-ca=/our%20ca.pem",
        ),
        (
            "pymysql://me@db/bank?ssl_ca=/ca.pem&ssl_check_hostname=false",
            f"me@db:3306/bank?{PLAIN}&ssl-mode=VERIFY_CA&ssl-ca=/ca.pem",
        ),
        ("pymysql://me@db/bank?ssl_check_hostname=false", None),
        ("pymysql://me@db/bank?ssl_ca=/ca.pem&ssl_cert=/me.pem&ssl_key=/key.pem", None),
        ("pymysql://me@db/bank?ssl_ca=/ca.pem&unix_socket=/run/mysqld.sock", None),
        ("pymysql://me@db/bank?read_default_file=~/.my.cnf", None),
        ("pymysql://me:w%C3%B6@db/bank", None),  # PyMySQL would send it in Latin-1
        ("mysqldb://me:pw@db/bank", None),  # encrypts without being asked
        ("mysqlconnector://me:pw@db/bank", None),
    ],
)
def test_a_url_is_translated_whole_or_not_at_all(given: str, expected: str | None) -> None:
    found = connectorx_url(sa.make_url(f"mysql+{given}"))
    assert found == (expected and f"mysql://{expected}")


@pytest.mark.parametrize("way", ["address", "socket", "one by one"])
def test_any_name_and_password_reach_the_server(mariadb_url: str, way: str) -> None:
    admin, name = open_engine(mariadb_url), f"ü@{secrets.token_hex(4)}"
    host = "localhost" if way == "socket" else "127.0.0.1"
    run(
        admin,
        f"CREATE USER `{name}`@{host} IDENTIFIED BY 'p@ss:w/ +#?'",
        f"GRANT ALL ON *.* TO `{name}`@{host}",
        "CREATE TABLE odd (x INT)",
        "INSERT INTO odd VALUES (7)",
    )
    url = admin.url.set(username=name, password="p@ss:w/ +#?")
    if way == "socket":
        with admin.connect() as connection:
            socket = connection.exec_driver_sql("SELECT @@socket").scalar_one()
        url = url.set(host=None, port=None, query={"unix_socket": socket})
    written = url.render_as_string(hide_password=False)
    with opened(written + ONE_BY_ONE if way == "one by one" else written) as engine:
        assert odd(engine)["x"].tolist() == [7]
        run(admin, f"DROP USER `{name}`@{host}")
    admin.dispose()


def test_each_value_is_read_as_the_table_holds_it(engine: sa.Engine) -> None:
    names = [f"c{place}" for place in range(len(VALUES))]
    columns = ", ".join(f"{n} {kind} NULL" for n, (kind, _, _) in zip(names, VALUES, strict=True))
    literals = ", ".join(literal for _, literal, _ in VALUES)
    run(engine, "SET sql_mode = ''", f"CREATE TABLE odd ({columns})")
    run(engine, f"INSERT INTO odd VALUES ({literals})")
    found = odd(engine).iloc[0].tolist()
    missing = [value is None or value != value for value in found]
    assert [None if no else value for value, no in zip(found, missing, strict=True)] == [
        expected for _, _, expected in VALUES
    ]


def test_an_empty_table_has_its_columns(engine: sa.Engine) -> None:
    run(engine, "CREATE TABLE odd (x DECIMAL(9,2), y VARCHAR(9))")
    found = odd(engine)
    assert (list(found), len(found)) == (["x", "y"], 0)


def test_a_number_past_every_integer_is_refused(engine: sa.Engine) -> None:
    run(engine, "CREATE TABLE odd (x BIGINT UNSIGNED)", f"INSERT INTO odd VALUES ({2**64 - 1})")
    expected = "number that cannot be read: expected numbers of the type int64 in the column x$"
    with pytest.raises(DataError, match=expected):
        odd(engine)


def test_a_zero_date_is_for_the_contract_to_name(engine: sa.Engine) -> None:
    loading.create_table(engine)
    rows = everybody(engine).reindex(range(2)).assign(**customer(1)).assign(CLIENTNUM=[1, 2])
    rows.to_sql("churners", engine, if_exists="append", index=False)
    run(engine, "SET sql_mode = ''", "UPDATE churners SET labelled_at = 0 WHERE CLIENTNUM = 2")
    faults = load_contract().check_frame(everybody(engine)).faults
    assert faults["found"].tolist() == ["'0000-00-00 00:00:00.000000'"]


def test_a_panic_is_an_error_like_any_other(quick: sa.Engine) -> None:
    run(
        quick,
        "SET sql_mode = ''",
        "CREATE TABLE odd (x DATE)",
        "INSERT INTO odd VALUES ('0000-00-00')",
    )
    untold = sa.select(sa.column("x")).select_from(sa.table("odd"))
    with pytest.raises(DataError, match="could not read the table odd .*'0000-00-00'") as failed:
        with reading(quick, "odd"):
            mysql_arrow.by_connectorx(str(connectorx_url(quick.url)), untold)
    assert type(failed.value) is DataError


def test_a_table_that_is_gone_is_no_reason_to_wait(quick: sa.Engine) -> None:
    with pytest.raises(DataError, match="could not read the table odd .*doesn't exist") as failed:
        with reading(quick, "odd") as connection:
            read_arrow(connection, sa.select().select_from(sa.table("odd")), {"x": sa.Integer()})
    assert type(failed.value) is DataError


def test_a_failed_query_is_told_without_its_customers(quick: sa.Engine) -> None:
    asked = sa.select(sa.column("x")).select_from(sa.table("odd")).where(sa.column("x") > 708082083)
    with pytest.raises(sa.exc.SQLAlchemyError, match="SELECT x") as failed:
        mysql_arrow.by_connectorx(str(connectorx_url(quick.url)), asked)
    assert "708082083" not in str(failed.value)


def test_a_table_that_stays_locked_is_worth_another_try(
    quick: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_arrow, "SESSION", ["SET SESSION lock_wait_timeout = 1"])
    run(quick, "CREATE TABLE odd (x INT)")
    with quick.connect() as other:
        other.exec_driver_sql("LOCK TABLES odd WRITE")
        with pytest.raises(DatabaseUnavailable, match="Lock wait timeout"):
            with reading(quick, "odd") as connection:
                read_arrow(
                    connection, sa.select().select_from(sa.table("odd")), {"x": sa.Integer()}
                )


def test_a_wrong_password_is_toldby_connectorx(mariadb_url: str) -> None:
    with opened(mariadb_url.replace("hush", "loud")) as engine:
        started = time.monotonic()
        with pytest.raises(
            DataError, match="Access denied .*password of CHURN_DATABASE_URL"
        ) as failed:
            everybody(engine)
        assert type(failed.value) is DataError  # which no wait mends
        assert time.monotonic() - started < 10


def test_every_session_speaks_utc(engine: sa.Engine) -> None:
    run(
        engine,
        "CREATE TABLE odd (x TIMESTAMP NULL)",
        "SET time_zone = '+05:00'",
        "INSERT INTO odd VALUES ('2026-11-01 10:00:00')",
    )
    engine.dispose()
    assert odd(engine)["x"].tolist() == ["2026-11-01 05:00:00"]
    zone = sa.select(sa.literal_column("@@time_zone").label("x"))
    found = mysql_arrow.by_connectorx(str(connectorx_url(engine.url.set(query={}))), zone)
    assert found["x"].to_pylist() == ["+00:00"]
    with engine.connect() as connection:
        assert connection.scalar(zone) == "+00:00"


# --- TLS


@pytest.fixture
def authority(mariadb_url: str) -> str:
    """The file of the server's own certificate."""
    with sa.create_engine(mariadb_url).connect() as connection:
        path = connection.exec_driver_sql("SELECT @@ssl_cert").scalar_one()
    if not path:
        pytest.skip("no openssl on this machine to make the server's certificate")
    return str(path)


def cipher(url: str) -> str:
    """What a connection by connectorx is encrypted with; empty where it is not."""
    status: Any = sa.text("SHOW STATUS LIKE 'Ssl_cipher'")
    found = mysql_arrow.by_connectorx(str(connectorx_url(sa.make_url(url))), status)
    return str(found["Value"].to_pylist()[0])


def test_an_authority_in_the_url_encrypts(mariadb_url: str, authority: str) -> None:
    assert cipher(mariadb_url) == ""
    assert cipher(f"{mariadb_url}?ssl_ca={authority}")


def test_a_server_by_another_name_is_refused_unless_told(mariadb_url: str, authority: str) -> None:
    elsewhere = f"{mariadb_url.replace('127.0.0.1', 'localhost')}?ssl_ca={authority}"
    engine = open_engine(elsewhere)
    with pytest.raises(DatabaseUnavailable, match="certificate"):
        everybody(engine)
    assert cipher(f"{elsewhere}&ssl_check_hostname=false")
