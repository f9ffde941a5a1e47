"""What the containers' jobs do, without containers: the store's check, customers, the login."""

import json
from pathlib import Path

import pytest

from include.customers.first_customers import MADE_UP, SAMPLE_ROWS, look_at_customers, source_of
from include.customers.sample import sample_customers
from include.errors import DataError, StoreError, StoreUnavailable
from include.settings import Settings, load_settings
from include.store import LocalStore, S3Store, Store, open_store
from infra.airflow import login
from infra.airflow.client import RunState
from infra.airflow.dag_runs import RunFailed
from infra.compose import bootstrap, store_init
from infra.compose.store_init import check_conditions, make_bucket
from tests.conftest import s3_client_of
from tests.infra.scripted_airflow import airflow_answering
from tests.s3_answers import Answer, answering

EMPTY_LIST = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


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


def test_a_store_that_never_answers_is_named(free_port: int) -> None:
    client = s3_client_of(f"http://127.0.0.1:{free_port}", attempts=1)
    with pytest.raises(StoreUnavailable, match="no answer from s3://churn for the bucket"):
        make_bucket(S3Store(client, "churn"), wait_seconds=0)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (
            [Answer(404, "NoSuchBucket"), Answer(403, "AccessDenied")],
            "must allow s3:CreateBucket",
        ),
        (
            [Answer(404, "NoSuchBucket"), Answer(409, "BucketAlreadyExists")],
            "another account has it: choose another name in CHURN_STORE_URI",
        ),
        ([Answer(200, body=EMPTY_LIST), Answer(501, "NotImplemented")], "write on a condition"),
    ],
    ids=["may not make", "taken", "no conditions"],
)
def test_the_first_start_ends_with_one_message(
    answers: list[Answer],
    told: str,
    s3_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("CHURN_STORE_URI", "s3://churn")
    with answering(*answers) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        assert store_init.main() == 1
    (record,) = [each for each in caplog.records if each.name == "store-init"]
    assert told in record.getMessage() and not record.exc_info


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


def test_a_first_training_that_asks_a_person_ends_the_start_and_one_without_a_champion_fails_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_STORE_URI", tmp_path.as_uri())
    ends = iter([RunState("manual__1", "running", None), RunState("manual__1", "success", 7.0)])
    monkeypatch.setattr(bootstrap.training_run, "train", lambda client, **_: next(ends))
    with airflow_answering({}) as client:
        bootstrap.train_if_needed(load_settings(), client, has_new_customers=True)
        with pytest.raises(RunFailed, match="promoted nothing; what the gate decided cannot"):
            bootstrap.train_if_needed(load_settings(), client, has_new_customers=True)


def test_where_to_answer_is_told_as_a_browser_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_AIRFLOW_URL", "http://airflow-api-server:8080")
    monkeypatch.setenv("CHURN_AIRFLOW_PASSWORD", "hush")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")
    client = bootstrap._airflow(bootstrap.Place())
    page = client.question_page("churn_training", "run", "approve_promotion")
    client.close()
    assert page.startswith("https://airflow.example/dags/churn_training/runs/run/tasks/approve")


def test_the_login_is_written_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run" / "passwords.json"
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(path))
    monkeypatch.setenv("CHURN_AIRFLOW_PASSWORD", "hush")
    login.main()
    assert json.loads(path.read_text()) == {"admin": "hush"}
    assert path.stat().st_mode & 0o777 == 0o600
