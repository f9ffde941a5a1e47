"""Realised performance: whose outcome counts, when, and what is said before it is known."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score
from sqlalchemy import Engine

from include.customers import contacts, loading
from include.customers.contacts import Mark
from include.customers.database import open_engine
from include.documents import parse_document
from include.drift import measure_outcomes
from include.drift.measure_outcomes import Outcomes, VersionWeek
from include.params import CampaignRules
from include.store import LocalStore
from tests.include.bank_days import CONTRACT, DAY, drift_run, log, people, score
from tests.include.handing_on import handed_on

RULES = {"outcome_days": 30, "outcome_weeks": 3}
PREDICTED = datetime(2026, 5, 4, 12, tzinfo=UTC)  # as `log` has it
SOON, RIPE = PREDICTED + timedelta(days=5, seconds=0.5), PREDICTED + timedelta(days=31)
LEFT, STAYED = CONTRACT.target.positive, "Existing Customer"
ASKED = people(400)
LEAVERS = int(CONTRACT.labels(ASKED).sum())


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    """A customer table that is empty."""
    engine = open_engine(sqlite_url)
    loading.create_table(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def measured(local_store: LocalStore, engine: Engine) -> Callable[..., Outcomes]:
    """Measures on the day of the predictions, at a moment."""

    def measure(now: datetime, **parts: Any) -> Outcomes:
        facts: dict[str, Any] = {"open_engine": lambda: engine, "now": now, **parts}
        run = drift_run(rules=RULES, store=local_store, **facts)
        key = handed_on(measure_outcomes.measure_outcomes(run)).outcomes
        return parse_document(Outcomes, run.store.read(key).data, key)

    return measure


def label(engine: Engine, frame: pd.DataFrame, at: datetime, **values: Any) -> None:
    """Labels arrive."""
    loading.load_customers(engine, frame.assign(**values), now=at)


def only(found: Outcomes) -> VersionWeek:
    (week,) = found.weeks
    return week


def test_realised_scores_are_those_of_all_once_everybody_is_ripe(
    measured: Callable[..., Outcomes], local_store: LocalStore, engine: Engine
) -> None:
    log(local_store, ASKED)
    label(engine, ASKED, SOON)
    week = only(measured(RIPE))
    left, answers = CONTRACT.labels(ASKED), score(ASKED)
    assert (week.version, week.week, week.customers) == ("1", "2026-W19", 400)
    assert (week.left, week.stayed, week.pending) == (int(left.sum()), int((1 - left).sum()), 0)
    assert week.complete and week.realised is not None and not week.realised.estimated
    assert week.realised.roc_auc == pytest.approx(roc_auc_score(left, answers))
    assert week.realised.brier == pytest.approx(brier_score_loss(left, answers))


@pytest.mark.parametrize(
    ("now", "labels", "left", "stayed"),
    [
        (SOON, ASKED, LEAVERS, 0),  # who stayed is no outcome before the days are over
        (RIPE, ASKED.assign(Attrition_Flag=None), 0, 0),  # labels that were taken back
        (RIPE, ASKED.head(0), 0, 0),
    ],
)
def test_before_an_outcome_is_known_there_is_an_estimate_that_says_so(
    measured: Callable[..., Outcomes],
    local_store: LocalStore,
    engine: Engine,
    now: datetime,
    labels: pd.DataFrame,
    left: int,
    stayed: int,
) -> None:
    log(local_store, ASKED)
    label(engine, labels, SOON)
    week = only(measured(now))
    assert (week.left, week.stayed, week.pending) == (left, stayed, 400 - left - stayed)
    assert not week.complete and week.estimate.estimated and week.estimate.rows == 400
    assert week.estimate.brier == pytest.approx(np.mean(score(ASKED) * (1 - score(ASKED))))
    assert week.realised is None if left == 0 else week.realised.roc_auc is None


def test_who_had_left_before_the_prediction_is_no_outcome_of_it(
    measured: Callable[..., Outcomes], local_store: LocalStore, engine: Engine
) -> None:
    log(local_store, ASKED)
    before = PREDICTED - timedelta(days=1, microseconds=1)
    label(engine, ASKED.head(100), before, Attrition_Flag=LEFT)
    label(engine, ASKED.tail(300), before, Attrition_Flag=STAYED)
    week = only(measured(RIPE))
    assert (week.customers, week.left, week.stayed) == (300, 0, 300)


def test_the_estimate_is_right_where_the_probabilities_are() -> None:
    random = np.random.default_rng(0)
    answers = np.round(random.beta(0.5, 2, 40_000), 3)  # with ties
    left = (random.random(40_000) < answers).astype(np.float64)
    expected = measure_outcomes.scores(answers, answers, estimated=True)
    found = measure_outcomes.scores(answers, left, estimated=False)
    assert expected.roc_auc == pytest.approx(found.roc_auc, abs=0.01)
    assert expected.brier == pytest.approx(found.brier, abs=0.005)
    assert found.calibration_error is not None and found.calibration_error < 0.01


def test_versions_and_weeks_are_apart_and_a_customer_counts_once_in_each(
    measured: Callable[..., Outcomes], local_store: LocalStore, engine: Engine
) -> None:
    log(local_store, ASKED.head(100), version="1")
    log(local_store, ASKED.head(100), version="1", request="again")
    log(local_store, ASKED.head(50), version="2")
    log(local_store, ASKED.head(30), version="1", day=DAY - timedelta(7))
    log(local_store, ASKED.head(20), version="1", day=DAY - timedelta(21))  # too long ago
    label(engine, ASKED, SOON)
    found = measured(RIPE)
    assert [(w.version, w.week, w.customers) for w in found.weeks] == [
        ("1", "2026-W18", 30),
        ("1", "2026-W19", 100),
        ("2", "2026-W19", 50),
    ]


def test_only_known_customers_of_customer_requests_count(
    measured: Callable[..., Outcomes], local_store: LocalStore, engine: Engine
) -> None:
    log(local_store, ASKED.head(100))
    log(local_store, ASKED.tail(100), source="what-if")
    log(local_store, ASKED.tail(60), known=False)
    label(engine, ASKED, SOON)
    found = measured(RIPE)
    assert only(found).customers == 100 and found.rows_without_customer == 60


def test_without_predictions_the_database_is_not_asked(
    measured: Callable[..., Outcomes],
) -> None:
    def refuse() -> Engine:
        raise AssertionError("nobody needs the labels")

    assert measured(RIPE, open_engine=refuse).weeks == ()


def test_an_object_that_is_no_log_is_named(
    measured: Callable[..., Outcomes], local_store: LocalStore
) -> None:
    local_store.write(f"predictions/date={DAY}/bad.parquet", b"")
    assert measured(RIPE).unreadable_objects == (f"predictions/date={DAY}/bad.parquet",)


def begin_campaign(engine: Engine, frame: pd.DataFrame, kind: Any, at: datetime) -> None:
    """Customers are put on a campaign's list, or kept aside from it."""
    contacts.create_contacts(engine)
    keys = [int(key) for key in frame["CLIENTNUM"]]
    contacts.mark(engine, [Mark(key, kind, campaign="c") for key in keys], now=at)


