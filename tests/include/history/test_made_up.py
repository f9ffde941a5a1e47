from datetime import UTC, date, datetime
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn.metrics import roc_auc_score

from include.customers.sample import LARGEST_BALANCE, RIVAL_LIMIT
from include.customers.table import churners_table, published_contract
from include.errors import ConfigurationError
from include.history.leaving_rule import CONTENT
from include.history.made_up import MadeUpMonth, load_made_up, made_up_months
from include.history.tables import exits_table, snapshots_table
from include.target import Target

KEY = "CLIENTNUM"
CUSTOMERS, MONTHS, LAST = 4000, 9, date(2026, 10, 28)
NINETY = Target(kind="horizon", gap_days=14, horizon_days=90)


@cache
def history(rule_changes_in: int | None = None, *, seed: int = 7) -> tuple[MadeUpMonth, ...]:
    changes = {"rule_changes_in": rule_changes_in}
    return tuple(made_up_months(CUSTOMERS, MONTHS, seed=seed, last=LAST, **changes))


def exits(months: tuple[MadeUpMonth, ...]) -> pd.DataFrame:
    return pd.concat([month.exits for month in months])


def leaves(month: MadeUpMonth, left: pd.DataFrame, target: Target = NINETY) -> "pd.Series[bool]":
    """Whether each of the month's customers left within the window, of their own wish."""
    wished = left[left["voluntary"]].set_index(KEY)["left_on"]
    days = (pd.to_datetime(month.customers[KEY].map(wished)) - pd.Timestamp(month.as_of)).dt.days
    return (days > target.gap_days) & (days <= target.last_day)


def test_the_seed_gives_the_same_history() -> None:
    again = made_up_months(CUSTOMERS, MONTHS, seed=7, last=LAST)
    for month, other in zip(history(), again, strict=True):
        pd.testing.assert_frame_equal(month.customers, other.customers)
        pd.testing.assert_frame_equal(month.exits, other.exits)
    other_seed = next(made_up_months(CUSTOMERS, MONTHS, seed=8, last=LAST))
    assert not other_seed.customers.equals(history()[0].customers)


def test_a_longer_history_begins_the_same() -> None:
    longer = made_up_months(CUSTOMERS, MONTHS + 1, seed=7, last=date(2026, 11, 28))
    for month, other in zip(history()[:3], longer, strict=False):
        assert month.as_of == other.as_of
        pd.testing.assert_frame_equal(month.customers, other.customers)
        pd.testing.assert_frame_equal(month.exits, other.exits)


def test_days_are_a_month_apart_or_a_shorter_months_last_one() -> None:
    days = [month.as_of for month in made_up_months(5, 4, seed=1, last=date(2026, 5, 31))]
    assert days == [date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30), date(2026, 5, 31)]


def test_customers_keep_the_contract_and_its_relations() -> None:
    for month in history():
        frame = month.customers
        assert published_contract().check_frame(frame).faults.empty
        assert tuple(frame.columns) == (KEY, *published_contract().feature_names)
        owed, limit = frame["Total_Revolving_Bal"], frame["Credit_Limit"]
        assert (owed <= np.minimum(limit, LARGEST_BALANCE)).all()
        assert np.allclose(frame["Avg_Open_To_Buy"], limit - owed, atol=0.051)
        assert np.allclose(frame["Avg_Utilization_Ratio"], owed / limit, atol=0.00051)
        assert (frame["Total_Trans_Ct"] > 0).eq(frame["Months_Inactive_12_mon"] < 12).all()
        assert (frame["Months_on_book"] >= 12).all()


def test_as_many_join_as_leave_and_nobody_comes_back() -> None:
    for before, after in pairwise(history()):
        there, then = (set(month.customers[KEY]) for month in (before, after))
        assert there - then == set(after.exits[KEY])
        assert len(after.customers) == CUSTOMERS and after.customers[KEY].is_monotonic_increasing
        left_on = after.exits["left_on"]
        assert ((left_on > before.as_of) & (left_on <= after.as_of)).all()
        assert not then & set(exits(history()[: history().index(after) + 1])[KEY])


def test_the_bank_knows_of_an_exit_some_days_after_it() -> None:
    left = exits(history())
    waits = (left["known_at"] - pd.to_datetime(left["left_on"], utc=True)).dt.days
    assert waits.min() >= 1 and waits.max() > 7
    assert 0.9 < left["voluntary"].mean() < 1


def test_the_rules_chances_come_true() -> None:
    expected, found, varied = 0.0, 0, 0.0
    left, windows = exits(history()), Target(kind="horizon", gap_days=14, horizon_days=40)
    for month in history()[0:7:2]:  # whose windows overlap nobody else's
        chances = month.chances(windows)
        expected += chances.sum()
        varied += (chances * (1 - chances)).sum()
        found += int(leaves(month, left, windows).sum())
    assert abs(found - expected) < 4 * varied**0.5


