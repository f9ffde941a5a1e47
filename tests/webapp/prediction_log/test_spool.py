"""The spool and its shipper: nothing acknowledged is lost, what is lost is counted."""

import errno
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.errors import StoreUnavailable
from include.predictions.log import read_predictions
from include.store import LocalStore
from webapp.prediction_log import shipper as shipper_module
from webapp.prediction_log.segments import rows_in
from webapp.prediction_log.shipper import Shipper, read_segment
from webapp.prediction_log.spool import Spool

COLUMNS = (("Customer_Age", "integer"), ("Credit_Limit", "float"))
LATER = (("Mood", "category"),)
DAY = "2026-05-04"


def line(number: int, rows: int = 1) -> bytes:
    document = [
        rows,
        *(f"{number:032x}", "r", f"{DAY}T12:00:00.000000Z", "1", "customer", 0.001),
        *([None] * rows, [0.5] * rows, [1] * rows, [{"Customer_Age": 40}] * rows),
    ]
    return orjson.dumps(document) + b"\n"


class Lost:
    rows = 0

    def __call__(self, rows: int) -> None:
        self.rows += rows


@pytest.fixture
def lost() -> Lost:
    return Lost()


def spool_in(directory: Path, lost: Lost, *, max_bytes: int = 2**20, rows: int = 100) -> Spool:
    sizes = {"max_bytes": max_bytes, "seal_rows": rows, "seal_seconds": 60}
    return Spool(directory, key_mark="3fa9c1d2", lost=lost, **sizes)


@pytest.fixture
def spool(tmp_path: Path, lost: Lost) -> Spool:
    return spool_in(tmp_path / "spool", lost)


@pytest.fixture
def shipper(spool: Spool, local_store: LocalStore, lost: Lost) -> Shipper:
    return Shipper(spool.directory, lambda: local_store, lost)


def append(spool: Spool, count: int) -> None:
    for number in range(count):
        spool.append(line(number), rows=1, columns=COLUMNS)


def seal(spool: Spool) -> None:
    """As when the segment were old."""
    spool._seal_seconds = 0.0
    spool.tick()


def objects(store: LocalStore) -> list[str]:
    return [found.key for found in store.list("predictions/")]


def shipped(store: LocalStore) -> int:
    return sum(batch.num_rows for batch in read_predictions(store, date.fromisoformat(DAY)))


def names(spool: Spool) -> list[str]:
    return sorted(path.suffix for path in spool.directory.iterdir())


def test_a_line_is_in_the_file_when_append_returns(spool: Spool) -> None:
    spool.append(line(1), rows=1, columns=COLUMNS)
    (path,) = spool.directory.iterdir()
    assert path.read_bytes().endswith(line(1)) and path.stat().st_mode & 0o777 == 0o600


def test_a_full_segment_is_sealed_at_the_next_tick(spool: Spool) -> None:
    append(spool, 101)
    spool.tick()
    assert names(spool) == [".open", ".sealed"]
    assert spool.pending_rows() == 101


def test_an_old_segment_is_sealed(tmp_path: Path, lost: Lost) -> None:
    spool = Spool(
        tmp_path, key_mark="", max_bytes=2**20, seal_rows=100, seal_seconds=0.0, lost=lost
    )
    spool.append(line(1, rows=3), rows=3, columns=COLUMNS)
    spool.tick()
    assert names(spool) == [".sealed"] and spool.pending_rows() == 3


def test_a_champion_with_another_contract_begins_another_segment(
    spool: Spool, shipper: Shipper, local_store: LocalStore
) -> None:
    spool.append(line(1), rows=1, columns=COLUMNS)
    spool.append(line(2), rows=1, columns=LATER)
    seal(spool)
    assert shipper.ship() == 2 and shipped(local_store) == 2
    assert len(objects(local_store)) == 2


def test_beyond_the_budget_answers_go_on_and_are_counted(
    tmp_path: Path, lost: Lost, caplog: pytest.LogCaptureFixture
) -> None:
    spool = spool_in(tmp_path, lost, max_bytes=3 * len(line(0)))
    append(spool, 50)
    kept = spool.pending_rows()
    assert 0 < kept < 5 and lost.rows == 50 - kept
    assert caplog.text.count("CHURN_SPOOL_MAX_BYTES") == 1
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    spool.tick()
    spool.append(line(99), rows=1, columns=COLUMNS)
    assert lost.rows == 50 - kept


