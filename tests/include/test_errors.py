"""No message that is raised on purpose tells a password."""

import pytest

from include.errors import ChurnError, RegistryError, StoreError, without_password

PASSWORDS = ["hush", "hu@sh", "hu:sh", "hu/sh", "hu?sh", "hu#sh", "@hush@", "hu@sh:1/x", "100%hush"]
PLACES = {
    "mysql+pymysql://user:{}@db.example:3306/churn": "mysql+pymysql://user:***@db.example:3306/churn",
    "mysql://user@corp:{}@db.example/churn": "mysql://user:***@db.example/churn",
    "redis://:{}@cache:6379/0": "redis://:***@cache:6379/0",
    "http://user:{}@mlflow:5000": "http://user:***@mlflow:5000",
    "user:{}@db.example/churn": "user:***@db.example/churn",  # no URL at all
}
HARMLESS = [
    *("sqlite:////home/a@b/churn.db", "s3://bucket/prefix", "http://127.0.0.1:8000/docs"),
    *("http://user@host/path", "file:///srv/store", "mysql://h/d?ssl_ca=/a.pem&charset=utf8mb4"),
]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize(("url", "shown"), PLACES.items())
def test_a_password_is_not_shown_whatever_is_in_it(url: str, shown: str, password: str) -> None:
    assert without_password(url.format(password)) == shown


@pytest.mark.parametrize("url", HARMLESS)
def test_what_holds_no_password_stays_as_it_is(url: str) -> None:
    assert without_password(url) == url


@pytest.mark.parametrize("kind", [ChurnError, StoreError, RegistryError])
@pytest.mark.parametrize("password", PASSWORDS)
def test_the_urls_of_a_message_are_shown_without_theirs(
    kind: type[ChurnError], password: str
) -> None:
    url = f"http://user:{password}@mlflow:5000"
    error = kind(
        f"MLflow at {url} did not answer (asked '{url}/api?token=hush&v=1'): ask a@b.example"
    )
    assert str(error) == (
        "MLflow at http://user:***@mlflow:5000 did not answer "
        "(asked 'http://user:***@mlflow:5000/api?token=***&v=1'): ask a@b.example"
    )
