"""Whom a day counts: nobody twice, and what names nobody once for each content."""

import numpy as np
import pandas as pd
import pytest

from include.drift.findings import DriftDay, GroupDrift, read_day
from include.store import LocalStore
from tests.include.bank_days import BUSY_SHIFT, CONTRACT, DAY, log, people, publish
from tests.include.drift.conftest import MakeRun, detect

TRAINED = people(4000, seed=1)


@pytest.fixture(autouse=True)
def champion(local_store: LocalStore) -> None:
    """Version 1 is in production."""
    publish(local_store, people=TRAINED)


def copies(rows: int, record: pd.DataFrame | None = None) -> pd.DataFrame:
    """The same record under other keys, which the log of anonymous rows does not have."""
    one = people(1, seed=9) if record is None else record
    same = pd.concat([one] * rows, ignore_index=True)
    return same.assign(**{CONTRACT.key.name: np.arange(rows) + 1})


def only(day: DriftDay) -> GroupDrift:
    (group,) = day.groups
    return group


def counted(group: GroupDrift) -> tuple[int, int, int]:
    return group.rows, group.repeated_rows, group.repeated_anonymous_rows


def test_a_record_that_is_asked_thousands_of_times_without_a_customer_is_no_drift(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    log(local_store, people(2500))
    log(local_store, copies(5000), known=False, object_rows=800)
    day, found = detect(make_run())
    assert (day.status, found.triggered) == ("quiet", False)
    assert counted(only(day)) == (2501, 4999, 4999)
    assert "2,501 of version 1 (4,999 more rows without a customer repeat earlier ones)" in (
        day.explanation
    )
    assert read_day(local_store, DAY).rows == 7500


def test_copies_alone_are_too_few_customers(make_run: MakeRun, local_store: LocalStore) -> None:
    log(local_store, copies(3000), known=False)
    day, _ = detect(make_run())
    assert (day.status, counted(only(day))) == ("too_few_rows", (1, 2999, 2999))


def test_customers_who_are_known_are_told_apart_even_where_their_records_are_equal(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    log(local_store, copies(300))
    log(local_store, copies(300), request="again")
    log(local_store, copies(200), known=False, request="anonymous")
    assert counted(only(detect(make_run())[0])) == (301, 499, 199)


def test_anonymous_customers_who_differ_are_all_tested(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    log(local_store, people(2500, drift=BUSY_SHIFT), known=False)
    day, found = detect(make_run())
    assert found.triggered and counted(only(day)) == (2500, 0, 0)


def test_another_value_is_another_customer_also_where_the_model_does_not_use_it(
    make_run: MakeRun, local_store: LocalStore
) -> None:
    publish(local_store, "2", people=TRAINED, columns=("Total_Trans_Ct", "Gender"))
    one = people(1, seed=9)
    log(local_store, copies(2, one), version="2", known=False)
    log(local_store, copies(2, one), version="2", known=False, request="b", Credit_Limit=1438.5)
    assert counted(only(detect(make_run())[0])) == (2, 2, 2)


def test_each_version_is_asked_by_itself(make_run: MakeRun, local_store: LocalStore) -> None:
    for version in ("1", "2"):
        log(local_store, copies(3), version=version, known=False)
    groups = detect(make_run())[0].groups
    assert [(g.version, g.status, *counted(g)) for g in groups] == [
        ("1", "too_few_rows", 1, 2, 2),
        ("2", "no_reference", 1, 2, 2),
    ]


def test_versions_are_listed_by_number(make_run: MakeRun, local_store: LocalStore) -> None:
    for version in ("10", "9", "1"):
        log(local_store, people(3), version=version)
    assert [group.version for group in detect(make_run())[0].groups] == ["1", "9", "10"]


def test_a_probe_that_says_so_counts_for_nobody(make_run: MakeRun, local_store: LocalStore) -> None:
    log(local_store, copies(3000), known=False, source="test")
    day, _ = detect(make_run())
    assert (day.status, day.groups, day.rows_of_other_sources) == ("no_predictions", (), 3000)
