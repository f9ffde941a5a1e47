"""The demonstration's day: what it asks about in one step is of one, and who else was in it."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from include.customers.first_customers import MADE_UP, Source
from include.settings import Settings
from include.target import STATE, Target
from infra.airflow.dag_runs import RunFailed
from infra.local import demo
from infra.local.demo import SEND_SECONDS, Demo, seconds_to_wait
from tests.include.bank_days import DAY, people


@pytest.mark.parametrize("second", [0, 1, 59])
def test_it_waits_out_the_last_minute_of_a_day(second: int) -> None:
    now = datetime(2026, 11, 26, 23, 59, second, 500_000, tzinfo=UTC)
    assert 60 - second <= seconds_to_wait(now) < SEND_SECONDS + 1.5


@pytest.mark.parametrize(("hour", "minute"), [(0, 0), (12, 30), (23, 58)])
def test_it_goes_on_at_once_by_day(hour: int, minute: int) -> None:
    assert seconds_to_wait(datetime(2026, 11, 26, hour, minute, 59, tzinfo=UTC)) == 0


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (lambda shown, old: shown._quiet(old, people(20)), "ordinary traffic must start nothing"),
        (lambda shown, old: shown._retrain(old), "drift must start a training run"),
    ],
)
def test_a_step_that_fails_says_who_else_may_have_asked(
    monkeypatch: pytest.MonkeyPatch, step: Any, said: str
) -> None:
    shown = Demo.__new__(Demo)
    shown.day = DAY
    decision = SimpleNamespace(triggered=False, run_id=None, explanation="no drift")
    found = SimpleNamespace(groups=(), explanation="other customers", retraining=decision)
    monkeypatch.setattr(Demo, "_drift", lambda self: found)
    monkeypatch.setattr(Demo, "_send", lambda self, old, ordinary: None)
    with pytest.raises(RunFailed, match=f"{said}, found: .* run the demonstration again tomorrow"):
        step(shown, SimpleNamespace(version="1"))


@pytest.mark.parametrize(
    ("known", "target", "said"),
    [
        (None, STATE, "7 in the table churners of sqlite://.* did not load"),
        (MADE_UP, Target(kind="horizon", horizon_days=90), "version 1, which warns early"),
    ],
)
def test_it_does_nothing_to_customers_of_others_nor_where_nothing_can_be_shown(
    known: Source | None, target: Target, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, champion = Demo.__new__(Demo), SimpleNamespace(version="1", target=target)
    shown.engine, shown.settings = sa.create_engine("sqlite://"), Settings()
    monkeypatch.setattr(Demo, "_champion", lambda self: champion)
    monkeypatch.setattr(demo, "known_customers", lambda engine: (7, known))
    with pytest.raises(RunFailed, match=f"{said}.*Show it beside: CHURN_VAR_DIR"):
        shown.run()  # which has nothing else that it could ask or write
    asks = SimpleNamespace(promotion="manual")
    monkeypatch.setattr(demo, "load_params", lambda file: asks)
    with pytest.raises(RunFailed, match="only where promotion is auto"):
        shown.run()
