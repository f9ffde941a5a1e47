"""Old objects of the store: which go, and which stay."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from include.champion.versions import POINTER_KEY
from include.store import LocalStore, S3Store
from include.upkeep.delete_predictions import delete_predictions
from include.upkeep.delete_reports import delete_reports
from include.upkeep.delete_runs import delete_runs
from include.upkeep.delete_scores import delete_scores
from include.upkeep.run import Freed, UpkeepRun
from tests.include.upkeep.conftest import NOW, MakeRun
from tests.include.upkeep.long_time import fill_store

TASKS: list[Callable[[UpkeepRun], Freed]] = [
    *(delete_runs, delete_predictions, delete_scores, delete_reports)
]
DAYS = 50
GONE = DAYS - 40


@pytest.fixture
def filled(local_store: LocalStore) -> LocalStore:
    """The store after DAYS days, with a champion as old as all of it."""
    fill_store(local_store.root, NOW, days=DAYS)
    local_store.write(POINTER_KEY, b"{}")
    local_store.write("champion/history/2025-01-01T00:00:00Z.json", b"{}")
    return local_store


def kinds(store: LocalStore) -> Counter[str]:
    """How many objects there are of each kind."""
    found: Counter[str] = Counter()
    for info in store.list(""):
        room, _, rest = info.key.partition("/")
        found[room if room == "predictions" else f"{room}/…/{rest.rpartition('/')[2]}"] += 1
    return found


def size_of(store: LocalStore) -> int:
    return sum(info.size for info in store.list(""))


def test_what_is_old_goes_and_the_bytes_are_told(filled: LocalStore, make_run: MakeRun) -> None:
    before, bytes_before = kinds(filled), size_of(filled)
    freed = [task(make_run()) for task in TASKS]
    after = kinds(filled)
    assert before - after == Counter(
        {
            "predictions": GONE,
            "scores/…/part-0000.parquet": GONE,
            "scores/…/summary.json": GONE,
            "monitoring/…/report.html": GONE,
            "monitoring/…/report.json": GONE,
            "runs/…/plan.json": DAYS - 3,
            "runs/…/customers.parquet": 7,
        }
    )
    assert sum(each.bytes or 0 for each in freed) == bytes_before - size_of(filled)
    assert sum(each.objects for each in freed) == (before - after).total()
    assert after["champion/…/current.json"] == 1
    assert after["champion/…/2025-01-01T00:00:00Z.json"] == 1
    assert after["monitoring/…/drift.json"] == DAYS


def test_a_day_is_kept_whole_until_it_is_too_old(filled: LocalStore, make_run: MakeRun) -> None:
    delete_predictions(make_run())
    oldest = next(filled.list("predictions/")).key.split("/")[1]
    assert oldest == f"date={(NOW - timedelta(days=40)).date()}"
    assert not list(filled.root.glob("predictions/date=2026-10-1*"))  # nor an empty directory


def test_a_dry_run_tells_the_same_and_deletes_nothing(
    filled: LocalStore, make_run: MakeRun, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = kinds(filled)
    told = [task(make_run(dry_run=True)) for task in TASKS]
    assert kinds(filled) == before and "would delete objects below runs/" in caplog.text
    done = [task(make_run()) for task in TASKS]
    assert [(each.objects, each.bytes) for each in told] == [
        (each.objects, each.bytes) for each in done
    ]


def test_a_run_in_which_something_was_written_lately_stays_whole(
    local_store: LocalStore, make_run: MakeRun
) -> None:
    fill_store(local_store.root, datetime.now(UTC), days=20)
    local_store.write("runs/weekly__again/ingest_data/customers.parquet", b"cleared again")
    old = next(iter(local_store.list("runs/weekly__2")))
    local_store.write(f"{old.key}.again", b"cleared again")
    delete_runs(make_run(now=datetime.now(UTC)))
    assert {old.key, f"{old.key}.again"} <= {info.key for info in local_store.list("runs/")}


def test_what_is_of_no_day_is_left_alone(local_store: LocalStore, make_run: MakeRun) -> None:
    names = ["predictions/date=2020-13-01/a", "predictions/note", "predictions/date=2020-01-01"]
    for name in names:
        local_store.write(name, b"")
    delete_predictions(make_run())
    assert [info.key for info in local_store.list("")] == sorted(names)


def test_where_the_bucket_expires_them_nothing_is_asked_of_the_store_but_for_reports(
    filled: LocalStore, make_run: MakeRun, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    freed = [task(make_run(store_expires=True)).objects for task in TASKS]
    assert freed == [0, 0, 0, 2 * GONE]
    assert caplog.text.count("CHURN_STORE_EXPIRES says so") == 3


def test_s3_is_tidied_the_same_way(s3_store: S3Store, make_run: MakeRun) -> None:
    for day in ("2020-01-01", "2026-11-28"):
        s3_store.write(f"predictions/date={day}/a.parquet", b"1234")
    s3_store.write("runs/new/task/a.json", b"{}")
    freed = delete_predictions(make_run(store=s3_store))
    assert (freed.objects, freed.bytes, delete_runs(make_run(store=s3_store)).objects) == (1, 4, 0)
    assert len(list(s3_store.list(""))) == 2
