"""Made-up history: any number of customers and months, a month at a time, by a rule that is known.

`include/history/leaving_rule.py` says who leaves when, `card_use.py` what a customer's columns are
and how they follow from the hidden mood. In short: most leavers decline for some months before they
go, about a quarter leave without a sign, and many decline and stay. As many join as leave. The bank
knows of an exit some days after it. The same seed gives the same history, and one that goes on
longer begins the same, where its first month is the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import NDArray

from include.customers.loading import create_table, load_customers
from include.customers.table import published_contract
from include.errors import ConfigurationError
from include.history.card_use import YEAR, Customers, new_customers
from include.history.leaving_rule import (
    AGAINST_WISH,
    Hazards,
    leaving,
    next_moods,
    season_of,
)
from include.history.loading import create_history_tables, write_exits, write_snapshot
from include.history.tables import KNOWN_AT, LEFT_ON, VOLUNTARY
from include.target import Target

FIRST_KEY = 900_000_001  # beyond the published and the sample customers' numbers
SETTLING_MONTHS = 12  # before the first: until as many decline as do in any later month
MONTHS_AHEAD = 36  # that the rule can be asked about: the longest gap and window
KNOWN_AFTER_DAYS = 3.0  # in the mean, beside the first


@dataclass(frozen=True)
class MadeUpMonth:
    """The customers who are there on a day, and who left since the snapshot before.

    `customers` has the key and the contract's features; `exits` the columns of `churner_exits`. An
    exit's `known_at` may lie after the last snapshot.
    """

    as_of: date
    customers: pd.DataFrame
    exits: pd.DataFrame
    hazards: Hazards

    def chances(self, target: Target) -> NDArray[np.float64]:
        """Each customer's chance to leave within the target's window, by the rule itself."""
        return self.hazards.chances(target)


@dataclass(frozen=True)
class Calendar:
    """The days of the snapshots, those before and after them, and when the rule changes."""

    months: int
    last: date
    rule_changes_in: int | None

    def day(self, place: int) -> date:
        """The day of a snapshot; 1 is the first one, and the year before has 0, -1, …"""
        return _date_before(self.last, months=self.months - place)

    def changed(self, place: int) -> bool:
        """Whether the second rule holds in the month after that snapshot."""
        return self.rule_changes_in is not None and place >= self.rule_changes_in

    def hazards(self, customers: Customers, place: int) -> Hazards:
        """What the rule says of these customers on that snapshot's day."""
        ahead = range(place, place + MONTHS_AHEAD)
        return Hazards(
            moods=customers.mood,
            risk=customers.risk,
            risk_after_change=customers.risk_after_change,
            month_ends=tuple((self.day(each + 1) - self.day(place)).days for each in ahead),
            seasons=tuple(season_of(self.day(each)) for each in ahead),
            changed=tuple(map(self.changed, ahead)),
        )


def made_up_months(
    customers: int, months: int, *, seed: int, last: date, rule_changes_in: int | None = None
) -> Iterator[MadeUpMonth]:
    """So many monthly snapshots, the last one on that day, of a bank with so many customers.

    `rule_changes_in` counts the snapshots from 1: from that one on others leave.
    ConfigurationError for numbers that cannot be.
    """
    _check_request(customers, months, rule_changes_in)
    calendar, rng = Calendar(months, last, rule_changes_in), np.random.default_rng(seed)
    first = 1 - SETTLING_MONTHS
    year = [calendar.day(place) for place in range(first - YEAR + 1, first + 1)]
    people = new_customers(customers, first_key=FIRST_KEY, year_of=year, newcomers=False, rng=rng)
    next_key = FIRST_KEY + customers
    exits = pd.DataFrame()
    for place in range(first, months + 1):
        if place >= 1:
            hazards = calendar.hazards(people, place)
            frame = people.frame(published_contract())
            yield MadeUpMonth(calendar.day(place), frame, exits, hazards)
        people, exits = _month_later(people, calendar, place, next_key, rng)
        next_key += len(exits)
        if place < 1:  # they are in no snapshot
            exits = exits.head(0)


