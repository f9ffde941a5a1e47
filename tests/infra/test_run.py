"""`make run`: a file's customers never come to lie beside others, and what serves goes on."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import sqlalchemy as sa

from include.customers.__main__ import main as customers
from include.customers.first_customers import (
    MADE_UP,
    look_at_customers,
    refuse_to_fill,
    source_of,
)
from include.customers.sample import sample_customers
from include.errors import DataError
from include.history.days import months_kept
from include.settings import Settings
from include.store import open_store
from infra.airflow import training_run
from infra.airflow.client import RunState
from infra.local import airflow, run
from infra.local.directory import alone, prepare
from infra.local.run import StartUp
from infra.local.services import Layout
from infra.local.stack import Stack, StackError
from tests.infra.conftest import MakeService
from tests.webapp.champions import make_version, publish

pytestmark = pytest.mark.slow

Begin = Callable[..., StartUp]


@pytest.fixture
def begin(settings: Settings, places: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """A start in a directory whose store says what was made of the customers before."""
    monkeypatch.setenv("CHURN_DATABASE_URL", settings.resolved_database_url)
    prepare(places)
    with alone(places), Stack(places) as stack:

        def begin(
            csv: Path | None, *, months: int = 0, replace: bool = False, **changes: str
        ) -> StartUp:
            changed = settings.model_copy(update=changes)
            return StartUp(changed, places, stack, csv=csv, months=months, replace=replace)

        yield begin


@pytest.fixture
def made_up(begin: Begin, places: Layout) -> Path:
    """50 made-up customers, and something that was made of them."""
    assert customers(["sample", "--rows", "50"]) == 0
    model = places.var / "store" / "champion"
    model.mkdir(parents=True)
    return model


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A file of 40 customers, some of whose numbers are those of the made-up ones."""
    path = tmp_path / "my customers.csv"
    sample_customers(40, seed=2).to_csv(path, index=False)
    return path


def test_a_file_is_loaded_before_anything_starts_and_once(
    begin: Begin, places: Layout, settings: Settings, real: Path
) -> None:
    first, second = begin(real), begin(real)
    first._prepare()
    assert look_at_customers(settings.resolved_database_url) == (40, source_of(real))
    assert first.has_new_customers and not first.stack.leaders
    log = places.log("customers").stat().st_mtime_ns
    second._prepare()
    assert not second.has_new_customers and places.log("customers").stat().st_mtime_ns == log


def test_made_up_customers_give_way_to_a_file_by_a_deliberate_word_alone(
    begin: Begin, made_up: Path, places: Layout, settings: Settings, real: Path
) -> None:
    with pytest.raises(StackError, match="holds 50 made-up customers.*CSV=… REPLACE=1"):
        begin(real)._prepare()
    assert made_up.exists()
    assert look_at_customers(settings.resolved_database_url) == (50, MADE_UP)
    start = begin(real, replace=True)
    start._prepare()
    assert look_at_customers(settings.resolved_database_url) == (40, source_of(real))
    assert start.has_new_customers and not made_up.exists()
    assert places.passwords.exists()


def test_months_are_made_up_once_and_others_give_way_by_a_deliberate_word_alone(
    begin: Begin, made_up: Path, places: Layout, settings: Settings
) -> None:
    with pytest.raises(StackError, match="holds 50 customers, made up, with 0 months of history"):
        begin(None, months=2)._prepare()
    assert made_up.exists()
    start = begin(None, months=2, replace=True)
    start._prepare()
    assert start.has_new_customers and not made_up.exists()
    assert months_kept(settings.resolved_database_url) == 2
    assert look_at_customers(settings.resolved_database_url)[1] == MADE_UP
    log, again = places.log("customers").stat().st_mtime_ns, begin(None, months=2)
    again._prepare()
    assert not again.has_new_customers and places.log("customers").stat().st_mtime_ns == log
    with pytest.raises(StackError, match="2 months of history.*`make run HISTORY=3 REPLACE=1` del"):
        begin(None, months=3)._prepare()


@pytest.mark.parametrize("rest", ["Attrited Customer", None])
def test_months_whose_making_was_stopped_are_not_trained_on(
    begin: Begin, settings: Settings, rest: str | None
) -> None:
    start, engine = begin(None, months=2), sa.create_engine(settings.resolved_database_url)
    start._prepare()
    start._start_loading()
    with engine.begin() as connection:
        left = "DELETE FROM churners WHERE Attrition_Flag != ?"
        connection.exec_driver_sql(left, (rest or "",))
    engine.dispose()
    with pytest.raises(DataError, match="none stays.*`make clean-data`, then `make run HISTORY=24"):
        begin(None)._start_loading()


