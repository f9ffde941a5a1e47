"""The way back, on a real MLflow server, with a kill at every moment of it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.champion import history, promotion, rollback, versions
from include.champion.history import HistoryReader, Move
from include.champion.registry import Registry
from include.champion.rollback import Rollback
from include.errors import ChampionError, RegistryError
from include.store import LocalStore
from include.training.run import TrainingRun
from tests.include.conftest import (
    STRONG,
    Judged,
    changed,
    clear_production,
    evaluate,
    lineage_of,
    promote,
)

pytestmark = pytest.mark.slow

NOW = datetime(2126, 11, 22, 12, 30, 5, 123456, tzinfo=UTC)  # after every real move
BACK = Rollback("1", "complaints from the call centre", "anna")


@pytest.fixture(scope="module")
def promoted(
    tmp_path_factory: pytest.TempPathFactory,
    mlflow_server: str,
    first_runs: Callable[..., Judged],
) -> TrainingRun:
    """A run behind which version 2 is in production, and version 1 before it."""
    store = LocalStore(tmp_path_factory.mktemp("rollback") / "store")
    registry = Registry(mlflow_server)
    clear_production(registry)
    first = first_runs("weak").promoted(store, registry=registry).run
    second = replace(
        first,
        dag_run_id=f"second__{store.root.parent.name}",
        params=changed(first.params, STRONG),
    )
    promote(second)
    return second


@pytest.fixture
def run(promoted: TrainingRun, tmp_path: Path) -> TrainingRun:
    """The same, as if nobody had ever rolled back."""
    assert isinstance(promoted.store, LocalStore)
    shutil.copytree(promoted.store.root, tmp_path / "store")
    promoted.registry.set_champion("2")
    return replace(promoted, store=LocalStore(tmp_path / "store"))


def state(run: TrainingRun) -> tuple[str | None, str | None]:
    production = promotion.read_production(run.store, run.registry)
    return production.version, production.alias


def recorded(run: TrainingRun) -> list[tuple[str | None, str]]:
    moves = HistoryReader(run.store).latest(100, pointer=None).moves
    return [(move.before, move.to) for move in moves]


def latest(run: TrainingRun) -> Move:
    return HistoryReader(run.store).latest(1, pointer=None).moves[0]


def test_a_rollback_moves_both_and_records_who_why_and_when(run: TrainingRun) -> None:
    assert "production is at 2" in rollback.check_version(run.store, run.registry, BACK)
    done = rollback.move_champion(run.store, run.registry, BACK, now=NOW)
    assert (done.version, done.previous, done.moved) == ("1", "2", True)
    assert state(run) == ("1", "1")
    pointer, _ = versions.read_pointer(run.store) or (None, "")
    assert pointer is not None and pointer.promoted_at == NOW and pointer.previous == "2"
    assert pointer.reason == "moved by anna: complaints from the call centre"
    assert recorded(run) == [(None, "1"), ("1", "2"), ("2", "1")]
    assert latest(run) == Move.of(pointer, who="anna")


def test_the_version_in_production_is_left_alone_and_said_so(run: TrainingRun) -> None:
    stay = Rollback("2", "no change", "anna")
    before = run.store.read(versions.POINTER_KEY)
    assert "in production already" in rollback.check_version(run.store, run.registry, stay)
    done = rollback.move_champion(run.store, run.registry, stay, now=NOW)
    assert not done.moved and "already: nothing was moved" in done.message
    assert run.store.read(versions.POINTER_KEY) == before
    assert recorded(run) == [(None, "1"), ("1", "2")]


def test_the_next_training_is_judged_against_what_is_in_production(
    run: TrainingRun,
) -> None:
    rollback.move_champion(run.store, run.registry, BACK, now=NOW)
    third = replace(run, dag_run_id=f"third__{run.dag_run_id}")
    evaluated = evaluate(third, lineage_of(third))
    assert third.read_json(evaluated.gate)["champion"] == "1"


@pytest.mark.parametrize("file", [versions.MODEL_FILE, versions.TREES_FILE, "manifest.json"])
@pytest.mark.parametrize("torn", [False, True])
def test_a_version_that_is_not_whole_is_refused(run: TrainingRun, file: str, torn: bool) -> None:
    key = versions.version_key("1", file)
    data = run.store.read(key).data
    run.store.delete(key)
    if torn:
        run.store.write(key, data[: len(data) // 2])
    told = "torn or was tampered with|is not a Manifest" if torn else f"{file} is missing"
    with pytest.raises(ChampionError, match=told):
        rollback.check_version(run.store, run.registry, BACK)
    with pytest.raises(ChampionError):
        rollback.move_champion(run.store, run.registry, BACK, now=NOW)
    assert state(run) == ("2", "2")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Rollback("7", "why not", "anna"), r"version '7' is not in .* newest there are 1, 2"),
        (Rollback("../1", "why not", "anna"), r"version '../1' is not in"),
        (Rollback("1", "  ", "anna"), "a reason is needed"),
    ],
)
def test_a_rollback_that_cannot_be_is_refused(
    run: TrainingRun, asked: Rollback, expected: str
) -> None:
    with pytest.raises(ChampionError, match=expected):
        rollback.check_version(run.store, run.registry, asked)


def copied(run: TrainingRun, *, version: str, named: str) -> None:
    """Copy version 1 into the store under another name."""
    manifest, _ = versions.read_version(run.store, "1")
    files = versions.read_files(run.store, manifest, manifest.files)
    for name, data in files.items():
        run.store.create(versions.version_key(version, name), data)
    document = manifest.model_copy(update={"version": named}).to_bytes()
    run.store.create(versions.version_key(version, versions.MANIFEST_FILE), document)


@pytest.mark.parametrize(
    ("named", "expected"),
    [("3", "prod.churn_model"), ("1", "manifest of version '3' says '1'")],
    ids=["the registry lost it", "under a wrong name"],
)
def test_a_version_that_was_never_promoted_is_refused(
    run: TrainingRun, named: str, expected: str
) -> None:
    copied(run, version="3", named=named)
    with pytest.raises((ChampionError, RegistryError), match=expected):
        rollback.check_version(run.store, run.registry, Rollback("3", "why not", "anna"))
    assert state(run) == ("2", "2")


def spoil_pointer(run: TrainingRun, data: bytes | None) -> None:
    """Put this in the pointer's place; None removes it."""
    run.store.delete(versions.POINTER_KEY)
    if data is not None:
        run.store.write(versions.POINTER_KEY, data)


