"""The champion holder: follows good versions, refuses bad ones, keeps what serves."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from include.champion import versions
from include.champion.versions import (
    MANIFEST_FILE,
    MODEL_FILE,
    POINTER_KEY,
    SELF_CHECK_FILE,
    version_key,
)
from include.errors import StoreUnavailable
from include.store import LocalStore, Store, StoredObject
from tests.webapp.champions import Version, publish
from webapp.champion import holder as holder_module
from webapp.champion.holder import ChampionHolder
from webapp.champion.last_good import LastGood
from webapp.champion.served_champion import ServedChampion


@dataclass
class Watched:
    """A holder on a store that can be made to fail, and what it reported."""

    store: LocalStore
    copy: Path
    outcomes: list[str] = field(default_factory=list)
    keys_read: list[str] = field(default_factory=list)
    down: bool = False

    def open(self) -> ChampionHolder:
        return ChampionHolder(
            lambda: Failing(self),  # type: ignore[arg-type,return-value]
            LastGood(self.copy),
            poll_seconds=0.05,
            record=self.note,
        )

    def note(self, outcome: str, _: ServedChampion | None) -> None:
        self.outcomes.append(outcome)


class Failing:
    """Passes reads on and notes their keys, unless the store is down."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self.uri = watched.store.uri

    def read(self, key: str) -> StoredObject:
        if self._watched.down:
            raise StoreUnavailable("down")
        self._watched.keys_read.append(key)
        return self._watched.store.read(key)

    def read_if_changed(self, key: str, etag: str | None) -> StoredObject | None:
        if self._watched.down:
            raise StoreUnavailable("down")
        return self._watched.store.read_if_changed(key, etag)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(LocalStore(tmp_path / "store"), tmp_path / "copy")


def serving(holder: ChampionHolder) -> str | None:
    return holder.champion and holder.champion.version


def test_no_pointer_means_no_champion_and_one_is_taken_up_when_it_appears(
    watched: Watched, version_1: Version
) -> None:
    holder = watched.open()
    holder.poll()
    assert serving(holder) is None and watched.outcomes == []
    publish(watched.store, version_1)
    holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["loaded"]


def test_a_promotion_is_followed_and_so_is_a_rollback(
    watched: Watched, version_1: Version, version_2: Version
) -> None:
    holder = watched.open()
    for version in (version_1, version_2, version_1):
        publish(watched.store, version)
        holder.poll()
        assert serving(holder) == version[0].version
    holder.poll()
    assert watched.outcomes == ["loaded"] * 3


def test_what_a_worker_does_not_serve_from_is_not_read(
    watched: Watched, version_1: Version
) -> None:
    publish(watched.store, version_1)
    tamper(watched.store.root / version_key("1", versions.CARD_FILE))
    holder = watched.open()
    holder.poll()
    assert serving(holder) == "1"
    names = (MANIFEST_FILE, MODEL_FILE, SELF_CHECK_FILE, versions.TREES_FILE)
    assert sorted(watched.keys_read) == sorted(version_key("1", name) for name in names)