def test_months_are_not_made_up_beside_a_files_customers_whatever_is_said(
    begin: Begin, real: Path
) -> None:
    begin(real)._prepare()
    with pytest.raises(StackError, match="from my customers.csv .*`make clean-data` deletes"):
        begin(None, months=3, replace=True)._prepare()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "begins with something else: expected a header"),
        ({"store_uri": "s3://bucket/prefix"}, "also keeps data elsewhere: s3://bucket/prefix"),
    ],
)
def test_nothing_gives_way_to_what_cannot_take_its_place(
    changes: dict[str, str],
    reason: str,
    begin: Begin,
    made_up: Path,
    settings: Settings,
    real: Path,
) -> None:
    if not changes:
        real.write_text("nobody's customers,b\n1,2\n")
    with pytest.raises(StackError, match=reason):
        begin(real, replace=True, **changes)._prepare()
    assert made_up.exists()
    assert look_at_customers(settings.resolved_database_url) == (50, MADE_UP)


def test_a_file_that_cannot_be_read_is_named_before_anything_starts(
    begin: Begin, tmp_path: Path
) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(StackError, match=f"there is no file {path} to load"):
            begin(path)._refuse()


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Airflow trains and promotes nothing; the reasons that it was given."""
    reasons: list[str] = []

    def train(client: object, *, reason: str, **_: object) -> RunState:
        reasons.append(reason)
        return RunState("manual__1", "success", 7.0)

    monkeypatch.setattr(training_run, "train", train)
    return reasons


def test_customers_that_came_beside_a_champion_are_trained_on(
    begin: Begin, places: Layout, settings: Settings, training: list[str]
) -> None:
    publish(open_store(settings.resolved_store_uri), make_version("1"))
    airflow.prepare(places)
    start = begin(None)
    start._train_if_needed()
    assert training == []
    start.has_new_customers = True
    start._train_if_needed()
    assert training == ["new customers"]


def test_a_training_that_asks_a_person_is_left_to_wait(
    begin: Begin, places: Layout, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(open_store(settings.resolved_store_uri), make_version("1"))
    airflow.prepare(places)
    waiting = RunState("manual__1", "running", None)
    monkeypatch.setattr(training_run, "train", lambda client, **_: waiting)
    start = begin(None)
    start.has_new_customers = True
    start._train_if_needed()
    assert start.failure is None


def test_a_table_that_a_bank_has_emptied_is_not_filled(begin: Begin, settings: Settings) -> None:
    url = settings.resolved_database_url
    start, engine = begin(None, database_url=url), sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE churners (CLIENTNUM integer)")
    with pytest.raises(DataError, match="churners in sqlite.* is empty, and this stack did not"):
        start._start_loading()
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE churners")
    engine.dispose()
    assert customers(["sample", "--rows", "50"]) == 0
    refuse_to_fill(url)  # what it filled once it may fill again


def test_what_serves_goes_on_when_what_trains_cannot_start(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall(_: StartUp) -> None:
        raise StackError("mlflow ended with code 3")

    monkeypatch.setattr(StartUp, "_start", fall)
    start = begin(None)
    with pytest.raises(StackError, match="mlflow ended with code 3"):
        start._start_training()
    start.stack.restarting = True  # as it is once a champion is served
    start._start_training()
    assert start.failure == "mlflow ended with code 3"


@pytest.mark.parametrize("database", ["there", "away"])
def test_a_champion_that_no_api_serves_leaves_a_stack_to_roll_back_with(
    database: str,
    begin: Begin,
    places: Layout,
    settings: Settings,
    make_service: MakeService,
    made_up: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    publish(open_store(settings.resolved_store_uri), make_version("1"))
    sleeper = make_service("triggerer", "import time\ntime.sleep(100)")
    monkeypatch.setattr(airflow, "triggerer", lambda _: sleeper)
    monkeypatch.setattr(run, "READY_SECONDS", 0.1)
    monkeypatch.setattr(run.StartUp, "_look_for_dags", lambda _: None)
    start = begin(None)
    start.of_airflow = {}
    start.stack.restarting = True
    if database == "away":
        monkeypatch.setattr(StartUp, "_customers", MagicMock(side_effect=DataError("away")))
    start._open()
    found = json.loads(places.stack_file.read_text())
    assert found["state"] == "failed"
    assert "the champion is not ready after 0.1 s: see" in found["failure"]
    told = "Version 1 is from before these customers were loaded" in caplog.text
    assert told == (database == "there")
