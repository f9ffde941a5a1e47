"""Outcomes by week: what is read, what is kept, and that neither a crash nor a repeat shows."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from include.customers import loading
from include.drift import performance
from include.drift.performance import Performance, VersionWeek
from include.drift.weeks import WEEKS_PREFIX, AskedWeek, Week
from include.params import PerformanceRules
from include.predictions.log import PREFIX
from include.store import LocalStore, S3Store
from tests.include.bank_days import CONTRACT, DAY, log, manifest_of, people, promote, score
from tests.include.drift.conftest import OUTCOME_RULES, Measure
from tests.include.drift.performance_example import EXAMPLE

NIGHT = timedelta(minutes=30)
SUNDAY = DAY + timedelta(days=6)
RIPE = datetime(2026, 6, 10, tzinfo=UTC) + NIGHT  # 30 days after that Sunday
LABELLED = datetime(2026, 5, 20, tzinfo=UTC)
ASKED = people(400)


def night_after(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1) + NIGHT


def label(bank: Engine, frame: pd.DataFrame = ASKED) -> None:
    loading.load_customers(bank, frame, now=LABELLED)


def only(found: Performance) -> VersionWeek:
    (week,) = found.weeks
    return week


def weeks_kept(store: LocalStore) -> list[str]:
    return [found.key.removeprefix(WEEKS_PREFIX) for found in store.list(WEEKS_PREFIX)]


def nobody() -> Engine:
    raise AssertionError("nobody needs the labels")


def test_before_the_week_is_ripe_there_is_an_estimate_and_no_label_is_asked_for(
    measured: Measure, local_store: LocalStore
) -> None:
    log(local_store, ASKED)
    found = measured(RIPE - timedelta(days=1), open_engine=nobody)
    week = only(found)
    assert (week.version, week.week, week.customers, week.ripe) == ("1", "2026-W19", 400, 0)
    assert (week.verdict, week.ripe_on, week.realised) == ("unripe", date(2026, 6, 10), None)
    assert week.estimate.brier.value == pytest.approx(np.mean(score(ASKED) * (1 - score(ASKED))))
    assert weeks_kept(local_store) == ["week=2026-W19.parquet"]
    assert found.caution == "blind to changed rules"


def test_a_ripe_week_is_joined_with_the_labels_once_and_its_customers_are_forgotten(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    log(local_store, ASKED)
    label(bank)
    week = only(measured(RIPE))
    left = CONTRACT.labels(ASKED)
    assert week.settled and week.realised and week.estimate_of_ripe
    assert week.ripe == week.estimate_of_ripe.customers == week.realised.customers == 400
    assert week.realised.left == left.sum()
    assert week.realised.brier.value == pytest.approx(np.mean((score(ASKED) - left) ** 2))
    assert weeks_kept(local_store) == []
    again = only(measured(RIPE + timedelta(days=1), open_engine=nobody))
    assert again == week


def test_labels_may_arrive_late(measured: Measure, local_store: LocalStore, bank: Engine) -> None:
    log(local_store, ASKED)
    rules = {"performance": PerformanceRules(label_days=14)}
    assert only(measured(RIPE - timedelta(days=1), open_engine=nobody)).ripe == 0
    week = only(measured(RIPE + timedelta(days=13), rules, open_engine=nobody))
    assert (week.ripe, week.ripe_on) == (0, date(2026, 6, 24))
    label(bank)
    assert only(measured(RIPE + timedelta(days=14), rules)).ripe == 400


def test_versions_and_weeks_are_apart_and_a_customer_counts_once_in_each(
    measured: Measure, local_store: LocalStore
) -> None:
    for day, version, count in [
        (DAY - timedelta(7), "1", 30),
        (DAY, "1", 100),
        (DAY, "10", 50),
        (DAY, "9", 20),
        (SUNDAY, "1", 110),
        (DAY - timedelta(weeks=12), "1", 20),  # too long ago
    ]:
        log(local_store, ASKED.head(count), version=version, day=day, request=str(day))
    log(local_store, ASKED.head(100), request="again")
    found = measured(night_after(SUNDAY))
    assert [(w.week, w.version, w.customers) for w in found.weeks] == [
        *[("2026-W18", "1", 30), ("2026-W19", "1", 110)],
        *[("2026-W19", "9", 20), ("2026-W19", "10", 50)],
    ]
    assert [each.version for each in found.versions] == ["1", "9", "10"]


def test_only_known_customers_of_customer_requests_count(
    measured: Measure, local_store: LocalStore
) -> None:
    log(local_store, ASKED.head(100))
    log(local_store, ASKED.tail(100), source="what-if")
    log(local_store, ASKED.tail(60), known=False)
    log(local_store, ASKED.tail(40), request="bad", probability=float("nan"))
    bad = f"predictions/date={DAY}/bad.parquet"
    local_store.write(bad, b"")
    found = measured(night_after(DAY))
    assert only(found).customers == 100 and found.rows_without_customer == 60
    assert found.unreadable_objects == (bad,)


@pytest.fixture
def reads(local_store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the log that are read."""
    keys: list[str] = []
    real = LocalStore.read

    def read(store: LocalStore, key: str) -> Any:
        if key.startswith(PREFIX):
            keys.append(key)
        return real(store, key)

    monkeypatch.setattr(LocalStore, "read", read)
    return keys


