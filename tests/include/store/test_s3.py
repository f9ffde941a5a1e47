"""The store as a bucket: pages, prefixes, other writers, and answers that were lost."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from include.errors import ObjectChanged, StoreError, StoreUnavailable
from include.store import S3Store
from tests.conftest import s3_client_of
from tests.s3_answers import Answer, answering


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


@pytest.mark.parametrize("prefix", ["", "team"])
def test_folders_and_foreign_names_are_not_listed_and_what_is_can_be_read(
    s3_store: S3Store, prefix: str
) -> None:
    store = S3Store(s3_store.client, s3_store.bucket, prefix)
    foreign = ("", "day/", "day/a/", "day//x", "/lead", "../up", "day/back\\slash", ".scratch/x")
    for key in foreign if prefix else foreign[1:]:
        store.client.put_object(Bucket=store.bucket, Key=store.prefix + key, Body=b"")
    store.client.put_object(Bucket=store.bucket, Key=f"{store.prefix}day/full/", Body=b"data")
    kept = ["day/a", "day/a/é漢", "day/" + "x" * 1000]
    for key in kept:
        store.write(key, b"")
    assert [each.key for each in store.list("")] == sorted(kept, key=str.encode)
    assert [each.key for each in store.list("day/")] == sorted(kept, key=str.encode)
    assert all(store.read(each.key).data == b"" for each in store.list("day/"))


def test_a_key_that_s3_cannot_hold_is_refused_with_its_length(s3_store: S3Store) -> None:
    store = S3Store(s3_store.client, s3_store.bucket, "team")
    with pytest.raises(StoreError, match="at most 1024 bytes, found 1025: .*CHURN_STORE_URI"):
        store.write("é" * 510, b"")


def test_a_missing_bucket_is_named(s3_store: S3Store) -> None:
    absent = S3Store(s3_store.client, "no-such-bucket-here")
    for use in (
        absent.read,
        lambda key: absent.write(key, b""),
        lambda key: list(absent.list(key)),
    ):
        with pytest.raises(
            StoreError, match="s3://no-such-bucket-here .* NoSuchBucket .* create it"
        ):
            use("key")


@pytest.mark.parametrize(
    ("status", "code"), [(409, "ConditionalRequestConflict"), (412, "PreconditionFailed")]
)
def test_a_swap_that_met_another_writer_is_decided_again(status: int, code: str) -> None:
    with (
        answering(Answer(status, code), Answer(200)) as server,
        pytest.raises(ObjectChanged),
    ):
        store_at(server.url).replace("key", b"mine", etag='"0"')


def test_a_write_once_key_that_nobody_got_is_tried_again_later() -> None:
    answers = Answer(409, "ConditionalRequestConflict"), Answer(404, "NoSuchKey")
    with answering(*answers) as server, pytest.raises(StoreUnavailable, match="try again"):
        store_at(server.url).create("key", b"mine")


def store_at(url: str) -> S3Store:
    return S3Store(s3_client_of(url), "bucket")


def test_an_answer_that_breaks_off_is_no_object() -> None:
    def half() -> None:
        with listener.accept()[0] as peer:
            peer.recv(65536)
            peer.sendall(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 1000\r\n\r\nhalf')

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        pool.submit(half)
        with pytest.raises(StoreUnavailable):
            store_at(f"http://127.0.0.1:{listener.getsockname()[1]}").read("key")


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

    behind = S3Store(s3_client_of(s3_endpoint), s3_store.bucket)
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