def test_the_answers_about_called_customers_are_not_judged(
    measured: Callable[..., Outcomes], local_store: LocalStore, engine: Engine
) -> None:
    log(local_store, ASKED)
    begin_campaign(engine, ASKED.head(100), "listed", PREDICTED + timedelta(days=1))
    begin_campaign(engine, ASKED.tail(100), "control", PREDICTED + timedelta(days=1))
    label(engine, ASKED, SOON)
    found = measured(RIPE)
    week, left = only(found), CONTRACT.labels(ASKED.tail(300))
    assert (week.customers, week.left, week.pending) == (300, int(left.sum()), 0)
    assert found.rows_of_called_customers == 100


@pytest.mark.parametrize(
    ("kind", "called_on", "left_on", "now", "judged"),
    [  # in days after the question, which asks about 30 days; a call's window has as many
        ("listed", -2, 5, 20, False),  # the window is open
        ("listed", 10, 5, 35, False),
        ("listed", 10, 5, 45, True),  # closed; left before the call
        ("listed", 10, 25, 45, False),  # closed; left after the call
        ("listed", 10, None, 80, False),  # closed; stayed after the call
        ("listed", -2, 29, 45, False),  # the call had a part in the question's days
        ("listed", -35, 5, 45, True),  # closed before the question
        ("listed", 40, None, 80, True),  # had stayed for 30 days before the call
        ("listed", 40, 50, 80, False),  # left later, by a label from within the window
        ("listed", 40, 75, 80, True),
        ("called", 10, 25, 45, False),  # outside any campaign
        ("control", 10, 25, 45, True),
        ("snoozed", 10, None, 45, True),
    ],
)
def test_a_call_hides_what_came_of_it(
    measured: Callable[..., Outcomes],
    local_store: LocalStore,
    engine: Engine,
    kind: Any,
    called_on: float,
    left_on: float | None,
    now: float,
    judged: bool,
) -> None:
    one, rules = ASKED.head(1), CampaignRules(outcome_days=30)
    log(local_store, one)
    begin_campaign(engine, one, kind, PREDICTED + timedelta(days=called_on))
    at = PREDICTED + timedelta(days=-50 if left_on is None else left_on)
    label(engine, one, at, Attrition_Flag=STAYED if left_on is None else LEFT)
    found = measured(PREDICTED + timedelta(days=now), campaigns=rules)
    assert sum(w.stayed if left_on is None else w.left for w in found.weeks) == judged
    assert found.rows_of_called_customers == (not judged)


def test_called_customers_are_judged_where_the_parameters_say_so(
    measured: Callable[..., Outcomes], local_store: LocalStore, engine: Engine
) -> None:
    log(local_store, ASKED)
    begin_campaign(engine, ASKED, "listed", PREDICTED + timedelta(days=1))
    label(engine, ASKED, SOON)
    used = CampaignRules(listed_customers="used")
    assert only(measured(RIPE, campaigns=used)).customers == 400
    assert measured(RIPE).weeks == ()


def test_of_a_customers_calls_each_has_its_window(
    measured: Callable[..., Outcomes], local_store: LocalStore, engine: Engine
) -> None:
    log(local_store, ASKED.head(20))
    for days, count in ((-80, 20), (-60, 10), (5, 10)):  # closed, closed, with a part in it
        begin_campaign(engine, ASKED.head(count), "listed", PREDICTED + timedelta(days=days))
    label(engine, ASKED, PREDICTED - timedelta(days=100), Attrition_Flag=STAYED)
    found = measured(PREDICTED + timedelta(days=40), campaigns=CampaignRules(outcome_days=30))
    assert only(found).stayed == found.rows_of_called_customers == 10
