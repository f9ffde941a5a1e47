"""The store as a directory: killed writers, full disks, files of somebody else."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.errors import StoreForbidden, StoreUnavailable
from include.store import LocalStore
from include.store.objects import SCRATCH

WRITER = """
import itertools, sys
from pathlib import Path
from include.store import LocalStore
store = LocalStore(Path(sys.argv[1]))
for letter in itertools.cycle(b"ab"):
    store.write("key", bytes([letter]) * 3_000_000)
    print("written", flush=True)
"""


@pytest.mark.parametrize("delay_seconds", [0.0, 0.003, 0.01])
def test_a_write_that_is_killed_leaves_a_whole_object(
    local_store: LocalStore, delay_seconds: float
) -> None:
    command = [sys.executable, "-c", WRITER, str(local_store.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay_seconds)
        writer.send_signal(signal.SIGKILL)
    data = local_store.read("key").data
    assert len(data) == 3_000_000
    assert len(set(data)) == 1
    assert [info.key for info in local_store.list("")] == ["key"]


def test_a_killed_writer_holds_no_lock(local_store: LocalStore) -> None:
    program = WRITER.replace(
        "for letter", "with store._lock(): print(1, flush=True); input()\nfor letter"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(local_store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.kill()
    local_store.create("key", b"one")
    assert local_store.read("key").data == b"one"


def test_a_directory_goes_with_its_last_object_and_comes_back(local_store: LocalStore) -> None:
    local_store.write("a/b/one", b"1")
    local_store.write("a/two", b"2")
    local_store.delete("a/b/one")
    assert [path.name for path in (local_store.root / "a").iterdir()] == ["two"]
    local_store.delete("a/two")
    local_store.delete("a/two")
    assert [path.name for path in local_store.root.iterdir()] == [SCRATCH]
    local_store.write("a/b/one", b"1")
    assert local_store.read("a/b/one").data == b"1"


def test_a_writer_finds_its_directory_again_that_a_deletion_took(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = os.fsync

    def sync_late(handle: int) -> None:
        synced(handle)
        local_store.delete("a/other")  # which is the last one there

    local_store.write("a/other", b"")
    monkeypatch.setattr(os, "fsync", sync_late)
    local_store.write("a/one", b"1")
    assert local_store.read("a/one").data == b"1"


def test_a_full_disk_leaves_the_old_object(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    local_store.write("key", b"one")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="could not write .*key: No space left on device"):
        local_store.write("key", b"two")
    assert local_store.read("key").data == b"one"
    assert not list((local_store.root / SCRATCH).glob("tmp*"))


def test_what_a_killed_writer_left_is_swept_later(local_store: LocalStore) -> None:
    local_store.write("key", b"one")
    old, young = (local_store.root / SCRATCH / name for name in ("tmp-old", "tmp-young"))
    for path in (old, young):
        path.touch()
    os.utime(old, (0, 0))
    local_store.write("key", b"two")
    assert (old.exists(), young.exists()) == (False, True)


def test_a_file_where_the_directory_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(StoreUnavailable, match="could not write .*store/key: "):
        LocalStore(tmp_path / "store").write("key", b"one")


@pytest.fixture
def locked_store(tmp_path: Path) -> Iterator[LocalStore]:
    """A store that the process may neither read nor write."""
    locked = LocalStore(tmp_path / "store")
    locked.write("key", b"one")
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    locked.root.chmod(0) if user else None
    yield locked
    os.seteuid(user)
    locked.root.chmod(0o755)


def test_a_directory_of_somebody_else_is_forbidden(locked_store: LocalStore) -> None:
    with pytest.raises(StoreForbidden, match="may not read .*key: check its owner and mode"):
        locked_store.read("key")
    with pytest.raises(StoreForbidden, match="may not write .*key: check the owner and mode"):
        locked_store.write("key", b"two")