def test_the_rule_tells_who_leaves_and_not_all_of_it() -> None:
    left = exits(history())
    months = history()[:6]
    aucs = [roc_auc_score(leaves(month, left), month.chances(NINETY)) for month in months]
    assert 0.8 < np.mean(aucs) < 0.9


def test_about_a_quarter_leaves_without_a_sign() -> None:
    sudden = [
        before.hazards.moods[before.customers[KEY].isin(after.exits[KEY])] == CONTENT
        for before, after in pairwise(history())
    ]
    assert 0.15 < np.concatenate(sudden).mean() < 0.35


def test_a_decline_shows_and_many_a_content_customer_looks_the_same() -> None:
    month = history()[4]
    growth, declining = month.customers["Total_Ct_Chng_Q4_Q1"], month.hazards.moods > 2
    seen = growth[declining].median()
    assert seen < 0.7 * growth[~declining].median()
    assert (~declining)[growth < seen].mean() > 0.3


def test_from_the_changed_month_on_the_busiest_with_a_high_limit_leave() -> None:
    kept, changed = history(), history(3)
    pd.testing.assert_frame_equal(kept[2].customers, changed[2].customers)
    assert not kept[3].exits.equals(changed[3].exits)
    frame = changed[2].customers
    rivals = (frame["Credit_Limit"] >= RIVAL_LIMIT) & (changed[2].hazards.moods == CONTENT)
    busy = frame["Total_Trans_Ct"][rivals].rank()
    far = Target(kind="horizon", gap_days=60, horizon_days=300)
    assert busy.corr(pd.Series(changed[2].chances(far))[rivals].rank()) > 0.5
    assert busy.corr(pd.Series(kept[2].chances(far))[rivals].rank()) < 0


def test_more_leave_in_january_and_february() -> None:
    months = list(made_up_months(CUSTOMERS, 13, seed=1, last=date(2026, 12, 31)))
    of_month = pd.to_datetime(exits(tuple(months))["left_on"]).dt.month.value_counts()
    assert of_month[[1, 2]].mean() > 1.1 * of_month[range(3, 13)].mean()


def test_the_rule_looks_no_further_than_the_longest_window() -> None:
    longest = Target(kind="horizon", gap_days=365, horizon_days=730)
    assert history()[0].chances(longest).mean() > 2 * history()[0].chances(NINETY).mean()
    with pytest.raises(ValueError, match="days ahead at most, found 2000"):
        history()[0].hazards.left_by(2000)


@pytest.mark.parametrize(
    ("customers", "months", "changes", "message"),
    [
        (0, 3, None, "at least one customer and one month, found 0 and 3"),
        (5, 0, None, "at least one customer and one month, found 5 and 0"),
        (5, 3, 0, "a month counted from 1, found 0"),
    ],
)
def test_numbers_that_cannot_be(
    customers: int, months: int, changes: int | None, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        next(made_up_months(customers, months, seed=1, last=LAST, rule_changes_in=changes))


def test_the_tables_hold_what_the_bank_knows_when_the_last_day_is_over(engine: sa.Engine) -> None:
    load_made_up(engine, 1000, 5, seed=3, last=LAST)
    months = tuple(made_up_months(1000, 5, seed=3, last=LAST))
    left = exits(months).set_index(KEY)
    known = left[left["known_at"] <= datetime(2026, 10, 29, tzinfo=UTC)]
    assert len(known) < len(left)
    with engine.connect() as connection:
        customers = pd.read_sql(sa.select(churners_table()), connection, index_col=KEY)
        rows = connection.execute(sa.select(exits_table())).all()
        counted = sa.select(snapshots_table().c.as_of, sa.func.count()).group_by("as_of")
        found = {day: count for day, count in connection.execute(counted)}
    assert found == {month.as_of: 1000 for month in months}
    assert {(row.CLIENTNUM, row.left_on) for row in rows} == set(known["left_on"].items())
    attrited = customers[customers["Attrition_Flag"] == "Attrited Customer"]
    assert set(attrited.index) == set(known.index)
    assert set(customers.index) - set(known.index) == set(months[-1].customers[KEY])
    moments = known["known_at"].dt.tz_localize(None).reindex(attrited.index)
    assert (pd.to_datetime(attrited["labelled_at"]) == moments).all()
    gone, seen = months[-1].exits[KEY], months[-2].customers.set_index(KEY)
    last_known = attrited[attrited.index.isin(gone)]["Total_Trans_Ct"]
    assert len(last_known) and last_known.equals(seen["Total_Trans_Ct"].loc[last_known.index])
