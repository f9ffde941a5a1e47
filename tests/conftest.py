"""Real parts for every test: S3 over HTTP, a MySQL-compatible server, an MLflow server."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any
from unittest.mock import patch
from urllib.error import URLError
from urllib.request import urlopen

import hypothesis
import pytest

from include.store import LocalStore, S3Store, Store, s3_config
from tests.alone import stand_alone
from tests.ports import free_ports

PROJECT = Path(__file__).resolve().parent.parent
START_SECONDS = 90
AWS_DUMMY = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}

# Time limits for one example fail on a busy machine, and fixtures are made once for all examples.
hypothesis.settings.register_profile(
    "churn",
    deadline=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("churn")


def pytest_configure() -> None:
    """Before any test begins."""
    stand_alone()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: no process is left alone with one while others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file stays in one process, and tests/dags as a whole: one alone imports Airflow."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            airflow = "tests/dags/"
            return airflow if nodeid.startswith(airflow) else super()._split_scope(nodeid)

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def bank_churners() -> Path:
    """The real customers, which the project does not contain."""
    path = PROJECT.parent / "shared" / "data" / "BankChurners.csv"
    if not path.exists():
        pytest.skip("the real customers (../shared/data/BankChurners.csv) are not on this machine")
    return path


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The URL of an S3-compatible server; its credentials are AWS_DUMMY."""
    from moto.s3.responses import S3Response
    from moto.server import ThreadedMotoServer

    put, lock = S3Response.put_object, Lock()

    def put_alone(self: S3Response) -> Any:
        """Moto looks at the condition and writes later: another may come between."""
        with lock:
            return put(self)

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with patch.object(S3Response, "put_object", put_alone):
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def free_port() -> int:
    """A loopback port on which nobody listens."""
    return free_ports(1)[0]


@pytest.fixture
def s3_store(s3_endpoint: str) -> S3Store:
    """An empty bucket."""
    return empty_bucket(s3_endpoint)


def empty_bucket(endpoint: str) -> S3Store:
    """A bucket that nobody else knows."""
    client = s3_client_of(endpoint)
    bucket = f"churn-{secrets.token_hex(8)}"
    client.create_bucket(Bucket=bucket)
    return S3Store(client, bucket)


def s3_client_of(endpoint: str, **patience: Any) -> Any:
    """A client of S3 at this address; `patience` is s3_config's."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=AWS_DUMMY["AWS_DEFAULT_REGION"],
        aws_access_key_id=AWS_DUMMY["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=AWS_DUMMY["AWS_SECRET_ACCESS_KEY"],
        config=s3_config(**patience),
    )


@pytest.fixture
def s3_environment(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual AWS variables, so that `open_store("s3://…")` finds the endpoint."""
    for name, value in {**AWS_DUMMY, "AWS_ENDPOINT_URL": s3_endpoint}.items():
        monkeypatch.setenv(name, value)


@cache
def service_descriptions() -> Any:
    """What botocore knows of AWS, read once."""
    from botocore.loaders import create_loader

    return create_loader()


@pytest.fixture
def aws_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No AWS setting of this machine, but keys and a port on which nobody listens: spoil them."""
    import boto3
    import botocore.session

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        **AWS_DUMMY,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    # The default one keeps credentials, and one of its own would read megabytes of JSON anew.
    session = botocore.session.get_session()
    session.register_component("data_loader", service_descriptions())
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.session.Session(botocore_session=session))
    return monkeypatch


@pytest.fixture
def local_store(tmp_path: Path) -> LocalStore:
    """An empty directory."""
    return LocalStore(tmp_path / "store")


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty store of either kind."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[str]:
    """The URL of a private MariaDB or MySQL server, without a database."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/usr/libexec"
    daemon = shutil.which("mariadbd", path=search) or shutil.which("mysqld", path=search)
    if daemon is None:
        pytest.skip("no mariadbd or mysqld on this machine: install mariadb-server to run this")
    # Not below pytest's own directory, which only its owner may enter.
    home = Path(tempfile.mkdtemp(prefix="churn-mariadb-"))
    try:
        with database_daemon(daemon, home) as url:
            yield url
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def mariadb_url(mariadb_server: str) -> Iterator[str]:
    """An empty database on the private server."""
    with empty_database(mariadb_server) as url:
        yield url


