"""What both kinds of store promise, and which URI names which."""

import hashlib
import inspect
import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import (
    ConfigurationError,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    StoreError,
)
from include.store import S3Store, Store, open_store


def keys(alphabet: str) -> st.SearchStrategy[str]:
    parts = st.text(alphabet, min_size=1, max_size=12).filter(lambda part: part not in {".", ".."})
    return st.lists(parts, min_size=1, max_size=4).map("/".join)


@given(keys("abcXYZ019.-_=+ %&?#~é漢"), st.binary(max_size=2000))
def test_what_was_written_is_read(store: Store, key: str, data: bytes) -> None:
    key = f"{hashlib.sha256(key.encode()).hexdigest()}/{key}"
    store.write(key, data)
    found = store.read(key)
    assert found.data == data
    assert [info.key for info in store.list(key) if info.size == len(data)] == [key]
    assert store.read_if_changed(key, found.etag) is None


@settings(max_examples=20)
@given(st.sets(keys("ab.-")), st.sampled_from(["", "a", "a/", "ab", "b-", "zz"]))
def test_a_listing_is_sorted_and_has_the_prefix(store: Store, names: set[str], prefix: str) -> None:
    for info in list(store.list("")):
        store.delete(info.key)
    files = {f"{name}!" for name in names}  # a file is no folder of another
    for key in files:
        store.write(key, b"")
    assert [info.key for info in store.list(prefix)] == sorted(
        key for key in files if key.startswith(prefix)
    )


def test_the_etag_names_the_bytes(store: Store) -> None:
    store.write("key", b"one")
    first = store.read("key")
    store.write("key", b"two")
    changed = store.read_if_changed("key", first.etag)
    assert changed is not None
    assert changed.data == b"two"
    assert changed.etag != first.etag


def test_an_absent_object_is_not_found(store: Store) -> None:
    with pytest.raises(ObjectNotFound, match=r"no object 'a/b' in (file|s3)://"):
        store.read("a/b")
    with pytest.raises(ObjectNotFound):
        store.read_if_changed("a/b", None)
    assert list(store.list("a/")) == []


def test_a_folder_is_no_object(store: Store) -> None:
    store.write("a/b", b"")
    with pytest.raises(ObjectNotFound):
        store.read("a")
    with pytest.raises(ObjectNotFound):
        store.read("a/b/c")


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\\b", "a\0b", ".scratch/x"],
)
def test_a_key_that_could_lead_elsewhere_is_refused(store: Store, key: str) -> None:
    for use in (
        store.read,
        store.delete,
        lambda k: store.write(k, b""),
        lambda k: store.create(k, b""),
    ):
        with pytest.raises(StoreError, match="an object key is a relative path"):
            use(key)


@pytest.mark.parametrize("prefix", ["/", "../", "a/../", "/etc/", "a//"])
def test_a_prefix_that_could_lead_elsewhere_is_refused(store: Store, prefix: str) -> None:
    with pytest.raises(StoreError, match="an object key is a relative path"):
        list(store.list(prefix))


def test_a_write_once_key_keeps_its_first_bytes(store: Store) -> None:
    store.create("key", b"one")
    store.create("key", b"one")
    with pytest.raises(ObjectExists, match="'key' in .* is written once and holds other bytes"):
        store.create("key", b"two")
    assert store.read("key").data == b"one"


def test_a_swap_needs_the_object_that_was_read(store: Store) -> None:
    store.replace("key", b"one", etag=None)
    etag = store.read("key").etag
    store.replace("key", b"two", etag=etag)
    with pytest.raises(
        ObjectChanged, match="'key' in .* was changed by somebody else: read it again"
    ):
        store.replace("key", b"three", etag=etag)
    assert store.read("key").data == b"two"


@pytest.mark.parametrize("stale", [True, False])
def test_repeating_a_swap_that_went_through_succeeds(store: Store, stale: bool) -> None:
    store.write("key", b"one")
    etag = store.read("key").etag if stale else None
    store.write("key", b"two")
    store.replace("key", b"two", etag=etag)


@pytest.mark.parametrize("gone", [True, False], ids=["object is gone", "nothing was expected"])
def test_a_swap_of_another_state_than_was_read_fails(store: Store, gone: bool) -> None:
    store.write("key", b"one")
    etag = store.read("key").etag if gone else None
    if gone:
        store.delete("key")
    with pytest.raises(ObjectChanged):
        store.replace("key", b"two", etag=etag)


def test_deleting_twice_is_the_same_as_once(store: Store) -> None:
    store.write("key", b"one")
    store.delete("key")
    store.delete("key")
    with pytest.raises(ObjectNotFound):
        store.read("key")


def test_a_listing_tells_size_and_age(store: Store) -> None:
    store.write("key", b"12345")
    (info,) = store.list("key")
    assert info.size == 5
    assert abs(info.modified - time.time()) < 60


def append(store: Store, token: str) -> None:
    """Read, add a line, swap, until it works."""
    while True:
        try:
            found = store.read("log")
            store.replace("log", found.data + f"{token}\n".encode(), etag=found.etag)
        except ObjectChanged:
            continue
        return


def test_threads_that_swap_lose_no_update(store: Store) -> None:
    store.write("log", b"")
    tokens = [f"token-{n}" for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda token: append(store, token), tokens))
    assert sorted(store.read("log").data.decode().split()) == sorted(tokens)


def test_of_threads_that_create_one_wins(store: Store) -> None:
    def create(number: int) -> bool:
        try:
            store.create("key", str(number).encode())
        except ObjectExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(24)))
    assert won.count(True) == 1
    assert store.read("key").data == str(won.index(True)).encode()


def test_processes_that_swap_lose_no_update(store: Store, s3_environment: None) -> None:
    store.write("log", b"")
    program = textwrap.dedent("""
        import sys
        from include.errors import ObjectChanged
        from include.store import Store, open_store
        {append}
        store = open_store(sys.argv[1])
        for number in range(15):
            append(store, f"{sys.argv[2]}-{number}")
    """).replace("{append}", inspect.getsource(append))
    command = [sys.executable, "-c", program, store.uri]
    writers = [subprocess.Popen([*command, name], env=os.environ) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(set(store.read("log").data.split())) == 45


def test_a_file_uri_names_a_directory(tmp_path: Path) -> None:
    opened = open_store((tmp_path / "with space %").as_uri())
    opened.write("key", b"one")
    assert (tmp_path / "with space %" / "key").read_bytes() == b"one"


def test_an_s3_uri_names_a_bucket_and_a_prefix(s3_store: S3Store, s3_environment: None) -> None:
    open_store(f"s3://{s3_store.bucket}/some/prefix/").write("key", b"one")
    assert s3_store.read("some/prefix/key").data == b"one"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/srv/store",
        "file:store",
        "file://",
        "file://host/store",
        "s3://",
        "s3:///a",
        "gs://a",
        "s3:a",
    ],
)
def test_any_other_uri_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="CHURN_STORE_URI must look like .*found"):
        open_store(uri)