def test_a_day_of_the_log_is_read_once_and_again_only_where_more_of_it_arrived(
    measured: Measure, local_store: LocalStore, reads: list[str]
) -> None:
    log(local_store, ASKED.head(100))
    assert only(measured(night_after(DAY))).customers == 100 and len(reads) == 1
    assert only(measured(night_after(DAY))).customers == 100 and len(reads) == 1
    log(local_store, ASKED.tail(150), request="late")
    log(local_store, ASKED.head(200), day=DAY + timedelta(1), request="next")
    assert only(measured(night_after(DAY + timedelta(1)))).customers == 350
    assert len(reads) == 4
    measured(night_after(SUNDAY), day=SUNDAY)
    log(local_store, ASKED, request="very late")
    assert only(measured(night_after(SUNDAY), day=SUNDAY)).customers == 350  # not looked for
    assert only(measured(night_after(SUNDAY), day=DAY)).customers == 400  # run for that day again


def test_a_spool_that_came_late_counts_when_its_week_is_ripe(
    measured: Measure, local_store: LocalStore, bank: Engine, reads: list[str]
) -> None:
    label(bank)
    log(local_store, ASKED.head(300))
    assert only(measured(night_after(SUNDAY), day=SUNDAY)).customers == 300
    log(local_store, ASKED, request="late")
    almost = measured(RIPE - timedelta(days=1), day=SUNDAY)
    assert only(almost).customers == 300 and len(reads) == 1
    week = only(measured(RIPE, day=SUNDAY))
    assert (week.customers, week.ripe) == (400, 400)


def test_of_a_customers_answers_in_one_object_the_first_counts(
    local_store: LocalStore,
) -> None:
    late, early = datetime(2026, 5, 4, 20, tzinfo=UTC), datetime(2026, 5, 4, 8, tzinfo=UTC)
    log(local_store, ASKED.head(1), request="a", predicted_at=late, probability=0.9)
    log(local_store, ASKED.head(1), request="b", predicted_at=early, probability=0.1)
    asked = AskedWeek.read(local_store, Week.of(DAY))
    assert asked.look(local_store, DAY)
    assert asked.rows["probability"].tolist() == [0.1]


def test_a_gap_of_days_is_made_up_for(measured: Measure, local_store: LocalStore) -> None:
    log(local_store, ASKED.head(10))
    measured(night_after(DAY))
    log(local_store, ASKED.tail(20), day=DAY + timedelta(1), request="next")
    found = measured(night_after(SUNDAY), day=SUNDAY)
    assert only(found).customers == 30 and found.day == SUNDAY


