"""Each move of the pointer leaves one object, whoever is killed, late, or first."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import MagicMock

import jsonschema
import pytest

from include.champion import history, promotion, versions
from include.champion.history import UNKNOWN, History, HistoryReader, Move, record_move
from include.champion.promotion import Production
from include.champion.versions import Pointer
from include.documents import parse_document
from include.errors import ChampionError, ObjectChanged
from include.store import LocalStore, Store, StoredObject
from tests.include.bank_days import CONTRACT, manifest_of

NOW = datetime(2026, 11, 22, 12, 30, 5, 123456, tzinfo=UTC)
KEY = "champion/history/2026-11-22T12-30-05.123456Z.json"
FILES = {"model.onnx": b"graph"}


@pytest.fixture(autouse=True)
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions here have no graph that could answer."""
    monkeypatch.setattr(promotion, "read_whole_version", versions.read_version)


def production(store: Store) -> Production:
    """What is in production, the alias as it should be."""
    found = versions.read_pointer(store)
    return Production(*found, found[0].version) if found else Production(None, None, None)


def put(store: Store, version: str, *, now: datetime = NOW, **changes: Any) -> Pointer:
    """Move the pointer to a version."""
    draft = manifest_of("draft", CONTRACT.feature_names, FILES, run_id=version)
    promotion.publish(store, draft, FILES, version=version)
    given = {"who": "anna", "reason": "better", "production": production(store), **changes}
    return promotion.put_in_production(store, MagicMock(), version, now=now, **given)


def kept(store: Store, limit: int = 100) -> History:
    """What a new reader finds."""
    return HistoryReader(store).latest(limit, pointer=production(store).pointer)


def objects(store: Store) -> dict[str, Any]:
    return {each.key: json.loads(store.read(each.key).data) for each in store.list(KEY[:17])}


def move(before: str | None, to: str, *, minutes: int = 0, who: str = "anna") -> Move:
    """A move that somebody made."""
    moved_at = NOW + timedelta(minutes=minutes)
    return Move(moved_at=moved_at, before=before, to=to, who=who, why="better")


def test_each_move_leaves_an_object_that_says_from_to_who_and_why(store: Store) -> None:
    put(store, "1", who="training run a", reason="manual: the first")
    put(store, "2", now=NOW + timedelta(days=7))
    assert objects(store) == {
        KEY: {
            **{"moved_at": "2026-11-22T12:30:05.123456Z", "from": None, "to": "1"},
            **{"who": "training run a", "why": "manual: the first"},
        },
        KEY.replace("11-22", "11-29"): {
            **{"moved_at": "2026-11-29T12:30:05.123456Z", "from": "1", "to": "2"},
            **{"who": "anna", "why": "better"},
        },
    }


def test_a_move_follows_its_json_schema_and_survives_the_store_byte_for_byte() -> None:
    validator = jsonschema.Draft202012Validator(
        Move.model_json_schema(), format_checker=jsonschema.FormatChecker()
    )
    data = move("1", "2").to_bytes()
    assert list(validator.iter_errors(json.loads(data))) == []
    assert not validator.is_valid({"to": "2"})
    assert parse_document(Move, data, KEY).to_bytes() == data
    with pytest.raises(ChampionError, match="is not a Move. Faults: 1, the first at to"):
        parse_document(Move, data.replace(b'"2"', b'"../2"'), KEY)


def test_a_move_that_is_written_is_never_rewritten(store: Store) -> None:
    pointer = put(store, "1")
    before = store.read(KEY)
    record_move(store, pointer, who="somebody else")
    assert store.read(KEY) == before


def test_the_loser_of_a_race_leaves_nothing(store: Store) -> None:
    put(store, "1")
    stale = production(store)
    put(store, "2", now=NOW + timedelta(days=1))
    with pytest.raises(ObjectChanged):
        put(store, "3", now=NOW + timedelta(days=2), production=stale)
    assert [each.to for each in kept(store).moves] == ["1", "2"]
    assert len(objects(store)) == 2


@pytest.mark.parametrize("behind", [timedelta(0), timedelta(hours=1)])
def test_moves_sort_as_they_came_whatever_the_clocks_say(
    local_store: LocalStore, behind: timedelta
) -> None:
    for version in ("1", "2", "3"):
        put(local_store, version, now=NOW - behind * int(version))
    found = kept(local_store).moves
    assert [each.to for each in found] == ["1", "2", "3"]
    assert [each.key for each in found] == list(objects(local_store))


def killed(store: Store, pointer: Pointer, *, who: str) -> None:
    """In the place of `record_move`: dies behind an own move, not where it mends another's."""
    if who != UNKNOWN:
        raise KeyboardInterrupt
    record_move(store, pointer, who=who)