@pytest.mark.parametrize(
    "changes",
    [
        {"manifest_key": f"champion/versions/{'9' * 300}/manifest.json"},
        {"manifest_key": "champion/versions/2/manifest.json"},
        {"manifest_key": "runs/1/manifest.json"},
        {"version": "9" * 300, "manifest_key": f"champion/versions/{'9' * 300}/manifest.json"},
        {"version": "../1", "manifest_key": "champion/versions/../1/manifest.json"},
    ],
)
def test_a_pointer_that_leads_elsewhere_is_refused_once_and_remembered(
    watched: Watched,
    version_1: Version,
    changes: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish(watched.store, version_1)
    holder = watched.open()
    holder.poll()
    path = watched.store.root / POINTER_KEY
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    for _ in range(3):
        holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["loaded", "refused"]
    assert caplog.text.count("is not a Pointer") == 1


def test_a_disk_that_cannot_be_read_is_trouble_with_the_store(
    watched: Watched, version_1: Version
) -> None:
    publish(watched.store, version_1)
    with pytest.raises(StoreUnavailable, match="could not read .*: File name too long"):
        watched.store.read("champion/" + "x" * 300)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def tamper(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


BREAK: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (truncate, MODEL_FILE),
    "tampered": (tamper, MODEL_FILE),
    "missing": (Path.unlink, MODEL_FILE),
    "no manifest": (Path.unlink, MANIFEST_FILE),
    "another manifest": (tamper, MANIFEST_FILE),
    "no self-check": (truncate, SELF_CHECK_FILE),
    "tampered trees": (tamper, versions.TREES_FILE),
}


@pytest.mark.parametrize("how", BREAK)
def test_a_broken_champion_is_refused_remembered_and_the_old_one_serves(
    watched: Watched,
    version_1: Version,
    version_2: Version,
    how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    holder = watched.open()
    publish(watched.store, version_1)
    holder.poll()
    publish(watched.store, version_2)
    spoil, name = BREAK[how]
    spoil(watched.store.root / version_key("2", name))
    for _ in range(5):
        holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["loaded", "refused"]
    assert "refused the champion that the pointer names, version 1 keeps serving" in caplog.text
    publish(watched.store, version_1)
    holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["loaded", "refused"]


def test_a_pointer_that_is_none_is_refused(watched: Watched, version_1: Version) -> None:
    holder = watched.open()
    publish(watched.store, version_1)
    holder.poll()
    watched.store.write(POINTER_KEY, b'{"version": "2"}')
    holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["loaded", "refused"]


def test_a_refused_version_gets_another_chance_after_a_while(
    watched: Watched, version_1: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holder_module, "REFUSED_AGAIN_SECONDS", 0.0)
    publish(watched.store, version_1)
    path = watched.store.root / version_key("1", MODEL_FILE)
    truncate(path)
    holder = watched.open()
    holder.poll()
    path.write_bytes(version_1[1][MODEL_FILE])
    holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["refused", "loaded"]


def incompatible(version: Version, **changes: object) -> Version:
    """A version whose files are whole and do not belong together."""
    manifest, files = version
    document = json.loads(files[SELF_CHECK_FILE]) | changes
    spoilt = {**files, SELF_CHECK_FILE: json.dumps(document).encode()}
    return manifest.model_copy(update={"files": versions.file_entries(spoilt)}), spoilt


def test_answers_that_differ_from_the_stored_ones_are_refused(
    watched: Watched, version_2: Version, caplog: pytest.LogCaptureFixture
) -> None:
    rows = len(json.loads(version_2[1][SELF_CHECK_FILE])["rows"])
    publish(watched.store, incompatible(version_2, probabilities=[0.123] * rows))
    holder = watched.open()
    holder.poll()
    assert serving(holder) is None and "differ by up to" in caplog.text


def test_parts_that_do_not_belong_together_are_refused(
    watched: Watched, version_2: Version, caplog: pytest.LogCaptureFixture
) -> None:
    columns = list(reversed(version_2[0].columns))
    publish(watched.store, incompatible(version_2, columns=columns))
    holder = watched.open()
    holder.poll()
    assert serving(holder) is None and "do not belong together" in caplog.text


def test_an_unreachable_store_changes_nothing_and_is_no_verdict(
    watched: Watched, version_1: Version, version_2: Version, caplog: pytest.LogCaptureFixture
) -> None:
    holder = watched.open()
    publish(watched.store, version_1)
    holder.poll()
    publish(watched.store, version_2)
    watched.down = True
    for _ in range(5):
        holder.poll()
    assert serving(holder) == "1" and watched.outcomes == ["loaded", "unreachable"]
    assert caplog.text.count("cannot look at the champion pointer") == 1
    watched.down = False
    holder.poll()
    assert serving(holder) == "2"


def test_a_restart_without_the_store_serves_the_local_copy(
    watched: Watched, version_1: Version
) -> None:
    publish(watched.store, version_1)
    watched.open().poll()
    watched.down = True
    holder = watched.open()
    holder.start()
    assert _soon(lambda: serving(holder) == "1") and "local" in watched.outcomes
    holder.stop()


def test_the_store_goes_before_the_local_copy(
    watched: Watched, version_1: Version, version_2: Version
) -> None:
    publish(watched.store, version_1)
    watched.open().poll()
    publish(watched.store, version_2)
    holder = watched.open()
    holder.start()
    assert _soon(lambda: serving(holder) is not None) and serving(holder) == "2"
    assert "local" not in watched.outcomes
    holder.stop()


def test_a_restart_while_the_pointer_names_a_bad_version_serves_the_local_copy(
    watched: Watched, version_1: Version, version_2: Version
) -> None:
    publish(watched.store, version_1)
    watched.open().poll()
    publish(watched.store, version_2)
    truncate(watched.store.root / version_key("2", MODEL_FILE))
    holder = watched.open()
    holder.start()
    assert _soon(lambda: serving(holder) == "1") and watched.outcomes[1:] == ["refused", "local"]
    holder.stop()


def test_a_damaged_local_copy_is_not_served(watched: Watched, version_1: Version) -> None:
    publish(watched.store, version_1)
    watched.open().poll()
    tamper(watched.copy / version_key("1", MODEL_FILE))
    watched.down = True
    holder = watched.open()
    holder.serve_last_good()
    assert serving(holder) is None


def test_the_local_copy_holds_one_version(
    watched: Watched, version_1: Version, version_2: Version
) -> None:
    holder = watched.open()
    for version in (version_1, version_2):
        publish(watched.store, version)
        holder.poll()
    kept: Store = LocalStore(watched.copy)
    left = {info.key.split("/")[2] for info in kept.list("champion/versions/")}
    assert left == {"2"}


def test_trees_that_answer_otherwise_cost_only_the_explanations(
    watched: Watched, version_1: Version, version_2: Version
) -> None:
    manifest, files = version_1
    mixed = {**files, versions.TREES_FILE: version_2[1][versions.TREES_FILE]}
    update = {"files": versions.file_entries(mixed)}
    publish(watched.store, (manifest.model_copy(update=update), mixed))
    holder = watched.open()
    holder.poll()
    assert holder.champion is not None and holder.champion.trees is None


def _soon(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not true():
        time.sleep(0.02)
    return true()