@pytest.mark.parametrize("day", [date(2099, 1, 1), date(2020, 1, 1)])
def test_a_run_for_a_day_far_away_forgets_nothing(
    measured: Measure, local_store: LocalStore, day: date
) -> None:
    log(local_store, ASKED.head(10))
    before = measured(night_after(DAY))
    assert measured(night_after(DAY), day=day) == before
    assert weeks_kept(local_store) == ["week=2026-W19.parquet"]


def test_what_is_gone_from_the_log_stays_in_the_figures(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    log(local_store, ASKED)
    before = only(measured(night_after(DAY)))
    shutil.rmtree(local_store.root / PREFIX)
    assert only(measured(night_after(SUNDAY), day=DAY)) == before
    label(bank)
    assert only(measured(RIPE)).ripe == 400
    assert only(measured(RIPE + timedelta(weeks=1))).ripe == 400


def bank_of_two_weeks(store: LocalStore, bank: Engine) -> None:
    log(store, ASKED.head(300), day=DAY)
    log(store, ASKED.tail(200), day=SUNDAY, request="sunday")
    log(store, ASKED.head(80), day=SUNDAY + timedelta(1), request="monday", version="2")
    label(bank)


NIGHTS = [night_after(DAY), night_after(SUNDAY + timedelta(1)), RIPE, RIPE + timedelta(days=1)]


class Killed(BaseException):
    """The process is gone, at once."""


@pytest.mark.parametrize(
    ("night", "verb", "place", "done"),
    [
        *[(0, "write", 0, False), (0, "write", 0, True), (0, "write", 1, True)],
        *[(1, "write", 1, False), (1, "write", 2, False), (1, "write", 2, True)],
        *[(2, "write", 0, False), (2, "write", 0, True)],
        *[(2, "delete", 0, False), (2, "delete", 0, True)],
    ],
)
def test_who_is_killed_at_any_write_finds_the_same_afterwards(
    measured: Measure,
    local_store: LocalStore,
    bank: Engine,
    monkeypatch: pytest.MonkeyPatch,
    night: int,
    verb: str,
    place: int,
    done: bool,
) -> None:
    bank_of_two_weeks(local_store, bank)
    for now in NIGHTS[:night]:
        measured(now)
    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, verb, killing(getattr(LocalStore, verb), place, done=done))
        with pytest.raises(Killed):
            measured(NIGHTS[night])
    for now in NIGHTS[night:]:
        last = measured(now)
    assert shown(last) == UNDISTURBED
    assert weeks_kept(local_store) == ["week=2026-W20.parquet"]


def test_a_day_counts_though_its_figures_were_not_written_the_first_time(
    measured: Measure, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(local_store, ASKED.head(100))
    measured(night_after(DAY))
    log(local_store, ASKED.tail(50), day=DAY + timedelta(1), request="next")
    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "write", killing(LocalStore.write, 1, done=False))
        with pytest.raises(Killed):
            measured(night_after(DAY + timedelta(1)))
    assert only(measured(night_after(DAY + timedelta(1)))).customers == 150


def killing(real: Callable[..., Any], place: int, *, done: bool) -> Callable[..., Any]:
    """A verb of the store that ends the process at its n-th call, before or after it is done."""
    calls = []

    def call(*given: Any) -> Any:
        calls.append(given)
        if len(calls) > place:
            if done:
                real(*given)
            raise Killed
        return real(*given)

    return call


UNDISTURBED = [("2026-W19", "1", 400, 400, "kept"), ("2026-W20", "2", 80, 0, "unripe")]


def shown(found: Performance) -> list[tuple[Any, ...]]:
    return [(w.week, w.version, w.customers, w.ripe, w.verdict) for w in found.weeks]


