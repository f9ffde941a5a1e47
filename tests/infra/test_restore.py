"""What is packed and unpacked, what is no object, and what a restore knows before it deletes."""

import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from include.champion.versions import POINTER_KEY
from include.errors import StoreError
from include.store import LocalStore, S3Store, Store
from infra.compose import objects, restore
from infra.compose.backup import FORMAT, STORE_JOB, key_mark, sha256_of
from infra.compose.command import ComposeError
from infra.compose.databases import DATABASES

FOLDERS = ("predictions/", "champion/", "a/b/", "scores//")
ODD = ("a//b", "/lead", "../up", "back\\slash", "ünï/漢/é", "named/", "x" * 1000, " ")
KEPT = {POINTER_KEY: b"{}", "a/b.bin": bytes(range(256)) * 500, "a.txt": b""}


@pytest.fixture(params=["", "team/one"])
def bucket(request: pytest.FixtureRequest, s3_store: S3Store) -> S3Store:
    """A bucket, or a part of one, in which others keep objects and draw folders."""
    found = S3Store(s3_store.client, s3_store.bucket, request.param, every_key=True)
    for key in FOLDERS if not request.param else (*FOLDERS, ""):
        s3_store.client.put_object(Bucket=found.bucket, Key=found.prefix + key, Body=b"")
    return found


def do(store: Store, command: str, given: bytes = b"") -> bytes:
    """What a command of `infra.compose.objects` prints."""
    with pytest.MonkeyPatch.context() as patched:
        printed = io.BytesIO()
        patched.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))
        patched.setattr(sys, "stdout", io.TextIOWrapper(printed, write_through=True))
        objects.COMMANDS[command](store)
        return printed.getvalue()


def content(store: Store) -> dict[str, bytes]:
    return {each.key: store.read(each.key).data for each in store.list("")}


def raw_keys(store: S3Store) -> set[str]:
    rows = store.client.list_objects_v2(Bucket=store.bucket)["Contents"]
    return {row["Key"] for row in rows}


def test_a_bucket_with_folders_alone_is_empty_and_keeps_them(bucket: S3Store) -> None:
    before = raw_keys(bucket)
    assert do(bucket, "count") == b"0\n" and do(bucket, "champions") == b""
    assert tarfile.open(fileobj=io.BytesIO(do(bucket, "pack"))).getnames() == []
    do(bucket, "clear")
    assert raw_keys(bucket) == before


def test_every_object_is_packed_cleared_and_unpacked_whatever_its_name(bucket: S3Store) -> None:
    wanted = {**KEPT, **{key: key.encode() for key in ODD}}
    for key, data in wanted.items():
        bucket.write(key, data)
    archive = do(bucket, "pack")
    assert do(bucket, "count") == f"{len(wanted)}\n".encode()
    assert int(do(bucket, "check", archive)) == sum(map(len, wanted.values()))
    do(bucket, "clear")
    assert content(bucket) == {}
    do(bucket, "unpack", archive)
    assert content(bucket) == wanted


def test_a_directory_packs_and_unpacks_whole(tmp_path: Path) -> None:
    full, empty = LocalStore(tmp_path / "full"), LocalStore(tmp_path / "empty")
    for key, data in KEPT.items():
        full.write(key, data)
    do(empty, "unpack", do(full, "pack"))
    assert content(empty) == KEPT