LOST = pytest.mark.parametrize(
    "data", [None, b"", b'{"version": "2", "manif', b"[]"], ids=["gone", "empty", "torn", "other"]
)


@LOST
def test_what_needs_the_pointer_refuses_and_says_how_to_put_it_back(
    run: TrainingRun, data: bytes | None
) -> None:
    spoil_pointer(run, data)
    with pytest.raises((ChampionError, RegistryError)) as raised:
        promotion.read_production(run.store, run.registry)
    assert 'make rollback VERSION=2 REASON="…"' in str(raised.value)
    assert "current.json" in str(raised.value) and "churn_rollback" in str(raised.value)


@LOST
@pytest.mark.parametrize("version", ["1", "2"])
def test_a_lost_pointer_is_put_back_to_a_version_that_is_whole(
    run: TrainingRun, data: bytes | None, version: str
) -> None:
    spoil_pointer(run, data)
    asked = replace(BACK, version=version)
    told = rollback.check_version(run.store, run.registry, asked)
    assert f"version {version} is whole; champion/current.json is gone or unreadable" in told
    assert "the registry's alias names 2" in told
    done = rollback.move_champion(run.store, run.registry, asked, now=NOW)
    before = "2" if version == "1" else None
    assert (done.version, done.previous, done.moved) == (version, before, True)
    assert state(run) == (version, version)
    pointer, _ = versions.read_pointer(run.store) or (None, "")
    assert pointer is not None and (pointer.previous, pointer.reason) == (before, asked.recorded)


def test_a_lost_pointer_is_not_put_back_to_a_version_that_is_torn(run: TrainingRun) -> None:
    spoil_pointer(run, None)
    run.store.delete(versions.version_key("2", versions.MODEL_FILE))
    with pytest.raises(ChampionError, match=r"model.onnx is missing"):
        rollback.check_version(run.store, run.registry, replace(BACK, version="2"))
    with pytest.raises(ChampionError, match=r"model.onnx is missing"):
        rollback.move_champion(run.store, run.registry, replace(BACK, version="2"), now=NOW)
    assert versions.read_pointer(run.store) is None


def test_a_pointer_that_comes_back_in_between_is_not_overwritten_unread(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run.store.read(versions.POINTER_KEY).data
    spoil_pointer(run, b"torn")
    real = versions.move_pointer

    def raced(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(versions, "move_pointer", real)
        run.store.write(versions.POINTER_KEY, whole)
        return real(*arguments, **options)

    monkeypatch.setattr(versions, "move_pointer", raced)
    done = rollback.move_champion(run.store, run.registry, BACK, now=NOW)
    assert (done.previous, state(run)) == ("2", ("1", "1"))


@pytest.mark.parametrize(
    ("place", "moment"),
    [(history, "record_move"), (Registry, "set_champion")],
)
def test_a_kill_behind_the_pointer_is_finished_by_the_next_try(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch, place: Any, moment: str
) -> None:
    real = history.record_move

    def killed(store: Any, *rest: Any, who: str = "") -> None:
        if who == history.UNKNOWN:  # the move before is looked at first
            return real(store, *rest, who=who)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(place, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            rollback.move_champion(run.store, run.registry, BACK, now=NOW)
    rollback.move_champion(run.store, run.registry, BACK, now=NOW)
    assert state(run) == ("1", "1")
    assert latest(run).who == "anna"
    assert recorded(run) == [(None, "1"), ("1", "2"), ("2", "1")]


def test_a_promotion_in_between_is_moved_back_too(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, reads = promotion.read_production, []

    def raced(*arguments: Any, **options: Any) -> Any:
        found = real(*arguments, **options)
        if not reads:  # somebody else writes the pointer right after it was read
            pointer, etag = versions.read_pointer(run.store) or (None, None)
            assert pointer is not None
            versions.move_pointer(
                run.store, pointer, etag=etag, previous="2", reason="other", now=NOW
            )
        reads.append(found)
        return found

    monkeypatch.setattr(promotion, "read_production", raced)
    done = rollback.move_champion(run.store, run.registry, BACK, now=NOW)
    assert done.moved and len(reads) == 2 and state(run) == ("1", "1")