@pytest.fixture
def behind_the_pointer(local_store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    """A store whose last move was killed before it could be recorded."""
    put(local_store, "1", now=NOW - timedelta(days=1))
    with monkeypatch.context() as patched:
        patched.setattr(history, "record_move", killed)
        with pytest.raises(KeyboardInterrupt):
            put(local_store, "2", reason="killed")
    assert production(local_store).version == "2" and len(objects(local_store)) == 1
    return local_store


@pytest.fixture
def unrecorded(local_store: LocalStore) -> LocalStore:
    """A store in which two versions were put into production before there was a history."""
    put(local_store, "1", now=NOW - timedelta(days=1))
    put(local_store, "2", reason="killed")
    for key in objects(local_store):
        local_store.delete(key)
    return local_store


def test_a_move_without_its_object_is_told_by_the_pointer(unrecorded: LocalStore) -> None:
    assert objects(unrecorded) == {}
    (found,) = kept(unrecorded).moves
    assert (found.before, found.to, found.who, found.why) == ("1", "2", UNKNOWN, "killed")


@pytest.mark.parametrize("lost", ["behind_the_pointer", "unrecorded"])
def test_the_next_move_writes_what_is_missing_first(
    lost: str, request: pytest.FixtureRequest
) -> None:
    store = request.getfixturevalue(lost)
    put(store, "3", now=NOW + timedelta(days=1))
    assert objects(store)[KEY]["to"] == "2" and objects(store)[KEY]["who"] == UNKNOWN
    latest = kept(store).moves[-2:]
    assert [(each.before, each.to) for each in latest] == [("1", "2"), ("2", "3")]


def test_the_next_try_of_who_was_killed_knows_who_it_was(behind_the_pointer: LocalStore) -> None:
    store, registry = behind_the_pointer, MagicMock()
    assert [each.who for each in kept(store).moves] == ["anna", UNKNOWN]
    promotion.finish_move(store, registry, production(store), who="training run b")
    assert [each.who for each in kept(store).moves] == ["anna", "training run b"]
    promotion.finish_move(store, registry, Production(None, None, None), who="nobody")
    assert len(objects(store)) == 2


class Counting(LocalStore):
    """A store that counts what is read."""

    reads = 0

    def read(self, key: str) -> StoredObject:
        self.reads += 1
        return super().read(key)


def test_hundreds_of_moves_are_bounded_and_read_once(local_store: LocalStore) -> None:
    made = [move(str(n), str(n + 1), minutes=n) for n in range(1, 401)]
    (local_store.root / made[0].key).parent.mkdir(parents=True)
    for each in made:  # hundreds of writes that outlast a power cut take seconds
        (local_store.root / each.key).write_bytes(each.to_bytes())
    store = Counting(local_store.root)
    reader = HistoryReader(store)
    first = reader.latest(50, pointer=None)
    assert (first.moves, first.earlier, store.reads) == (tuple(made[-50:]), 350, 50)
    more = move("401", "402", minutes=500)
    local_store.create(more.key, more.to_bytes())
    second = reader.latest(50, pointer=None)
    assert second.moves == (*made[-49:], more) and (second.earlier, store.reads) == (351, 51)


def test_an_object_that_cannot_be_read_is_left_out_and_leaves_a_gap(
    local_store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    for version, days in (("1", 0), ("2", 1), ("3", 2)):
        put(local_store, version, now=NOW + timedelta(days=days))
    local_store.write(list(objects(local_store))[1], b"torn")
    found = kept(local_store)
    assert [(each.move.to, each.is_exact) for each in found.terms] == [("1", False), ("3", True)]
    assert "a move of the pointer cannot be read: champion/history/2026-11-23" in caplog.text


@pytest.mark.parametrize(
    ("following", "is_exact"),
    [
        (move("2", "3", minutes=1), True),
        (move("2", "1", minutes=1), True),
        (move(None, "2", minutes=1), True),  # a lost pointer, put back
        (move("7", "3", minutes=1), False),
        (move(None, "3", minutes=1), False),
    ],
)
def test_a_term_ends_with_the_next_move(following: Move, is_exact: bool) -> None:
    first, last = History((move("1", "2"), following)).terms
    assert (first.until, first.is_exact) == (following.moved_at, is_exact)
    assert (last.move, last.until, last.is_exact) == (following, None, True)


def test_a_reason_that_names_the_person_is_not_told_twice() -> None:
    told = move("1", "2").model_copy(update={"why": "moved by anna: complaints"}).told
    assert (told, move("1", "2").told) == ("moved by anna: complaints", "anna: better")
    assert History().terms == [] and list(History().described()) == []
