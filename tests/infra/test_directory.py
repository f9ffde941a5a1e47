"""A stack's directory: what cannot be one is named, others are kept out, and it can be emptied."""

import os
import stat
from pathlib import Path

import pytest

from include.settings import Settings
from infra.local import directory
from infra.local.directory import alone, prepare, settled
from infra.local.services import Layout, layout
from infra.local.stack import StackError
from tests.full_disk import fill


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def stack_in(var: Path) -> Layout:
    return layout(Settings(var_dir=var, _env_file=None))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file", "File exists"),
        ("file/below", "Not a directory"),
        ("/sys/churn", "permitted|Permission denied|Read-only"),
        ("/proc/none/churn", "No such file or directory"),
        ("a" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_a_stacks_directory_is_named(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("somebody's")
    with pytest.raises(StackError, match=f"CHURN_VAR_DIR must name a directory.*({reason})"):
        prepare(stack_in(tmp_path / name))
    assert (tmp_path / "file").read_text() == "somebody's"


@pytest.mark.parametrize("small_disk", ["size=4m,nr_inodes=100"], indirect=True)
def test_a_full_disk_is_named(small_disk: Path) -> None:
    places = stack_in(small_disk / "var")
    prepare(places)
    fill(small_disk)
    with pytest.raises(StackError, match="var: No space left on device"):
        prepare(places)


@pytest.mark.parametrize(
    ("written", "reason"),
    [("~no-such-user/var", "home"), ("what?/var", "a [?] would end the path")],
)
def test_a_path_that_leads_nowhere_is_named(written: str, reason: str) -> None:
    with pytest.raises(StackError, match=reason):
        settled(Settings(var_dir=Path(written), _env_file=None))


def test_a_path_is_whole_wherever_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for written in ("~/my var", "my var"):
        found = settled(Settings(var_dir=Path(written), _env_file=None))
        assert found.var_dir == tmp_path / "my var"
        assert found.resolved_store_uri == (tmp_path / "my var" / "store").as_uri()


def test_nobody_else_reads_what_a_stack_keeps(tmp_path: Path) -> None:
    new, old, shared = (stack_in(tmp_path / name) for name in ("new", "old", "shared"))
    for home in (old.var, shared.var):
        (home / "store").mkdir(parents=True)
        (home / "churn.db").touch()
        for path in (home, home / "store", home / "churn.db"):
            path.chmod(0o755)
    (shared.var / "letters").mkdir()
    (shared.var / "letters").chmod(0o755)
    with pytest.raises(StackError, match="for itself, found .*shared: it holds letters"):
        prepare(shared)
    shared.lock.parent.mkdir()
    shared.lock.touch()
    for places in (new, old, shared):
        prepare(places)
    assert mode(new.var) == mode(old.var) == 0o700
    # Where a stack was beside other things, these stay as they are, and its own are closed.
    assert mode(shared.var) == mode(shared.var / "letters") == 0o755
    assert mode(shared.var / "store") == mode(shared.var / "churn.db") == 0o700


def test_one_at_a_time_holds_it_and_others_can_tell(places: Layout) -> None:
    prepare(places)
    assert not directory.is_held(places)
    with alone(places):
        assert directory.is_held(places)
        with pytest.raises(StackError, match="another `make run` uses"), alone(places):
            pass
    assert not directory.is_held(places)


def test_what_cannot_be_held_is_named(places: Layout) -> None:
    places.var.mkdir()
    places.lock.parent.touch()  # a file where a directory should be
    assert not directory.is_held(places)
    with pytest.raises(StackError, match="for itself, found .*File exists"), alone(places):
        pass
    places.lock.parent.unlink()
    places.lock.mkdir(parents=True)
    with pytest.raises(StackError, match="for itself, found .*Is a directory"):
        directory.is_held(places)


def test_emptying_leaves_what_is_not_the_stacks(places: Layout) -> None:
    prepare(places)
    for name in ("store", "mlflow", "letters"):
        (places.var / name / "deep").mkdir(parents=True)
    (places.var / "churn.db").touch()
    assert directory.empty(places) == ["churn.db", "mlflow", "store"]
    assert sorted(os.listdir(places.var)) == ["letters", "tmp"]
    assert directory.empty(places) == [] and os.listdir(places.scratch) == []
