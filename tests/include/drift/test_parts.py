"""A day in parts: to the last count what it is in one, whoever comes again and wherever."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from include.drift.collect_predictions import Collected
from include.drift.parts import add_parts
from include.drift.plan_parts import PARTS_MAX, cut
from include.errors import DataError
from include.predictions.log import KeySpan, log_prefix
from include.store import LocalStore, ObjectInfo
from tests.include.bank_days import BUSY_SHIFT, DAY, log, people, publish
from tests.include.drift.conftest import MakeRun, collect, detect

Found = tuple[list[Collected], Collected, list[pd.DataFrame]]

TRAINED = people(600, seed=1)
ASKED = people(60, drift=BUSY_SHIFT)
EACH_OBJECT, A_FEW = 1e-6, 0.025  # MiB of a part
REQUESTS = 10
COLUMNS = ("Customer_Age", "Gender", "Total_Trans_Ct")  # few are quick to count


@pytest.fixture
def random(local_store: LocalStore, request: pytest.FixtureRequest) -> np.random.Generator:
    """A champion, and what draws a day."""
    publish(local_store, people=TRAINED, columns=COLUMNS)
    return np.random.default_rng(request.param)


def some_day(store: LocalStore, random: np.random.Generator) -> None:
    """Few customers, asked about again and again in every way; some objects are shipped twice."""
    for place in range(REQUESTS):
        faults = {"Customer_Age": -1} if random.random() < 0.2 else {}
        log(
            store,
            ASKED.iloc[random.integers(0, len(ASKED), random.integers(1, 50))],
            version=str(random.choice(["1", "1", "1", "2", ""])),
            source=str(random.choice(["customer", "customer", "customer", "test"])),
            known=bool(random.random() < 0.6),
            request=f"{place:02}",
            object_rows=int(random.integers(15, 60)),
            **faults,
        )
    for found in list(store.list(log_prefix(DAY)))[:: int(random.integers(3, 6))]:
        store.write(f"{log_prefix(DAY)}{random.bytes(4).hex()}.parquet", store.read(found.key).data)
    store.write(f"{log_prefix(DAY)}05-torn.parquet", b"no parquet")


def facts(make_run: MakeRun, part_mebibytes: float) -> Found:
    """The parts, the day that they add up to, and its tables."""
    run = make_run(rules={"part_mebibytes": part_mebibytes, "report_rows": 40})
    parts = collect(run)
    day = add_parts(run, parts)
    keys = [key for group in day.groups for key in (group.counts, group.sample) if key]
    bare = [replace(group, counts=None, sample=None) for group in day.groups]
    whole = replace(day, part=parts[0].part, groups=bare)
    return parts, whole, [run.read_frame(key) for key in keys]


@pytest.mark.parametrize("random", range(3), indirect=True)
def test_a_day_is_the_same_whatever_the_number_of_its_parts(
    make_run: MakeRun, local_store: LocalStore, random: np.random.Generator
) -> None:
    some_day(local_store, random)
    (alone,), whole, tables = facts(make_run, 256)
    assert whole.groups[0].repeated and whole.unreadable and tables[0]["rows"].iloc[0] > 20
    for part_mebibytes in (A_FEW, EACH_OBJECT):
        parts, added, found = facts(make_run, part_mebibytes)
        assert len(parts) > 1
        assert sum(part.rows for part in parts) > whole.rows, "no row was shipped into two parts"
        assert replace(added, part=alone.part) == replace(whole, part=alone.part)
        for one, other in zip(tables, found, strict=True):
            pd.testing.assert_frame_equal(one, other)


def test_the_findings_of_a_drifted_day_are_the_same_in_parts(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    publish(local_store, people=TRAINED, columns=COLUMNS)
    for request in ("a", "b"):
        log(local_store, people(400, drift=BUSY_SHIFT), request=request, object_rows=100)
    rules = {"rows_min": 300, "newly_labelled_min": 0}
    (day, found), (in_parts, found_in_parts) = (
        detect(make_run(name, {**rules, "part_mebibytes": size}))
        for name, size in (("whole", 256), ("parts", EACH_OBJECT))
    )
    assert day.status == "drifted" and day.groups[0].repeated_rows == 400
    assert in_parts.model_copy(update={"rules": day.rules}) == day
    assert replace(found_in_parts, report_sample=None) == replace(found, report_sample=None)


def test_an_object_that_is_gone_before_its_rows_are_taken_back_is_named(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    publish(local_store, people=TRAINED, columns=COLUMNS)
    for request in ("a", "b"):
        log(local_store, people(10), request=request)
    run = make_run(rules={"part_mebibytes": EACH_OBJECT})
    parts = collect(run)
    *_, last = local_store.list(log_prefix(DAY))
    local_store.delete(last.key)
    with pytest.raises(DataError, match=f"{last.key} .* gone: clear this run from its first task"):
        add_parts(run, parts)


def test_only_objects_with_rows_to_be_taken_back_are_read_again(
    make_run: MakeRun, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(local_store, people=TRAINED, columns=COLUMNS)
    log(local_store, people(300), object_rows=50)
    log(local_store, people(300).iloc[[7]], request="z")
    run = make_run(rules={"part_mebibytes": EACH_OBJECT})
    parts, read = collect(run), []
    keep = LocalStore.read
    monkeypatch.setattr(LocalStore, "read", lambda self, key: read.append(key) or keep(self, key))
    assert add_parts(run, parts).groups[0].repeated == 1
    *_, last = local_store.list(log_prefix(DAY))
    assert [key for key in read if key.startswith(log_prefix(DAY))] == [last.key]


def test_rows_to_be_taken_back_never_hold_their_objects_keys_as_text(
    make_run: MakeRun, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(local_store, people=TRAINED, columns=COLUMNS)
    for request in ("a", "b", "c"):
        log(local_store, people(200), request=request, object_rows=50)
    run = make_run(rules={"part_mebibytes": EACH_OBJECT})
    parts, made = collect(run), list[pd.DataFrame]()
    keep = pd.concat
    monkeypatch.setattr(pd, "concat", lambda *a, **o: made.append(keep(*a, **o)) or made[-1])
    assert add_parts(run, parts).groups[0].repeated == 400
    (rows,) = (frame for frame in made if "log_place" in frame)
    assert len(rows) == 400 and rows.memory_usage(index=False, deep=True).sum() <= 400 * 17


def sizes(*each: int) -> list[ObjectInfo]:
    return [ObjectInfo(f"k{place:04}", size, 0.0) for place, size in enumerate(each)]


@pytest.mark.parametrize(
    ("objects", "part_bytes", "ends"),
    [
        ([], 10, [None]),
        (sizes(0, 0), 10, [None]),
        (sizes(5, 5), 10, [None]),
        (sizes(5, 5, 5), 10, ["k0000", None]),
        (sizes(1, 99, 1), 10, ["k0000", None]),
        (sizes(*[4] * 6), 8, ["k0001", "k0003", None]),
    ],
)
def test_a_day_is_cut_between_objects_into_parts_of_about_equal_bytes(
    objects: list[ObjectInfo], part_bytes: float, ends: list[str | None]
) -> None:
    spans = cut(objects, part_bytes=part_bytes)
    assert [span.upto for span in spans] == ends
    for key in ("a", *(each.key for each in objects), "z"):  # what arrives later is of a part too
        assert sum(key in span for span in spans) == 1


def test_there_are_no_more_parts_than_airflow_maps() -> None:
    assert len(cut(sizes(*[1] * 3000), part_bytes=1)) == PARTS_MAX


def test_a_part_that_is_tried_again_replaces_its_own_work(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    publish(local_store, people=TRAINED, columns=COLUMNS)
    log(local_store, people(300), object_rows=50)
    run = make_run(rules={"part_mebibytes": EACH_OBJECT}, now=make_run().now + timedelta(1))
    parts = collect(run)
    kept = {each.key: local_store.read(each.key).data for each in local_store.list("runs/")}
    assert collect(run) == parts
    assert kept == {each.key: local_store.read(each.key).data for each in local_store.list("runs/")}


def test_spans_follow_one_another() -> None:
    first, second = KeySpan(None, "b"), KeySpan("b", None)
    assert ["a" in first, "b" in first, "b" in second, "c" in second] == [True, True, False, True]
