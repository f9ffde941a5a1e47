import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from include.champion import versions
from include.champion.calibration import Calibration
from include.champion.versions import Manifest, Pointer, SelfCheck
from include.documents import Document, parse_document, sha256
from include.errors import ChampionError, ObjectChanged, ObjectExists, StoreError, StoreUnavailable
from include.store import LocalStore, Store, open_store, s3
from tests.include.bank_days import manifest_of

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
FILES = {"model.onnx": b"a graph", "model_card.md": b"# Card"}
COLUMNS = ("Customer_Age", "Gender")


def manifest(
    files: dict[str, bytes] = FILES,
    *,
    version: str = "7",
    columns: tuple[str, ...] = COLUMNS,
    **changes: Any,
) -> Manifest:
    """The manifest of a version that has these files."""
    facts = {
        "calibration": Calibration(slope=1.5, intercept=-0.25),
        "scaler_mean": (46.0, 0.5),
        "metrics": {"roc_auc": 0.99, "slice": None},
    }
    return manifest_of(version, columns, files, **{**facts, **changes})


def written(store: Store, **changes: Any) -> Pointer:
    """Write a version; the pointer that would promote it."""
    return versions.write_version(store, manifest(**changes), FILES)


def move(store: Store, pointer: Pointer, etag: str | None = None, now: datetime = NOW) -> Pointer:
    return versions.move_pointer(store, pointer, etag=etag, previous=None, reason="better", now=now)


# --- the pointer


def test_an_empty_store_has_no_champion(store: Store) -> None:
    assert versions.read_pointer(store) is None


def test_the_pointer_says_what_was_promoted_when_and_why(store: Store) -> None:
    pointer = written(store)
    versions.move_pointer(store, pointer, etag=None, previous="6", reason="better", now=LATER)
    found = versions.read_pointer(store)
    assert found is not None
    assert found[0] == Pointer(
        version="7",
        manifest_key="champion/versions/7/manifest.json",
        manifest_sha256=sha256(store.read("champion/versions/7/manifest.json").data),
        promoted_at=LATER,
        run_id="run of 7",
        previous="6",
        reason="better",
    )
    assert found[1] == store.read(versions.POINTER_KEY).etag


def test_a_pointer_that_somebody_else_moved_is_not_overwritten(store: Store) -> None:
    pointer = written(store)
    move(store, pointer)
    etag = store.read(versions.POINTER_KEY).etag
    move(store, pointer, etag, LATER)
    for stale in (etag, None):
        with pytest.raises(ObjectChanged):
            move(store, pointer, stale, NOW.replace(year=2027))
    found = versions.read_pointer(store)
    assert found is not None and found[0].promoted_at == LATER


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"<html>503</html>",
        lambda data: b"null",
        lambda data: b"\xff\xfe",
        lambda data: data.replace(b'"version"', b'"versoin"'),
        lambda data: data.replace(b'"version": "7"', b'"version": 7'),
        lambda data: data.replace(b"12:00:00Z", b"12:00:00"),
        lambda data: data.replace(b"{", b'{"extra": 1,', 1),
    ],
    ids=[
        *("empty", "half", "html", "null", "no text"),
        *("other field", "number", "no zone", "one more field"),
    ],
)
def test_an_unreadable_pointer_is_no_absent_one(
    change: Callable[[bytes], bytes], local_store: LocalStore
) -> None:
    move(local_store, written(local_store))
    data = local_store.read(versions.POINTER_KEY).data
    assert change(data) != data
    local_store.write(versions.POINTER_KEY, change(data))
    with pytest.raises(ChampionError, match="champion/current.json is not a Pointer"):
        versions.read_pointer(local_store)


def test_a_silent_store_is_no_absent_pointer(
    free_port: int, s3_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port}")
    with pytest.raises(StoreUnavailable):
        versions.read_pointer(open_store("s3://bucket"))


# --- versions


def test_a_version_is_read_as_it_was_written(store: Store) -> None:
    pointer = written(store)
    found = versions.read_manifest(store, pointer)
    assert found == manifest()
    assert versions.read_files(store, found, found.files) == FILES
    assert versions.read_version(store, "7") == (found, pointer.manifest_sha256)


def test_a_version_is_written_once_and_writing_it_again_changes_nothing(store: Store) -> None:
    assert written(store) == written(store)
    assert len(list(store.list("champion/versions/"))) == 3
    with pytest.raises(ObjectExists, match="versions/7/manifest.json"):
        written(store, threshold=0.4)
    other = {**FILES, "model.onnx": b"another graph"}
    changed = manifest(other)
    with pytest.raises(ObjectExists, match="versions/7/model.onnx"):
        versions.write_version(store, changed, other)
    assert versions.read_version(store, "7")[0] == manifest()


