"""The champion holder: follows good versions, refuses bad ones, keeps what serves."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.champion import versions
from include.champion.versions import (
    MANIFEST_FILE,
    MODEL_FILE,
    POINTER_KEY,
    SELF_CHECK_FILE,
    TREES_FILE,
    version_key,
)
from include.errors import StoreUnavailable
from include.store import LocalStore, StoredObject
from tests.webapp.champions import Version, publish
from webapp.champion import holder as holder_module
from webapp.champion.holder import ChampionHolder
from webapp.champion.last_good import LastGood


class Watched(LocalStore):
    """A store that can be made to fail, and what a holder of it reported."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "store")
        self.copy = root / "copy"
        self.outcomes: list[str] = []
        self.keys_read: list[str] = []
        self.down = False

    def read(self, key: str) -> StoredObject:
        if self.down:
            raise StoreUnavailable("down")
        self.keys_read.append(key)
        return super().read(key)

    def open(self) -> ChampionHolder:
        return ChampionHolder(
            lambda: self,
            LastGood(self.copy),
            poll_seconds=60,
            record=lambda outcome, _: self.outcomes.append(outcome),
        )


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


@pytest.fixture
def holder(watched: Watched, version_1: Version) -> ChampionHolder:
    """A holder that serves version 1."""
    publish(watched, version_1)
    found = watched.open()
    found.poll()
    return found


def serving(holder: ChampionHolder) -> str | None:
    return holder.champion and holder.champion.version


def test_no_pointer_means_no_champion_and_one_is_taken_up_when_it_appears(
    watched: Watched, version_1: Version
) -> None:
    holder = watched.open()
    holder.poll()
    assert serving(holder) is None and watched.outcomes == []
    publish(watched, version_1)
    holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["loaded"]


def test_a_promotion_is_followed_and_so_is_a_rollback_and_one_version_is_kept(
    watched: Watched, holder: ChampionHolder, version_1: Version, version_2: Version
) -> None:
    for version in (version_2, version_1, version_2):
        publish(watched, version)
        holder.poll()
        assert serving(holder) == version[0].version
    holder.poll()
    assert watched.outcomes == ["loaded"] * 4
    kept = LocalStore(watched.copy).list("champion/versions/")
    assert {info.key.split("/")[2] for info in kept} == {"2"}


def test_what_a_worker_does_not_serve_from_is_not_read(
    watched: Watched, holder: ChampionHolder
) -> None:
    names = (MANIFEST_FILE, MODEL_FILE, SELF_CHECK_FILE, TREES_FILE)
    wanted = [POINTER_KEY, *(version_key("1", name) for name in names)]
    assert sorted(watched.keys_read[-len(wanted) :]) == sorted(wanted)