def _month_later(
    people: Customers, calendar: Calendar, place: int, next_key: int, rng: np.random.Generator
) -> tuple[Customers, pd.DataFrame]:
    """Who is there a month after a snapshot, in the order of their keys, and who left."""
    hazards = calendar.hazards(people, place)
    chance = leaving(hazards.month_risk(0), hazards.seasons[0])
    by_wish = chance[np.arange(len(people)), people.mood]
    drawn = rng.random(len(people))
    leaves = drawn < by_wish + AGAINST_WISH
    exits = _exits(people.key[leaves], (drawn < by_wish)[leaves], calendar, place, rng)
    ends = calendar.day(place + 1)
    stay = people.those(~leaves)
    mood = next_moods(stay.mood, hazards.month_risk(0)[~leaves], rng)
    stay = stay.after_month(ends, mood, rng)
    if not len(exits):
        return stay, exits
    year = [calendar.day(each) for each in range(place + 2 - YEAR, place + 2)]
    joined = new_customers(len(exits), first_key=next_key, year_of=year, newcomers=True, rng=rng)
    return stay.and_also(joined), exits


def _exits(
    keys: NDArray[np.int64],
    voluntary: NDArray[np.bool_],
    calendar: Calendar,
    place: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Exits on any day after a snapshot up to the next one's."""
    begins, ends = (np.datetime64(calendar.day(each)) for each in (place, place + 1))
    left_on = begins + rng.integers(1, (ends - begins).astype(int) + 1, size=len(keys))
    waits = 1 + rng.poisson(rng.exponential(KNOWN_AFTER_DAYS, len(keys)))
    known_at = left_on.astype("datetime64[s]") + waits * 86_400
    return pd.DataFrame(
        {
            published_contract().key.name: keys,
            LEFT_ON: pd.Series(left_on.astype(object), dtype=object),
            KNOWN_AT: pd.Series(known_at).dt.tz_localize(UTC),
            VOLUNTARY: voluntary,
        }
    )


def _date_before(day: date, *, months: int) -> date:
    """The same day so many months before, or that month's last one."""
    before: date = (pd.Timestamp(day) - pd.DateOffset(months=months)).date()
    return before


def _check_request(customers: int, months: int, rule_changes_in: int | None) -> None:
    if customers < 1 or months < 1:
        raise ConfigurationError(
            f"history needs at least one customer and one month, found {customers} and {months}"
        )
    if rule_changes_in is not None and rule_changes_in < 1:
        raise ConfigurationError(
            f"the rule changes in a month counted from 1, found {rule_changes_in}"
        )


def load_made_up(
    engine: sa.Engine,
    customers: int,
    months: int,
    *,
    seed: int,
    last: date,
    rule_changes_in: int | None = None,
) -> None:
    """Fill snapshots, exits and the customer table with what the bank knows when `last` is over.

    Who is known to have left is Attrited, as the last snapshot before had them; the others are
    Existing as of that day. ConfigurationError for numbers that cannot be.
    """
    create_table(engine)
    create_history_tables(engine)
    now, before = _day_over(last), pd.DataFrame()
    for month in made_up_months(
        customers, months, seed=seed, last=last, rule_changes_in=rule_changes_in
    ):
        known = month.exits[month.exits[KNOWN_AT] <= now]
        if len(known):
            write_exits(engine, known)
            load_customers(engine, _leavers(before, known), now=now)
        before = month.customers
        if month.as_of == last:
            load_customers(engine, _labelled(before, leaves=False), now=now)
        # At last, for who counts the months takes them for whole.
        write_snapshot(engine, before, as_of=month.as_of, loaded_at=_day_over(month.as_of))


def _leavers(before: pd.DataFrame, exits: pd.DataFrame) -> pd.DataFrame:
    """Rows of the customer table for those who left since that snapshot."""
    contract = published_contract()
    moments = exits[[contract.key.name, KNOWN_AT]].rename(
        columns={KNOWN_AT: contract.labelled_at.name}
    )
    return _labelled(before.merge(moments, on=contract.key.name), leaves=True)


def _labelled(customers: pd.DataFrame, *, leaves: bool) -> pd.DataFrame:
    target = published_contract().target
    label = next(each for each in target.categories if (each == target.positive) == leaves)
    return customers.assign(**{target.name: label})


def _day_over(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), UTC)
