"""The days that the Drift page shows: those whose drift.json can be read."""

import json
from datetime import date, timedelta

import pytest

from dashboard.data.drift_days import main_group, read_days, read_logged, verdict_of
from include.drift.findings import DRIFT_FILE, day_key
from include.predictions.log import log_prefix
from include.store import LocalStore
from tests.dashboard import bank
from tests.include.bank_days import DAY, log, people, publish


def test_a_day_names_its_group_and_verdicts(local_store: LocalStore) -> None:
    last = bank.write_drift_days(local_store, days=2)
    quiet, drifted = read_days(local_store)
    assert (quiet.status, drifted.status, drifted.date) == ("quiet", "drifted", last)
    assert main_group(drifted) == drifted.groups[0]
    verdict = verdict_of(drifted, "Customer_Age")
    assert verdict is not None and verdict.effect == 0.31
    assert verdict_of(drifted, "Shoe_Size") is None


def test_a_day_of_another_release_is_shown_by_what_is_known(local_store: LocalStore) -> None:
    key = day_key(bank.write_drift_days(local_store, days=1), DRIFT_FILE)
    document = json.loads(local_store.read(key).data)
    document |= {"of_tomorrow": 1, "rules": {"of_yesterday": 2}}
    document["groups"][0]["also_new"] = None
    local_store.write(key, json.dumps(document).encode())
    assert [day.status for day in read_days(local_store)] == ["drifted"]


@pytest.mark.parametrize("data", [b"{", b"{}", b'{"release": "another"}'])
def test_a_document_that_is_none_is_left_out(local_store: LocalStore, data: bytes) -> None:
    last = bank.write_drift_days(local_store, days=2)
    local_store.write(day_key(date(2026, 11, 1), DRIFT_FILE), data)
    assert [day.date for day in read_days(local_store)][-1] == last
    assert len(read_days(local_store)) == 2


def test_what_is_drawn_of_a_day_are_its_customers_each_once(local_store: LocalStore) -> None:
    asked = people(30)
    manifest = publish(local_store, people=people(200, seed=1))
    for request in ("first", "again"):
        log(local_store, asked, request=request)
        log(local_store, people(20, seed=6), known=False, request=request)
    log(local_store, people(5, seed=7), version="2")
    log(local_store, people(5, seed=8), source="what-if")
    local_store.write(f"{log_prefix(DAY)}0.parquet", b"no log")
    found = read_logged(local_store, DAY, "Customer_Age", manifest=manifest)
    expected = [*asked["Customer_Age"], *people(20, seed=6)["Customer_Age"]]
    assert found is not None and sorted(found) == sorted(expected)
    assert read_logged(local_store, DAY - timedelta(1), "Gender", manifest=manifest) is None