@pytest.mark.parametrize(
    "changes",
    [
        {"manifest_key": f"champion/versions/{'9' * 300}/manifest.json"},
        {"manifest_key": "champion/versions/2/manifest.json"},
        {"manifest_key": "runs/1/manifest.json"},
        {"version": "9" * 300, "manifest_key": f"champion/versions/{'9' * 300}/manifest.json"},
        {"version": "../1", "manifest_key": "champion/versions/../1/manifest.json"},
        {"promoted_at": None},
    ],
)
def test_a_pointer_that_leads_elsewhere_is_refused_once_and_remembered(
    watched: Watched,
    holder: ChampionHolder,
    changes: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = watched.root / POINTER_KEY
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    for _ in range(3):
        holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["loaded", "refused"]
    assert caplog.text.count("is not a Pointer") == 1


def test_a_pointer_that_is_deleted_is_told_again_and_again_until_it_is_back(
    watched: Watched,
    holder: ChampionHolder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pointer = watched.read(POINTER_KEY).data
    watched.delete(POINTER_KEY)
    for _ in range(3):
        holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["loaded", "missing"]
    assert caplog.text.count("champion/current.json is gone") == 1
    assert 'make rollback VERSION=1 REASON="…"' in caplog.text
    monkeypatch.setattr(holder_module, "REFUSED_AGAIN_SECONDS", 0.0)
    for again in range(2):
        holder._told_until = 0.0
        holder.poll()
        assert watched.outcomes.count("missing") == again + 2
    watched.write(POINTER_KEY, pointer)
    holder.poll()
    watched.delete(POINTER_KEY)
    holder.poll()
    assert watched.outcomes.count("missing") == 4


def test_a_restart_without_the_pointer_serves_the_local_copy_and_says_so(
    watched: Watched, holder: ChampionHolder
) -> None:
    watched.delete(POINTER_KEY)
    watched.outcomes.clear()
    again = watched.open()
    again.poll()
    again.serve_last_good()
    again.poll()
    assert serving(again) == "1" and watched.outcomes == ["local", "missing"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def tamper(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (truncate, MODEL_FILE),
        (tamper, MODEL_FILE),
        (Path.unlink, MODEL_FILE),
        (Path.unlink, MANIFEST_FILE),
        (tamper, MANIFEST_FILE),
        (truncate, SELF_CHECK_FILE),
        (tamper, TREES_FILE),
    ],
)
def test_a_broken_champion_is_refused_remembered_and_the_old_one_serves(
    watched: Watched,
    holder: ChampionHolder,
    version_1: Version,
    version_2: Version,
    spoil: Callable[[Path], object],
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish(watched, version_2)
    spoil(watched.root / version_key("2", name))
    for _ in range(5):
        holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["loaded", "refused"]
    assert "refused the champion that the pointer names, version 1 keeps serving" in caplog.text
    publish(watched, version_1)
    holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["loaded", "refused"]


def test_a_refused_version_gets_another_chance_after_a_while(
    watched: Watched,
    holder: ChampionHolder,
    version_2: Version,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(holder_module, "REFUSED_AGAIN_SECONDS", 0.0)
    publish(watched, version_2)
    path = watched.root / version_key("2", MODEL_FILE)
    truncate(path)
    holder.poll()
    path.write_bytes(version_2[1][MODEL_FILE])
    holder.poll()
    assert serving(holder) == "2" and watched.outcomes == ["loaded", "refused", "loaded"]


def mixed(version: Version, name: str, data: bytes) -> Version:
    """A version whose files are whole and do not belong together."""
    manifest, files = version
    files = {**files, name: data}
    return manifest.model_copy(update={"files": versions.file_entries(files)}), files


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda check: {"probabilities": [0.123] * len(check["rows"])}, "differ by up to"),
        (lambda check: {"columns": check["columns"][::-1]}, "do not belong together"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(
    watched: Watched,
    version_2: Version,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    expected: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    check = json.loads(version_2[1][SELF_CHECK_FILE])
    data = json.dumps(check | change(check)).encode()
    publish(watched, mixed(version_2, SELF_CHECK_FILE, data))
    holder = watched.open()
    holder.poll()
    assert serving(holder) is None and expected in caplog.text
    assert "names, none is serving: " in caplog.text


def test_trees_that_answer_otherwise_cost_only_the_explanations(
    watched: Watched, version_1: Version, version_2: Version, caplog: pytest.LogCaptureFixture
) -> None:
    publish(watched, mixed(version_1, TREES_FILE, version_2[1][TREES_FILE]))
    holder = watched.open()
    holder.poll()
    assert holder.champion is not None and holder.champion.trees is None
    assert "version 1 answers without reasons" in caplog.text


def test_an_unreachable_store_changes_nothing_and_is_no_verdict(
    watched: Watched, holder: ChampionHolder, version_2: Version, caplog: pytest.LogCaptureFixture
) -> None:
    publish(watched, version_2)
    watched.down = True
    for _ in range(5):
        holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["loaded", "unreachable"]
    assert caplog.text.count("cannot look at the champion pointer") == 1
    watched.down = False
    holder.poll()
    assert serving(holder) == "2"


@pytest.mark.parametrize(
    ("down", "whole", "served", "outcomes"),
    [
        (True, True, "1", {"local", "unreachable"}),
        (False, True, "2", {"loaded"}),
        (False, False, "1", {"local", "refused"}),
    ],
    ids=["the store is away", "the store answers", "the store names a bad version"],
)
def test_a_restart_serves_the_local_copy_where_the_store_has_nothing_better(
    watched: Watched,
    holder: ChampionHolder,
    version_2: Version,
    *,
    down: bool,
    whole: bool,
    served: str,
    outcomes: set[str],
) -> None:
    publish(watched, version_2)
    if not whole:
        truncate(watched.root / version_key("2", MODEL_FILE))
    watched.down = down
    watched.outcomes.clear()
    again = watched.open()
    again.start()
    again.wait_until_settled(10)
    assert serving(again) == served and set(watched.outcomes) == outcomes


def test_a_worker_without_a_local_copy_waits_for_a_store_that_is_slow(
    watched: Watched, version_1: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(watched, version_1)
    monkeypatch.setattr(holder_module, "STORE_HEAD_START_SECONDS", 0)
    read = watched.read

    def slowly(key: str) -> StoredObject:
        time.sleep(0.05)
        return read(key)

    monkeypatch.setattr(watched, "read", slowly)
    holder = watched.open()
    holder.start()
    holder.wait_until_settled(10)
    assert serving(holder) == "1"


def test_a_damaged_local_copy_is_not_served(watched: Watched, holder: ChampionHolder) -> None:
    tamper(watched.copy / version_key("1", MODEL_FILE))
    again = watched.open()
    again.serve_last_good()
    assert serving(again) is None