def test_a_disk_that_takes_half_a_line_keeps_whole_lines_only(
    spool: Spool, lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append(line(1), rows=1, columns=COLUMNS)
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[: len(data) // 2]))
    spool.append(line(2), rows=1, columns=COLUMNS)
    monkeypatch.undo()
    spool.append(line(3), rows=1, columns=COLUMNS)
    seal(spool)
    (path,) = spool.directory.iterdir()
    found = read_segment(path)
    assert [each[-1] for each in found.rows["prediction_id"].to_pylist()] == ["1", "3"]
    assert lost.rows == 1 and found.damaged == 0


def full_disk(handle: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half_a_disk(handle: int, data: bytes) -> int:
    return len(data) // 2


@pytest.mark.parametrize("write", [full_disk, half_a_disk])
def test_a_segment_that_cannot_be_begun_leaves_nothing_behind(
    spool: Spool, lost: Lost, monkeypatch: pytest.MonkeyPatch, write: Callable[[int, bytes], int]
) -> None:
    handles = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "write", write)
    append(spool, 5)
    monkeypatch.undo()
    assert lost.rows == 5 and list(spool.directory.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == handles
    spool.append(line(5), rows=1, columns=COLUMNS)
    assert spool.pending_rows() == 1 and lost.rows == 5


def test_a_segment_that_cannot_be_sealed_waits_for_the_next_tick(
    tmp_path: Path, lost: Lost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spool = spool_in(tmp_path, lost, rows=1)
    append(spool, 3)
    sync, calls = os.fsync, iter([OSError(errno.EIO, "the disk is ill")])

    def sync_after_a_failure(handle: int) -> None:
        for error in calls:
            raise error
        sync(handle)

    monkeypatch.setattr(os, "fsync", sync_after_a_failure)
    spool.tick()
    assert names(spool) == [".open", ".sealed", ".sealed"] and "the disk is ill" in caplog.text
    spool.tick()
    assert names(spool) == [".sealed"] * 3 and lost.rows == 0


def test_a_segment_that_somebody_removed_is_counted_once(tmp_path: Path, lost: Lost) -> None:
    spool = spool_in(tmp_path, lost, rows=2)
    append(spool, 2)
    next(tmp_path.iterdir()).unlink()
    spool.tick()
    spool.tick()
    assert lost.rows == 2


def test_each_segment_becomes_the_object_of_its_own_id_and_is_removed(
    spool: Spool, shipper: Shipper, local_store: LocalStore
) -> None:
    append(spool, 250)
    seal(spool)
    ids = sorted(path.name.split(".")[0] for path in spool.directory.iterdir())
    assert shipper.ship() == 250 == shipped(local_store)
    assert objects(local_store) == [f"predictions/date={DAY}/{each}.parquet" for each in ids]
    assert len(ids) == 3 and list(spool.directory.iterdir()) == []


def test_an_object_says_which_key_names_its_customers(
    spool: Spool, shipper: Shipper, local_store: LocalStore
) -> None:
    """That of the worker which answered, whatever key the shipper has meanwhile."""
    append(spool, 1)
    seal(spool)
    shipper.ship()
    (key,) = objects(local_store)
    metadata = pq.read_schema(pa.BufferReader(local_store.read(key).data)).metadata
    assert metadata == {b"customer_key_mark": b"3fa9c1d2"}


def test_a_segment_of_an_older_worker_says_none(spool: Spool, shipper: Shipper) -> None:
    append(spool, 1)
    seal(spool)
    (path,) = spool.directory.iterdir()
    path.write_bytes(path.read_bytes().replace(b',"customer_key_mark":"3fa9c1d2"', b""))
    assert read_segment(path).rows.schema.metadata is None and shipper.ship() == 1


def test_the_segments_of_a_dead_worker_are_adopted(
    spool: Spool, shipper: Shipper, local_store: LocalStore
) -> None:
    spool.append(line(1), rows=1, columns=COLUMNS)
    assert shipper.ship() == 0, "its worker lives"
    assert spool._segment is not None
    os.close(spool._segment.handle)  # what the kernel does for a killed process
    with next(spool.directory.glob("*.open")).open("ab") as file:
        file.write(line(2)[:40])
    assert shipper.ship() == 1 and shipped(local_store) == 1


def test_a_shipper_whose_worker_is_gone_takes_what_the_others_leave(
    spool: Spool, shipper: Shipper, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any hook of a server, whichever worker ends first."""
    append(spool, 1)
    monkeypatch.setattr(shipper_module, "_input_closed", lambda seconds: True)
    monkeypatch.setattr("time.sleep", lambda seconds: seal(spool))
    shipper.run()
    assert shipped(local_store) == 1 and list(spool.directory.iterdir()) == []


def test_while_the_store_is_down_everything_stays(
    spool: Spool, shipper: Shipper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(store: LocalStore, key: str, data: bytes) -> None:
        raise StoreUnavailable("down")

    append(spool, 1)
    seal(spool)
    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "write", refuse)
        with pytest.raises(StoreUnavailable):
            shipper.ship()
    assert names(spool) == [".sealed"] and shipper.ship() == 1


def test_a_crash_between_writing_and_removing_makes_no_duplicates(
    spool: Spool, shipper: Shipper, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append(line(1), rows=1, columns=COLUMNS)
    seal(spool)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            shipper.ship()
    # Meanwhile another segment was sealed: what is sealed together decides nothing.
    append(spool, 1)
    seal(spool)
    assert shipper.ship() == 2
    assert len(objects(local_store)) == 2


def test_lines_that_a_power_cut_spoiled_are_counted(
    spool: Spool, shipper: Shipper, local_store: LocalStore, lost: Lost
) -> None:
    append(spool, 3)
    seal(spool)
    (path,) = spool.directory.iterdir()
    path.write_bytes(path.read_bytes().replace(line(1), b"\0" * (len(line(1)) - 1) + b"\n"))
    assert shipper.ship() == 2 and lost.rows == 1 and rows_in(path) == 3


def test_an_integer_that_is_no_exact_float_holds_up_nobody(
    spool: Spool, shipper: Shipper, local_store: LocalStore
) -> None:
    document = orjson.loads(line(1))
    document[-1] = [{"Customer_Age": 40, "Credit_Limit": 2**53 + 1}]
    spool.append(orjson.dumps(document) + b"\n", rows=1, columns=COLUMNS)
    seal(spool)
    assert shipper.ship() == 1
    (batch,) = read_predictions(local_store, date.fromisoformat(DAY))
    assert batch.column("Credit_Limit").to_pylist() == [float(2**53)]
