"""`make rollback`, `tune`, `history`, `promote`; in the place of Airflow, what its DAGs do."""

import getpass
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from include.champion import versions
from include.champion.history import record_move
from include.params import load_params
from include.settings import Settings
from include.store import Store, open_store
from include.training.tuned_set import BEST_KEY, TunedSet
from infra.airflow.client import RunState
from infra.local import commands, run, status
from infra.local.run import StartUp
from infra.local.running import exit_code
from infra.local.services import Layout
from infra.local.stack import Stack
from tests.include.tuning.test_publish_best import best
from tests.s3_answers import Answer, answering
from tests.webapp.champions import make_version, publish


@pytest.fixture
def store(settings: Settings) -> Store:
    """A store in which version 1 is in production."""
    found = open_store(settings.resolved_store_uri)
    publish(found, make_version("1"))
    return found


def put_back(store: Store, version: str, reason: str, on_behalf_of: str) -> None:
    """What the DAG does where the pointer is lost."""
    assert on_behalf_of == getpass.getuser()
    etag = commands._pointer_etag(store)
    pointer = versions.pointer_to(*versions.read_version(store, version))
    now = datetime.now(UTC)
    versions.move_pointer(store, pointer, etag=etag, previous="2", reason=reason, now=now)


@pytest.mark.parametrize("command", [commands._roll_back, commands._promote])
@pytest.mark.parametrize("spoilt", [None, b"", b'{"version": "1", "ma'], ids=["gone", "", "torn"])
def test_a_rollback_puts_a_lost_pointer_back_and_so_does_a_promotion(
    settings: Settings,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    spoilt: bytes | None,
    command: Any,
) -> None:
    store.delete(versions.POINTER_KEY)
    if spoilt is not None:
        store.write(versions.POINTER_KEY, spoilt)
    caplog.set_level("INFO")

    def run_dag(_: Settings, dag_id: str, conf: dict[str, Any]) -> RunState:
        assert dag_id == "churn_rollback"
        put_back(store, **conf)
        return RunState("run", "success", 1.0)

    monkeypatch.setattr(commands, "run_dag", run_dag)
    asked = Namespace(version="1", reason="it was deleted")
    assert command(settings, asked) == 0
    assert "champion is version 1, it was 2: ROC-AUC 0.97" in caplog.text


