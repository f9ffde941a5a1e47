"""The demonstration's day: what it asks about in one step is of one, and who else was in it."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from include.predictions.log import customer_key
from include.store import LocalStore
from infra.airflow.dag_runs import RunFailed
from infra.local.demo import SEND_SECONDS, Demo, seconds_to_wait
from infra.local.demo_traffic import company, logged_keys
from tests.include.bank_days import CONTRACT, DAY, ID_KEY, log, people


@pytest.mark.parametrize("second", [0, 1, 59])
def test_it_waits_out_the_last_minute_of_a_day(second: int) -> None:
    now = datetime(2026, 11, 26, 23, 59, second, 500_000, tzinfo=UTC)
    assert 60 - second <= seconds_to_wait(now) < SEND_SECONDS + 1.5


@pytest.mark.parametrize(("hour", "minute"), [(0, 0), (12, 30), (23, 58)])
def test_it_goes_on_at_once_by_day(hour: int, minute: int) -> None:
    assert seconds_to_wait(datetime(2026, 11, 26, hour, minute, 59, tzinfo=UTC)) == 0


@pytest.fixture
def shared_day(local_store: LocalStore) -> LocalStore:
    """A day on which others asked, too: about five customers, and seven times about somebody."""
    log(local_store, people(20))
    log(local_store, people(20), version="2")
    log(local_store, people(5, seed=6))
    log(local_store, people(5, seed=6), request="again")
    log(local_store, people(7, seed=7), known=False)
    log(local_store, people(9, seed=8), known=False, source="test")
    return local_store


OWN = {customer_key(key, ID_KEY) for key in people(20)[CONTRACT.key.name]}


def test_the_company_of_a_day_is_told(shared_day: LocalStore) -> None:
    found = company(logged_keys(shared_day, DAY, "1"), OWN)
    assert "the log has 5 others and 7 rows without a customer" in found
    assert "X-Churn-Source: test" in found and "run the demonstration again tomorrow (UTC)" in found
    assert company(logged_keys(shared_day, DAY, "2"), OWN) == ""


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (lambda shown, old: shown._quiet(old, people(20)), "ordinary traffic must start nothing"),
        (lambda shown, old: shown._retrain(old), "drift must start a training run"),
    ],
)
def test_a_step_that_fails_names_who_else_was_asked_about(
    shared_day: LocalStore, monkeypatch: pytest.MonkeyPatch, step: Any, said: str
) -> None:
    shown = Demo.__new__(Demo)
    shown.store, shown.day, shown.asked = shared_day, DAY, OWN
    decision = SimpleNamespace(triggered=False, run_id=None, explanation="no drift")
    found = SimpleNamespace(groups=(), explanation="other customers", retraining=decision)
    monkeypatch.setattr(Demo, "_drift", lambda self: found)
    monkeypatch.setattr(Demo, "_send", lambda self, old, ordinary: None)
    with pytest.raises(RunFailed, match=f"{said}, found: .* has 5 others and 7 rows without"):
        step(shown, SimpleNamespace(version="1"))
