import errno
import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import (
    ConfigurationError,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    StoreError,
    StoreForbidden,
    StoreUnavailable,
)
from include.store import LocalStore, S3Store, Store, open_store, s3
from include.store.objects import SCRATCH


def keys(alphabet: str) -> st.SearchStrategy[str]:
    parts = st.text(alphabet, min_size=1, max_size=12).filter(lambda part: part not in {".", ".."})
    return st.lists(parts, min_size=1, max_size=4).map("/".join)


# --- what both kinds promise


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
        from include.store import open_store
        from tests.include.test_store import append
        for number in range(15):
            append(open_store(sys.argv[1]), f"{sys.argv[2]}-{number}")
    """)
    command = [sys.executable, "-c", program, store.uri]
    writers = [subprocess.Popen([*command, name], env=os.environ) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(set(store.read("log").data.split())) == 45


# --- which store a URI names


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


# --- the directory


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


# --- S3


def test_a_listing_follows_every_page(s3_store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    keys = [f"predictions/{n:05d}" for n in range(10)]
    for key in keys:
        s3_store.write(key, b"")
    assert s3_store.client.list_objects_v2(Bucket=s3_store.bucket)["IsTruncated"]
    assert [info.key for info in s3_store.list("predictions/")] == keys


def test_a_prefixed_store_sees_only_its_own(s3_store: S3Store) -> None:
    inner = S3Store(s3_store.client, s3_store.bucket, "team")
    inner.write("key", b"one")
    s3_store.write("team-b/key", b"two")
    assert [info.key for info in inner.list("")] == ["key"]
    assert s3_store.read("team/key").data == b"one"


def test_a_missing_bucket_is_named(s3_store: S3Store) -> None:
    absent = S3Store(s3_store.client, "no-such-bucket-here")
    for use in (
        absent.read,
        lambda key: absent.write(key, b""),
        lambda key: list(absent.list(key)),
    ):
        with pytest.raises(
            StoreError, match="bucket 'no-such-bucket-here' does not exist: create it"
        ):
            use("key")


Answer = tuple[int, str]  # status, S3's error code
OK: Answer = (200, "")


@contextmanager
def scripted(*answers: Answer) -> Iterator[SimpleNamespace]:
    """A store that gets these answers instead of a server's, the last one for ever; counts them."""
    left, found = list(answers), SimpleNamespace(store=s3_at("http://127.0.0.1:1"), requests=0)

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        found.requests += 1
        status, code = left.pop(0) if len(left) > 1 else left[0]
        error = f"<Error><Code>{code}</Code><Message>told so</Message></Error>"
        body = io.BytesIO(error.encode() if code else b"data")
        raw = SimpleNamespace(stream=lambda: iter([body.getvalue()]), read=body.read)
        return AWSResponse(request.url, status, {"ETag": '"1"'}, raw)

    found.store.client.meta.events.register("before-send.s3", answer)
    yield found


def s3_at(url: str) -> S3Store:
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=s3.s3_config(),
    )
    return S3Store(client, "bucket")


@pytest.mark.parametrize(
    "trouble",
    [(503, "SlowDown"), (500, "InternalError"), (429, "Throttling"), (400, "RequestTimeout")],
)
def test_a_busy_server_is_asked_again_after_a_while(
    trouble: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    monkeypatch.setattr(time, "sleep", delays.append)
    with scripted(trouble, trouble, OK) as server:
        assert server.store.read("key").data == b"data"
    assert server.requests == 3
    assert len(delays) == 2
    assert 0 < delays[0] <= 1
    assert 0 < delays[1] <= 2


@pytest.mark.parametrize(
    ("trouble", "error", "message"),
    [
        ((503, "SlowDown"), StoreUnavailable, "answered 503 SlowDown for 'key' 2 times"),
        (
            (403, "AccessDenied"),
            StoreForbidden,
            "refuses these credentials for 'key' .AccessDenied.",
        ),
        ((401, "Unauthorized"), StoreForbidden, "refuses these credentials"),
        ((404, "NoSuchBucket"), StoreError, "bucket 'bucket' does not exist"),
        ((404, "NoSuchKey"), ObjectNotFound, "no object 'key' in s3://bucket"),
        ((400, "InvalidRequest"), StoreError, "refused 'key': 400 InvalidRequest"),
    ],
)
def test_each_refusal_has_its_error(
    trouble: Answer, error: type[StoreError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 2)
    with scripted(trouble) as server, pytest.raises(error, match=message) as raised:
        server.store.read("key")
    assert type(raised.value) is error


@pytest.mark.parametrize("status", [409, 412])
def test_a_swap_that_met_another_writer_is_decided_again(status: int) -> None:
    code = {409: "ConditionalRequestConflict", 412: "PreconditionFailed"}[status]
    with scripted((status, code), (200, "")) as server, pytest.raises(ObjectChanged):
        server.store.replace("key", b"mine", etag='"0"')


def test_a_write_once_key_that_nobody_got_is_tried_again_later() -> None:
    answers = (409, "ConditionalRequestConflict"), (404, "NoSuchKey")
    with scripted(*answers) as server, pytest.raises(StoreUnavailable, match="try again"):
        server.store.create("key", b"mine")


def test_nobody_at_the_address_is_unavailable(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 2)
    with pytest.raises(
        StoreUnavailable, match="no answer from s3://bucket for 'key' after 2 attempts"
    ):
        s3_at(f"http://127.0.0.1:{free_port}").write("key", b"one")


def test_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 2)
    monkeypatch.setattr(s3, "READ_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="check AWS_ENDPOINT_URL"):
            s3_at(f"http://127.0.0.1:{silent.getsockname()[1]}").read("key")
    assert time.monotonic() - started < 5


def test_an_answer_that_breaks_off_is_no_object() -> None:
    def half() -> None:
        with listener.accept()[0] as peer:
            peer.recv(65536)
            peer.sendall(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 1000\r\n\r\nhalf')

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        pool.submit(half)
        with pytest.raises(StoreUnavailable):
            s3_at(f"http://127.0.0.1:{listener.getsockname()[1]}").read("key")


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreError, match="credentials"):
        open_store("s3://bucket").read("key")


def test_an_endpoint_that_is_no_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL.*localhost:9000"):
        open_store("s3://bucket")


@pytest.fixture
def forgetful_store(s3_store: S3Store, s3_endpoint: str) -> Iterator[S3Store]:
    """The bucket over a line that does the first write and loses its answer."""
    lost: list[str] = []

    def lose(request: AWSPreparedRequest, **_: object) -> None:
        if request.method == "PUT" and not lost:
            lost.append(request.url)
            assert URLLib3Session().send(request).status_code == 200
            request.reset_stream()
            raise ConnectionClosedError(endpoint_url=request.url)

    behind = s3_at(s3_endpoint)
    behind.bucket = s3_store.bucket
    behind.client.meta.events.register("before-send.s3", lose)
    yield behind
    assert lost


def test_a_create_whose_answer_was_lost_succeeds(forgetful_store: S3Store) -> None:
    forgetful_store.create("key", b"mine")
    assert forgetful_store.read("key").data == b"mine"


def test_a_swap_whose_answer_was_lost_succeeds(forgetful_store: S3Store, s3_store: S3Store) -> None:
    s3_store.write("key", b"old")
    forgetful_store.replace("key", b"mine", etag=s3_store.read("key").etag)
    assert s3_store.read("key").data == b"mine"