def test_a_rollback_to_what_serves_says_that_nothing_was_moved(
    settings: Settings,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(commands, "run_dag", lambda *_: RunState("run", "success", 1.0))
    assert commands._roll_back(settings, Namespace(version="1", reason="why not")) == 0
    assert "version 1 was in production already: nothing was moved" in caplog.text


def test_a_start_with_a_torn_pointer_goes_on_so_that_a_rollback_has_a_stack(
    settings: Settings, places: Layout, store: Store
) -> None:
    store.write(versions.POINTER_KEY, b"torn")
    start = StartUp(settings, places, Stack(places), csv=None)
    assert start._champion() is None
    assert start.failure is not None and "make rollback VERSION=" in start.failure


def test_a_store_that_refuses_ends_a_start_with_one_message(
    aws_settings: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    aws_settings.setenv("CHURN_STORE_URI", "s3://bucket")
    with answering(Answer(400, "ExpiredToken")) as server:
        aws_settings.setenv("AWS_ENDPOINT_URL", server.url)
        assert exit_code("run", lambda settings: len([status.champion(settings)])) == 1
    (record,) = caplog.records
    assert record.getMessage().startswith("make run: s3://bucket answered") and not record.exc_info


def tuned(**changes: Any) -> TunedSet:
    """A set that a search found, compared with what params.yaml has."""
    model = load_params(Settings().params_file).model
    return best(hyperparameters=model.random_forest.model_dump() | {"max_depth": 9}, **changes)


@pytest.mark.parametrize(
    ("found", "write", "said"),
    [
        (tuned(), False, "the next training takes it"),
        (tuned(), True, "params.yaml has it now"),
        (tuned(gain_interval=(-0.001, 0.02)), True, "params.yaml: no gain beyond chance"),
    ],
)
def test_a_search_says_what_it_found_and_writes_only_what_is_better(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    found: TunedSet,
    write: bool,
    said: str,
) -> None:
    caplog.set_level("INFO")
    params = tmp_path / "params.yaml"
    params.write_text(Settings().params_file.read_text())
    own = settings.model_copy(update={"params_file": params})

    def run_dag(_: Settings, dag_id: str, conf: dict[str, Any], **__: Any) -> RunState:
        assert (dag_id, conf) == ("churn_tuning", {"trials": 7})
        open_store(own.resolved_store_uri).write(BEST_KEY, found.to_bytes())
        return RunState("run", "success", 1.0)

    monkeypatch.setattr(commands, "run_dag", run_dag)
    asked = Namespace(trials=7, minutes=None, workers=None, write=write)
    assert commands._tune(own, asked) == 0
    assert "best of 50 trials (9 pruned): random_forest" in caplog.text and said in caplog.text
    assert ("max_depth: 9" in params.read_text()) == (write and found.is_better)


def told_by_history(settings: Settings, caplog: pytest.LogCaptureFixture, *, last: int = 30) -> str:
    """What `make history` prints, behind what it ends with."""
    caplog.clear()
    caplog.set_level("INFO")
    code = commands._history(settings, Namespace(last=last))
    return "\n".join([str(code), *(record.getMessage() for record in caplog.records)])


def test_history_says_each_move_of_a_stack_that_is_down(
    settings: Settings, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    assert "0\n" in (told := told_by_history(settings, caplog))
    assert "   – → 1     unknown: test\nversion 1 is in production since 20" in told
    for number in (1, 2):
        pointer, etag = versions.read_pointer(store) or (None, None)
        assert pointer is not None
        record_move(store, pointer, who=f"training run {number}")
        versions.move_pointer(
            store, pointer, etag=etag, previous="1", reason=f"why {number}", now=datetime.now(UTC)
        )
    told = told_by_history(settings, caplog, last=2)
    assert "(1 earlier)\n" in told and "training run 2: why 1\n" in told
    assert "unknown: why 2\nversion 1 is in production since 20" in told


@pytest.mark.parametrize("spoilt", [None, b"torn"])
def test_history_says_a_lost_pointer_and_the_way_back(
    settings: Settings, store: Store, caplog: pytest.LogCaptureFixture, spoilt: bytes | None
) -> None:
    pointer, _ = versions.read_pointer(store) or (None, None)
    assert pointer is not None
    record_move(store, pointer, who="anna")
    store.delete(versions.POINTER_KEY)
    if spoilt:
        store.write(versions.POINTER_KEY, spoilt)
    told = told_by_history(settings, caplog)
    assert told.startswith("1\n") and "→ 1     anna: test\nmake history: " in told
    assert "champion/current.json" in told and "make rollback VERSION=" in told


def test_history_of_an_empty_store_says_what_to_do(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    told = told_by_history(settings, caplog)
    assert told == "0\nnothing was put into production yet: `make train` first"


def test_an_approval_from_a_terminal_says_whose_it_was(
    settings: Settings, places: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, approve = MagicMock(), MagicMock()
    monkeypatch.setattr(commands, "running_stack", lambda _: places)
    monkeypatch.setattr(commands.airflow, "client", lambda _: client)
    monkeypatch.setattr(commands.training_run, "approve", approve)
    command = ["commands", "promote", "--candidate", "7", "--reason", "looked at"]
    monkeypatch.setattr("sys.argv", command)
    monkeypatch.setattr(commands, "exit_code", lambda _, work: work(settings))
    assert commands.main() == 0
    why = f"by {getpass.getuser()} at a terminal: looked at"
    approve.assert_called_once_with(client, "7", why=why, logs=places.airflow_logs)


@pytest.mark.parametrize(
    ("main", "words", "expected"),
    [
        (run.main, ["--history", "-3"], "a whole number from 1"),
        (commands.main, ["history", "--last", "-1"], "a whole number from 1"),
        (commands.main, ["tune", "--trials", "0"], "a whole number from 1"),
        (commands.main, ["rollback", "v2", "--reason", "why"], "a whole number from 1"),
        (commands.main, ["promote", "v2", "--reason", "why"], "a whole number from 1"),
        (commands.main, ["score", "--date", "yesterday"], "a day such as 20"),
    ],
)
def test_a_word_that_cannot_be_meant_is_told_before_anything_is_asked(
    main: Callable[[], int],
    words: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["make", *words])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert f"expected {expected}" in (told := capsys.readouterr().err) and ", found '" in told


def test_who_interrupts_a_command_hears_what_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(commands.directory, "settled", MagicMock(side_effect=KeyboardInterrupt))
    assert exit_code("train", lambda _: 0) == 130
    assert "make train: interrupted; a run that Airflow has begun goes on there" in caplog.text


def test_forgetting_needs_no_stack_that_is_up(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Only its database, which it does not make."""
    caplog.set_level("INFO")
    asked = Namespace(customer="730449838080", asked_by=None, log_only=False)
    assert exit_code("forget", lambda _: commands._forget(settings, asked)) == 1
    assert "make forget: there is no database" in caplog.text and "730449838080" not in caplog.text
