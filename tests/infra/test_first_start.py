"""What the containers' jobs do, without containers: the store's check, customers, the login."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.customers.first_customers import MADE_UP, SAMPLE_ROWS, look_at_customers, source_of
from include.customers.sample import sample_customers
from include.errors import DataError, StoreError, StoreUnavailable
from include.settings import PROJECT, Settings, load_settings
from include.store import LocalStore, S3Store, Store, open_store, s3_config
from infra.airflow import login
from infra.compose import bootstrap
from infra.compose.store_init import check_conditions, make_bucket
from tests.conftest import AWS_DUMMY


class Forgetful(LocalStore):
    """A store that writes whatever the condition says, as some servers do."""

    def replace(self, key: str, data: bytes, *, etag: str | None) -> None:
        self.write(key, data)


def test_a_store_that_writes_on_a_condition_is_taken(store: Store) -> None:
    check_conditions(store)
    assert list(store.list("")) == []


def test_a_store_that_ignores_conditions_is_refused(tmp_path: Path) -> None:
    store = Forgetful(tmp_path)
    with pytest.raises(StoreError, match=r"ignores If-None-Match: \* on a write"):
        check_conditions(store)
    assert list(store.list("")) == []


@pytest.mark.usefixtures("s3_environment")
def test_the_bucket_is_made_once() -> None:
    store = open_store("s3://churn-first-start/prefix")
    assert isinstance(store, S3Store)
    make_bucket(store)
    store.write("kept", b"this")
    make_bucket(store)
    assert store.read("kept").data == b"this"
    found = store.client.get_bucket_lifecycle_configuration(Bucket=store.bucket)["Rules"]
    assert [(rule["Filter"], rule["Expiration"]["Days"]) for rule in found] == [
        ({"Prefix": "prefix/runs/"}, 30)
    ]


def test_a_store_that_never_answers_is_named(free_port: int) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{free_port}",
        region_name="us-east-1",
        aws_access_key_id=AWS_DUMMY["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=AWS_DUMMY["AWS_SECRET_ACCESS_KEY"],
        config=s3_config(),
    )
    with pytest.raises(StoreUnavailable, match="can be neither used nor made"):
        make_bucket(S3Store(client, "churn"), wait_seconds=0)


@pytest.fixture
def settings(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a container with an empty database."""
    monkeypatch.setenv("CHURN_DATABASE_URL", sqlite_url)
    return load_settings()


NO_FILE = Path("/dev/null")  # what compose mounts where none is named


def test_customers_come_from_a_file_and_more_of_them_from_a_longer_one(
    settings: Settings, tmp_path: Path
) -> None:
    csv, people = tmp_path / "customers.csv", sample_customers(50, seed=1)
    for rows, is_new in ((40, True), (40, False), (50, True)):
        people.head(rows).to_csv(csv, index=False)
        assert bootstrap.load_customers(settings, csv) is is_new
        found = look_at_customers(settings.resolved_database_url)
        assert found == (rows, source_of(csv))
    assert bootstrap.load_customers(settings, NO_FILE) is False


def test_a_file_does_not_come_to_lie_beside_made_up_customers(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv = tmp_path / "customers.csv"
    sample_customers(50, seed=1).to_csv(csv, index=False)  # even where the numbers are the same
    assert bootstrap.load_customers(settings, NO_FILE) is True
    with pytest.raises(DataError, match="the customers could not be loaded, see above"):
        bootstrap.load_customers(settings, csv)
    assert "holds 10,000 made-up customers. Nothing was loaded." in capsys.readouterr().err
    assert look_at_customers(settings.resolved_database_url) == (SAMPLE_ROWS, MADE_UP)


def test_what_is_no_file_of_customers_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="names a directory"):
        bootstrap.load_customers(settings, tmp_path)
    (tmp_path / "customers.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="could not be loaded, see above"):
        bootstrap.load_customers(settings, tmp_path / "customers.csv")


def test_the_login_is_written_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run" / "passwords.json"
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(path))
    monkeypatch.setenv("CHURN_AIRFLOW_PASSWORD", "hush")
    login.main()
    assert json.loads(path.read_text()) == {"admin": "hush"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_store_packs_and_unpacks_whole(tmp_path: Path) -> None:
    full, empty = LocalStore(tmp_path / "full"), LocalStore(tmp_path / "empty")
    kept = {"champion/current.json": b"{}", "a/b.bin": bytes(range(256)) * 5000, "a.txt": b""}
    for key, data in kept.items():
        full.write(key, data)
    archive = _objects(full, "pack")
    _objects(empty, "unpack", given=archive)
    assert {each.key: empty.read(each.key).data for each in empty.list("")} == kept
    assert _objects(empty, "count") == b"3\n"
    _objects(empty, "clear")
    assert list(empty.list("")) == []


def _objects(store: LocalStore, command: str, given: bytes = b"") -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "infra.compose.objects", command],
        cwd=PROJECT,
        env={**os.environ, "CHURN_STORE_URI": store.uri},
        input=given,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
