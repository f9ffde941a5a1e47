"""Trouble with S3: each has one message that says what was expected, found, and what to do."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import SSLError

from include.errors import (
    ChurnError,
    ConfigurationError,
    ObjectNotFound,
    StoreError,
    StoreForbidden,
    StoreUnavailable,
)
from include.store import S3Store, open_store
from include.store.s3_errors import Asked, explained
from tests.conftest import s3_client_of
from tests.s3_answers import Answer, answering

OK = Answer(200)
PATIENCE = {"attempts": 2, "read_timeout": 0.2}


def store_at(url: str, **patience: Any) -> S3Store:
    return S3Store(s3_client_of(url, **patience), "bucket")


# --- what a server answers


@pytest.mark.parametrize(
    "trouble",
    [
        *(Answer(503, "SlowDown"), Answer(500, "InternalError")),
        *(Answer(429, "Throttling"), Answer(400, "RequestTimeout")),
    ],
    ids=lambda trouble: trouble.code,
)
def test_a_busy_server_is_asked_again_after_a_while(
    trouble: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    monkeypatch.setattr(time, "sleep", delays.append)
    with answering(trouble, trouble, OK) as server:
        assert store_at(server.url).read("key").data == b"data"
    assert len(server.asked) == 3 and len(delays) == 2
    assert 0 < delays[0] <= 1
    assert 0 < delays[1] <= 2


@pytest.mark.parametrize(
    ("trouble", "error", "told"),
    [
        (Answer(503, "SlowDown"), StoreUnavailable, "'key' with 503 SlowDown .told so.: try later"),
        (Answer(507, "StorageFull"), StoreUnavailable, "507 StorageFull .*: try later"),
        (
            Answer(403, "AccessDenied"),
            StoreForbidden,
            "403 AccessDenied .told so.: .* must allow s3:GetObject and s3:ListBucket",
        ),
        (Answer(401, "Unauthorized"), StoreForbidden, "must allow"),
        (Answer(403, "InvalidAccessKeyId"), StoreForbidden, "correct AWS_ACCESS_KEY_ID"),
        (Answer(403, "SignatureDoesNotMatch"), StoreForbidden, "correct AWS_SECRET_ACCESS_KEY"),
        (Answer(400, "ExpiredToken"), StoreForbidden, "get new credentials"),
        (Answer(403, "RequestTimeTooSkewed"), StoreForbidden, "set this machine's clock"),
        (Answer(404, "NoSuchBucket"), StoreError, "s3://bucket answered .*: create it, or correct"),
        (Answer(404, "NoSuchKey"), ObjectNotFound, "no object 'key' in s3://bucket"),
        (Answer(404, body=b"<html>nothing here"), StoreError, "no S3 answers so: does AWS_ENDPOI"),
        (Answer(400, "InvalidRequest"), StoreError, "400 InvalidRequest .*: correct what it names"),
        (Answer(501, "NotImplemented"), StoreError, "it does not support GetObject"),
        (Answer(301, "PermanentRedirect"), ConfigurationError, "set AWS_DEFAULT_REGION to the buc"),
        (Answer(400, "AuthorizationHeaderMalformed"), ConfigurationError, "set AWS_DEFAULT_REGION"),
    ],
    ids=lambda value: f"{value.status} {value.code}" if isinstance(value, Answer) else "",
)
def test_each_refusal_has_its_error(
    trouble: Answer, error: type[ChurnError], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with answering(trouble) as server, pytest.raises(error, match=told) as raised:
        store_at(server.url, **PATIENCE).read("key")
    assert type(raised.value) is error
    assert len(server.asked) <= 3


@pytest.mark.parametrize(
    "trouble",
    [
        *(Answer(501, "NotImplemented"), Answer(400, "NotImplemented"), Answer(501)),
        *(Answer(405, "MethodNotAllowed"), Answer(400, "InvalidArgument"), Answer(405)),
    ],
    ids=lambda trouble: f"{trouble.status} {trouble.code}",
)
@pytest.mark.parametrize(
    ("write", "header"),
    [
        (lambda store: store.create("key", b""), r"If-None-Match: \*"),
        (lambda store: store.replace("key", b"", etag=None), r"If-None-Match: \*"),
        (lambda store: store.replace("key", b"", etag='"1"'), "If-Match"),
    ],
    ids=["create", "replace nothing", "replace"],
)
def test_a_store_that_knows_no_conditions_is_named_as_such(
    trouble: Answer, write: Callable[[S3Store], None], header: str
) -> None:
    told = rf"with {trouble.status} .* does not support a write on a condition \({header}\)"
    with answering(trouble) as server, pytest.raises(StoreError, match=told):
        write(store_at(server.url))
    assert server.asked == ["PUT"]


def test_an_answer_of_somebody_else_is_no_object_and_no_empty_list() -> None:
    stranger = Answer(200, body=b"<html>hello</html>", headers={"ETag": ""})
    for use in (lambda store: store.read("key"), lambda store: list(store.list(""))):
        with answering(stranger) as server, pytest.raises(StoreError, match="as no S3 does: does"):
            use(store_at(server.url))


# --- the way there


def test_nobody_at_the_address_is_unavailable(free_port: int) -> None:
    with pytest.raises(StoreUnavailable, match="no answer from s3://bucket for 'key': .*: check A"):
        store_at(f"http://127.0.0.1:{free_port}", **PATIENCE).write("key", b"one")


def test_a_server_that_hangs_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="check AWS_ENDPOINT_URL"):
            store_at(f"http://127.0.0.1:{silent.getsockname()[1]}", **PATIENCE).read("key")
    assert time.monotonic() - started < 5


def test_a_tls_connection_that_breaks_off_may_pass() -> None:
    broken = SSLError(endpoint_url="https://x", error="EOF occurred in violation of protocol")
    asked = Asked("s3://bucket", "key")
    with pytest.raises(StoreUnavailable, match="no answer from s3://bucket"), explained(asked):
        raise broken


def test_a_server_without_tls_is_named() -> None:
    with (
        answering(OK) as server,
        pytest.raises(ConfigurationError, match="WRONG_VERSION.* http:// where it does not speak"),
    ):
        store_at(server.url.replace("http:", "https:"), **PATIENCE).read("key")


# --- settings


@pytest.fixture(scope="module")
def tls_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with a certificate that nobody signed."""
    folder = tmp_path_factory.mktemp("tls")
    pem, key = folder / "cert.pem", folder / "key.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-keyout", str(key), "-out", str(pem), "-subj", "/CN=churn"),
    ]
    subprocess.run(command, capture_output=True, check=True)
    with answering(OK, certificate=(pem, key)) as server:
        yield server.url


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"AWS_PROFILE": "team"}, ConfigurationError, "team.*: AWS_PROFILE must name .*unset it"),
        ({"AWS_SECRET_ACCESS_KEY": None}, ConfigurationError, "set .*_SECRET_ACCESS_KEY both, or"),
        ({"AWS_ACCESS_KEY_ID": None}, StoreForbidden, "AWS_ACCESS_KEY_ID and AWS_SECRET_.* both"),
        ({"AWS_SESSION_TOKEN": "hush\n"}, StoreForbidden, "hold a line break or another"),
        (
            {"AWS_CONFIG_FILE": __file__},
            ConfigurationError,
            "Unable to parse config.*correct the AWS settings",
        ),
        ({"AWS_DEFAULT_REGION": "eu central"}, ConfigurationError, "AWS_DEFAULT_REGION must be"),
        ({"AWS_DEFAULTS_MODE": "odd"}, ConfigurationError, "correct the AWS settings"),
        (
            {
                **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
                "AWS_WEB_IDENTITY_TOKEN_FILE": "/absent",
                "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/churn",
            },
            ConfigurationError,
            "/absent.*correct the AWS settings",
        ),
        *(
            (
                {"AWS_ENDPOINT_URL": url},
                ConfigurationError,
                "AWS_ENDPOINT_URL must be a URL such",
            )
            for url in ("localhost:9000", "ftp://host", "http://host:port", "http://[::1")
        ),
    ],
)
def test_settings_that_cannot_work_are_named(
    aws_settings: pytest.MonkeyPatch,
    settings: dict[str, str | None],
    error: type[ChurnError],
    told: str,
) -> None:
    for name, value in settings.items():
        aws_settings.setenv(name, value) if value else aws_settings.delenv(name)
    with pytest.raises(error, match=told) as raised:
        open_store("s3://bucket").read("key")
    assert "hush" not in f"{raised.value} {raised.value.__cause__}"


def test_a_bucket_that_can_be_none_is_named(aws_settings: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="My_Bu!.*CHURN_STORE_URI must name a bucket"):
        open_store("s3://My_Bu!").read("key")


@pytest.mark.parametrize(
    ("bundle", "told"),
    [
        (None, "CERTIFICATE_VERIFY_FAILED"),
        ("absent", "No such file"),
        ("empty", "X509|PEM"),
        ("", "directory"),
    ],
    ids=["none", "absent", "empty", "a directory"],
)
def test_certificates_that_cannot_be_checked_are_named(
    aws_settings: pytest.MonkeyPatch, tls_url: str, tmp_path: Path, bundle: str | None, told: str
) -> None:
    (tmp_path / "empty").touch()
    if bundle is not None:
        aws_settings.setenv("AWS_CA_BUNDLE", str(tmp_path / bundle))
    aws_settings.setenv("AWS_ENDPOINT_URL", tls_url)
    aws_settings.setattr(time, "sleep", lambda _: None)
    with pytest.raises(ConfigurationError, match=f"({told}).*AWS_CA_BUNDLE .* must name a file"):
        open_store("s3://bucket").read("key")