@contextmanager
def empty_database(server: str) -> Iterator[str]:
    """The same on a server at that URL."""
    import sqlalchemy as sa

    name = f"churn_{secrets.token_hex(6)}"
    engine = sa.create_engine(server)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
    yield f"{server}/{name}"
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name}"))
    engine.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'churn.db'}"


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of either kind."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real MLflow server on SQLite and a directory."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@contextmanager
def running_mlflow(home: Path) -> Iterator[str]:
    """The same below any directory."""
    port = free_ports(1)[0]
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"),
        *("--artifacts-destination", str(home / "artifacts")),
    ]
    # Jobs would start seven more processes.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    url = f"http://127.0.0.1:{port}"
    with running(command, home / "log", env=environment, ready=lambda: answers(f"{url}/health")):
        yield url


@contextmanager
def database_daemon(daemon: str, home: Path) -> Iterator[str]:
    data, port = home / "data", free_ports(1)[0]
    as_user = ["--user=mysql"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(home, "mysql", "mysql")
    # Servers that start remove what they find in a shared directory for temporary files.
    places = [f"--datadir={data}", f"--socket={home / 'socket'}", f"--tmpdir={home}"]
    settings = [*places, *as_user]
    _install_database(daemon, settings)
    (home / "init.sql").write_text(
        "CREATE USER churn@127.0.0.1 IDENTIFIED BY 'hush';\n"
        "GRANT ALL ON *.* TO churn@127.0.0.1 WITH GRANT OPTION;\n"
    )
    command = [
        *(daemon, "--no-defaults", *settings, f"--port={port}", "--bind-address=127.0.0.1"),
        *("--skip-name-resolve", "--skip-log-bin", f"--pid-file={home / 'pid'}"),
        *_own_certificate(home),
        *(f"--init-file={home / 'init.sql'}", "--innodb-flush-log-at-trx-commit=0"),
    ]
    url = f"mysql+pymysql://churn:hush@127.0.0.1:{port}"
    with running(command, home / "log", ready=lambda: _accepts(url)):
        yield url


def _own_certificate(home: Path) -> list[str]:
    """Options for TLS by a certificate for 127.0.0.1 alone, which is its own authority."""
    openssl, certificate, key = shutil.which("openssl"), home / "cert.pem", home / "key.pem"
    if openssl is None:
        return []
    command = [
        *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=churn"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
    ]
    subprocess.run(command, capture_output=True, check=True)
    key.chmod(0o644)  # the daemon may be another user
    return [f"--ssl-cert={certificate}", f"--ssl-key={key}"]


def _install_database(daemon: str, settings: list[str]) -> None:
    maker = shutil.which("mariadb-install-db")
    if maker and "mariadb" in Path(daemon).resolve().name:
        command = [maker, "--no-defaults", "--skip-test-db", *settings]
    else:
        command = [daemon, "--no-defaults", "--initialize-insecure", *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running(
    command: list[str],
    log: Path,
    *,
    ready: Callable[[], bool],
    env: dict[str, str] | None = None,
    cwd: Path = PROJECT,
) -> "Iterator[subprocess.Popen[bytes]]":
    """A process from the moment that it is ready to the end of the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env, cwd=cwd)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            assert process.poll() is None, f"{command[0]} ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{command[0]} is not ready:\n{log.read_text()}"
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    """Whether a page is there."""
    try:
        with urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _accepts(url: str) -> bool:
    import sqlalchemy as sa

    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"connect_timeout": 2})
    try:
        with engine.connect():
            return True
    except sa.exc.OperationalError:
        return False


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system with the options, such as its size, that the test gives."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", request.param, "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