def test_the_manifest_is_written_last(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    create = local_store.create
    monkeypatch.setattr(
        local_store, "create", lambda key, data: (order.append(Path(key).name), create(key, data))
    )
    written(local_store)
    assert order[-1] == "manifest.json"
    assert sorted(order[:-1]) == sorted(FILES)


def test_a_file_that_the_manifest_does_not_describe_is_not_written(local_store: LocalStore) -> None:
    with pytest.raises(
        ChampionError, match="model.onnx is not the file that the manifest describes"
    ):
        versions.write_version(local_store, manifest(), {**FILES, "model.onnx": b"other"})
    assert list(local_store.list("")) == []


@pytest.mark.parametrize(
    ("spoil", "changes", "message"),
    [
        (lambda store, key, data: store.write(key, data + b" "), {}, "changed after .* roll back"),
        (lambda store, key, _: store.delete(key), {}, "manifest.json is missing in .* roll back"),
        (
            lambda *_: None,
            {"version": "8"},
            "the pointer names version 8, its manifest 7",
        ),
    ],
    ids=["changed", "missing", "another version's"],
)
def test_a_manifest_that_is_not_the_pointers_is_refused(
    spoil: Callable[[Store, str, bytes], None],
    changes: dict[str, str],
    message: str,
    store: Store,
) -> None:
    pointer = written(store).model_copy(update=changes)
    spoil(store, pointer.manifest_key, store.read(pointer.manifest_key).data)
    with pytest.raises(ChampionError, match=message):
        versions.read_manifest(store, pointer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda store, key: store.delete(key), "is missing in"),
        (lambda store, key: store.write(key, b"a gra"), "torn or was tampered with"),
        (lambda store, key: store.write(key, b"A graph"), "torn or was tampered with"),
        (lambda store, key: store.write(key, b""), "has 0 bytes .* expects 7 with"),
    ],
    ids=["missing", "truncated", "tampered", "empty"],
)
def test_a_file_that_is_not_the_manifests_is_refused(
    change: Callable[[Store, str], None], message: str, store: Store
) -> None:
    pointer = written(store)
    change(store, "champion/versions/7/model.onnx")
    with pytest.raises(ChampionError, match=f"champion/versions/7/model.onnx .*{message}"):
        versions.read_files(store, versions.read_manifest(store, pointer), ["model.onnx"])


def test_a_file_outside_the_manifest_is_not_read(store: Store) -> None:
    written(store)
    store.write("champion/versions/7/evil.pkl", b"")
    with pytest.raises(ChampionError, match="the manifest of version 7 lists no evil.pkl"):
        versions.read_files(store, manifest(), ["evil.pkl"])


@pytest.mark.parametrize("version", ["..", "../../runs", ""])
def test_a_version_cannot_lead_elsewhere(version: str, store: Store) -> None:
    with pytest.raises(StoreError, match="an object key is a relative path"):
        written(store, version=version)


# --- the documents


@pytest.fixture
def documents(local_store: LocalStore) -> dict[type[Document], Document]:
    check = SelfCheck(columns=COLUMNS, rows=((45.0, 1.0),), probabilities=(0.25,))
    return {
        Pointer: move(local_store, written(local_store)),
        Manifest: manifest(),
        SelfCheck: check,
    }


@pytest.mark.parametrize("kind", [Pointer, Manifest, SelfCheck])
def test_a_document_follows_its_json_schema_and_survives_the_store_byte_for_byte(
    kind: type[Document], documents: dict[type[Document], Document]
) -> None:
    validator = jsonschema.Draft202012Validator(
        kind.model_json_schema(), format_checker=jsonschema.FormatChecker()
    )
    data = documents[kind].to_bytes()
    assert list(validator.iter_errors(json.loads(data))) == []
    assert not validator.is_valid({"version": "7"})
    read = parse_document(kind, data, "key")
    assert read == documents[kind] and read.to_bytes() == data


def test_a_manifest_cannot_name_columns_outside_its_contract() -> None:
    for columns in (("Surname",), ("CLIENTNUM",), ()):
        with pytest.raises(ValueError, match="columns outside the contract"):
            manifest(columns=columns)


@pytest.mark.parametrize(
    ("rows", "probabilities", "message"),
    [
        ((), (), "at least one row"),
        (((45.0, 1.0),), (), "one answer for each row"),
        (((45.0,),), (0.5,), "one value for each column"),
    ],
)
def test_self_check_rows_must_fit_their_answers(
    rows: tuple[tuple[float, ...], ...], probabilities: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SelfCheck(columns=COLUMNS, rows=rows, probabilities=probabilities)


def test_versions_are_ordered_by_their_numbers() -> None:
    assert sorted(["10", "9", "100", "1"], key=versions.version_order) == ["1", "9", "10", "100"]