def test_an_object_that_expires_while_it_is_packed_is_left_out(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_store.write("a", b"")
    local_store.write("b", b"")
    listed = list(local_store.list(""))
    monkeypatch.setattr(local_store, "list", lambda _: listed)
    local_store.delete("a")
    assert tarfile.open(fileobj=io.BytesIO(do(local_store, "pack"))).getnames() == ["b"]


def archive_of(*keys: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for key in keys:
            entry = tarfile.TarInfo(key)
            entry.size = len(key.encode())
            archive.addfile(entry, io.BytesIO(key.encode()))
    return made.getvalue()


@pytest.mark.parametrize(
    ("archive", "told"),
    [
        (archive_of("é" * 510), "an object key has at most 1024 bytes, found 1029"),
        (archive_of("a" * 2000)[:-9000], "no whole tar"),
        (archive_of("a/b")[:600], "no whole tar"),
        (b"junk", "no whole tar"),
        (b"", "no whole tar"),
    ],
    ids=["a key too long for the prefix", "torn", "torn early", "junk", "empty"],
)
def test_what_the_store_cannot_take_is_found_before_anything_is_written(
    s3_store: S3Store, archive: bytes, told: str
) -> None:
    store = S3Store(s3_store.client, s3_store.bucket, "eightlet", every_key=True)
    with pytest.raises(StoreError, match=told):
        do(store, "check", archive)
    assert content(store) == {}


class Stack:
    """Compose with a real bucket; of its databases it knows what was done to them."""

    def __init__(self, store: S3Store) -> None:
        self.store, self.done = store, list[str]()
        self.free_kilobytes, self.broken = 10**6, ""

    def services(self) -> list[str]:
        return ["mysql", "postgres", "s3", "webapp"]

    def setting(self, name: str) -> str:
        return name

    def run(self, *arguments: str, source: IO[bytes] | None = None) -> bytes:
        if self.broken and self.broken in arguments[-1]:
            raise ComposeError(f"`compose {arguments[-1]}` ended with code 1")
        if arguments[: len(STORE_JOB)] == STORE_JOB:
            return self._store_job(arguments[-1], source)
        if arguments[3:4] == ("df",):
            return f"Filesystem\n/dev/sda1 9999999 1 {self.free_kilobytes} 1% /\n".encode()
        for database in DATABASES:
            if arguments[-1] in (database.tables, database.held_bytes, database.unpacked):
                return b"7\n"
        self.done.append(arguments[-1])
        return b""

    def _store_job(self, command: str, source: IO[bytes] | None) -> bytes:
        try:
            return do(self.store, command, source.read() if source else b"")
        except StoreError as error:
            raise ComposeError(str(error)) from error

    @property
    def dropped(self) -> bool:
        return any("DROP" in each for each in self.done)


@pytest.fixture
def stack(s3_store: S3Store, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack that holds data."""
    monkeypatch.setattr(restore, "wait_until_ready", lambda *_, **__: None)
    found = Stack(S3Store(s3_store.client, s3_store.bucket, "team", every_key=True))
    found.store.write("old", b"old")
    return found


@pytest.fixture
def make_backup(tmp_path: Path, stack: Stack) -> Callable[[bytes], Path]:
    """A backup with this store.tar, whose hashes are right."""

    def make(archive: bytes) -> Path:
        for each in DATABASES:
            (tmp_path / each.file).write_bytes(b"dump")
        (tmp_path / "store.tar").write_bytes(archive)
        compose: Any = stack
        manifest = {
            "format": FORMAT,
            "champion": "3",
            "objects": 1,
            "id_key_sha256": key_mark(compose.setting("CHURN_ID_KEY")),
            "files": {path.name: {"sha256": sha256_of(path)} for path in tmp_path.iterdir()},
        }
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        return tmp_path

    return make


def run_restore(stack: Any, folder: Path, *, replace: bool = True) -> None:
    restore.restore(stack, folder, replace=replace)


def test_a_restore_replaces_what_is_there(
    stack: Stack, make_backup: Callable[[bytes], Path]
) -> None:
    run_restore(stack, make_backup(archive_of("new//one")))
    assert content(stack.store) == {"new//one": b"new//one"} and stack.dropped


def test_a_restore_into_a_stack_that_holds_data_is_refused(
    stack: Stack, make_backup: Callable[[bytes], Path]
) -> None:
    with pytest.raises(ComposeError, match="7 tables of customers, .* 1 objects in the store"):
        run_restore(stack, make_backup(archive_of("new")), replace=False)
    assert content(stack.store) == {"old": b"old"} and not stack.dropped


@pytest.mark.parametrize(
    ("archive", "free_kilobytes", "broken", "told"),
    [
        (archive_of("k" * 1020), 10**6, "", "store.tar cannot be restored here, nothing was del"),
        (archive_of("new")[:600], 10**6, "", "store.tar cannot be restored here, nothing was del"),
        (archive_of("new"), 0, "", "0 bytes free, the backup needs about 24: nothing was deleted"),
        (archive_of("new"), 10**6, "pg_restore -f -", "airflow.dump cannot be restored here, no"),
        (archive_of("new"), 10**6, "gunzip | grep", "customers.sql.gz cannot be restored here, n"),
        (archive_of("new"), 10**6, "store-init", "store-init"),
    ],
    ids=["long key", "torn tar", "full disk", "foreign dump", "torn dump", "read-only store"],
)
def test_a_restore_that_cannot_finish_deletes_nothing(
    stack: Stack,
    make_backup: Callable[[bytes], Path],
    archive: bytes,
    free_kilobytes: int,
    broken: str,
    told: str,
) -> None:
    stack.free_kilobytes, stack.broken = free_kilobytes, broken
    with pytest.raises(ComposeError, match=told):
        run_restore(stack, make_backup(archive))
    assert content(stack.store) == {"old": b"old"} and not stack.dropped