@pytest.mark.parametrize("lost", ["everything", "the figures", "the weeks", "torn"])
@pytest.mark.parametrize("night", [1, 2])
def test_a_state_that_is_lost_or_torn_is_made_anew_from_the_log(
    measured: Measure, local_store: LocalStore, bank: Engine, lost: str, night: int
) -> None:
    bank_of_two_weeks(local_store, bank)
    for now in NIGHTS[: night + 1]:
        before = measured(now)
    kept = [f"{WEEKS_PREFIX}{name}" for name in weeks_kept(local_store)]
    for key in kept:
        if lost in {"everything", "the weeks"}:
            local_store.delete(key)
        if lost == "torn":
            local_store.write(key, local_store.read(key).data[:-100])
    if lost in {"everything", "the figures"}:
        local_store.delete(performance.KEY)
    if lost == "torn":
        local_store.write(performance.KEY, b'{"as_of": "2026')
    again = measured(NIGHTS[night])
    assert again.weeks == before.weeks
    assert shown(measured(NIGHTS[-1])) == UNDISTURBED


def test_a_week_with_a_hole_in_it_is_made_anew(measured: Measure, local_store: LocalStore) -> None:
    log(local_store, ASKED)
    before = measured(night_after(DAY))
    key = Week.of(DAY).key
    table = pq.read_table(pa.BufferReader(local_store.read(key).data))
    place = table.schema.get_field_index("asked_at")
    holed = table.set_column(place, "asked_at", pa.nulls(len(table), pa.int64()))
    sink = pa.BufferOutputStream()
    pq.write_table(holed.replace_schema_metadata(table.schema.metadata), sink)
    local_store.write(key, sink.getvalue().to_pybytes())
    assert measured(night_after(DAY)).weeks == before.weeks


def test_the_present_rules_judge_also_weeks_that_are_settled(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    log(local_store, ASKED)
    label(bank)
    assert only(measured(RIPE)).verdict == "kept"
    strict = {"performance": PerformanceRules(label_days=0, ripe_min=401)}
    week = only(measured(RIPE, strict))
    assert week.verdict == "too_few_ripe" and "400 customers are ripe" in week.explanation


def test_the_champions_loss_is_told(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    promote(
        local_store, manifest_of("1", CONTRACT.feature_names, {}, metrics={"roc_auc": 0.95}), {}
    )
    log(local_store, ASKED)
    label(
        bank,
        ASKED.assign(Attrition_Flag=np.random.default_rng(0).permutation(ASKED["Attrition_Flag"])),
    )
    found = measured(RIPE)
    (version,) = found.versions
    assert (version.champion, version.lost, version.judged_week) == (True, True, "2026-W19")
    assert (version.threshold, version.promised_roc_auc) == (0.5, 0.95)
    assert "the hold-out 0.950" in only(found).explanation


def test_all_of_it_works_on_s3(measured: Measure, s3_store: S3Store, bank: Engine) -> None:
    log(s3_store, ASKED.head(100))
    label(bank)
    assert only(measured(night_after(DAY), store=s3_store)).customers == 100
    assert only(measured(RIPE, store=s3_store)).ripe == 100
    assert list(s3_store.list(WEEKS_PREFIX)) == []


def test_the_document_follows_its_schema(
    measured: Measure, local_store: LocalStore, bank: Engine
) -> None:
    bank_of_two_weeks(local_store, bank)
    measured(RIPE)
    written = json.loads(local_store.read(performance.KEY).data)
    for found in (written, json.loads(EXAMPLE.to_bytes())):
        jsonschema.validate(
            found, Performance.model_json_schema(), format_checker=jsonschema.FormatChecker()
        )


@pytest.mark.parametrize(
    ("day", "name"), [(DAY, "2026-W19"), (SUNDAY, "2026-W19"), (date(2027, 1, 3), "2026-W53")]
)
def test_a_week_has_its_iso_name(day: date, name: str) -> None:
    assert Week.of(day).name == name and Week.of(day).days[0].isoweekday() == 1
    assert OUTCOME_RULES["outcome_days"] == 30  # what RIPE counts on
