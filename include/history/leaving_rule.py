"""When made-up customers leave: the rule behind made-up history, which knows each one's chance.

A customer has a mood that no table holds: content, or in the first, second, … month of a decline.
In a month a content one falls into decline, or leaves at once, by chances in proportion to a risk
of their own; one in decline leaves the more likely the longer it lasts, or becomes content again.
A few go against their wish (`voluntary` is false), whatever their mood. Within a month every day is
as likely.

The risk is the product of a chance that no column tells (lognormal) and of habits that columns
show: few products, nothing owed, few transactions, many contacts. From the month on in which the
rule changes, a rival courts those with a high limit: of them the busiest are at risk, and the idle
stay, as in `include/customers/sample.py`. More leave in January and February, after the yearly fee.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from include.customers.sample import RIVAL_LIMIT
from include.target import Target

Floats = NDArray[np.float64]
Moods = NDArray[np.int8]

CONTENT = 0
LEAVES_IN_DECLINE = np.array([0.04, 0.06, 0.08, 0.10, 0.12, 0.14])  # a month; the last one stays
RECOVERS = np.array([0.25, 0.20, 0.16, 0.13, 0.12, 0.12])  # of those who have not left
LAST_MOOD = len(LEAVES_IN_DECLINE)
BEGINS = 0.0380  # content customers of risk 1 who fall into decline, a month
LEAVES_AT_ONCE = 0.0042
AGAINST_WISH = 0.0004  # of all
LARGEST_RISK = 15.0
AFTER_THE_FEE = 1.3  # as many as else in these calendar months
FEE_MONTHS = (1, 2)

HIDDEN_SD = 0.3  # of the logarithm of what no column tells
TYPICAL_RATE = 5.5  # transactions a month
TYPICAL_PRODUCTS, TYPICAL_CONTACTS = 4.0, 2.4


@dataclass(frozen=True)
class Habits:
    """What the risk depends on, for each customer; none of it ever changes."""

    products: Floats
    owes_nothing: NDArray[np.bool_]
    transactions: Floats  # a month
    contacts: Floats  # a year
    limit: Floats
    hidden: Floats  # standard normal

    def risk(self) -> Floats:
        """Each one's risk under the first rule; some 1 in the mean."""
        return self._risk(
            -0.4 * (self.products - TYPICAL_PRODUCTS)
            + 0.8 * self.owes_nothing
            - 0.7 * np.log(self.transactions / TYPICAL_RATE)
            + 0.3 * (self.contacts - TYPICAL_CONTACTS)
            - 0.58
        )

    def risk_after_change(self) -> Floats:
        """The same under the second: a high limit and much use of it."""
        courted = 2.5 * np.log(self.transactions / TYPICAL_RATE) - 0.1
        return np.where(self.limit >= RIVAL_LIMIT, self._risk(courted), self.risk())

    def _risk(self, logarithm: Floats) -> Floats:
        return np.minimum(np.exp(logarithm + HIDDEN_SD * self.hidden), LARGEST_RISK)


@dataclass(frozen=True)
class Hazards:
    """Each customer's mood and risks at a snapshot, and the months that follow it.

    `month_ends` are days after the snapshot; `seasons` and `changed` say of each such month how
    many times as many leave as else, and whether the second rule holds.
    """

    moods: Moods
    risk: Floats
    risk_after_change: Floats
    month_ends: tuple[int, ...]
    seasons: tuple[float, ...]
    changed: tuple[bool, ...]

    def chances(self, target: Target) -> Floats:
        """Each one's chance to leave, of their own wish, within the target's window.

        It knows the mood and the hidden part of the risk: no model can see as much.
        """
        return self.left_by(target.last_day) - self.left_by(target.gap_days)

    def left_by(self, days: int) -> Floats:
        """Each one's chance to have left, of their own wish, so many days after the snapshot."""
        if days > self.month_ends[-1]:
            raise ValueError(
                f"the rule looks {self.month_ends[-1]} days ahead at most, found {days}"
            )
        moods = np.eye(LAST_MOOD + 1)[self.moods]  # customers × moods: the chance of each
        left = np.zeros(len(moods))
        begins = 0
        for place, ends in enumerate(self.month_ends):
            part = min(1.0, (days - begins) / (ends - begins))
            if part <= 0:
                break
            leave = leaving(self.month_risk(place), self.seasons[place])
            left += part * (moods * leave).sum(axis=1)
            moods = self._next_moods(moods * (1 - leave - AGAINST_WISH), place)
            begins = ends
        return left

    def month_risk(self, place: int) -> Floats:
        """The risks that hold in that month after the snapshot, counted from 0."""
        return self.risk_after_change if self.changed[place] else self.risk

    def _next_moods(self, moods: Floats, place: int) -> Floats:
        begin = falling(self.month_risk(place))
        after = np.zeros_like(moods)
        after[:, CONTENT] = moods[:, CONTENT] * (1 - begin) + moods[:, 1:] @ RECOVERS
        after[:, 1] = moods[:, CONTENT] * begin
        after[:, 2:] = moods[:, 1:-1] * (1 - RECOVERS[:-1])
        after[:, -1] += moods[:, -1] * (1 - RECOVERS[-1])
        return after


def leaving(risk: Floats, season: float) -> Floats:
    """The chance to leave within a month by one's own wish: customers × moods."""
    at_once = (LEAVES_AT_ONCE * risk)[:, None]
    in_decline = np.broadcast_to(LEAVES_IN_DECLINE, (len(risk), LAST_MOOD))
    return season * np.hstack([at_once, in_decline])


def falling(risk: Floats) -> Floats:
    """The chance of a content customer, who has not left, to begin the next month in decline."""
    return np.minimum(BEGINS * risk, 0.5)


def next_moods(moods: Moods, risk: Floats, rng: np.random.Generator) -> Moods:
    """The moods a month later, of customers who have not left."""
    chance = rng.random(len(moods))
    recovers = np.concatenate([[0.0], RECOVERS])[moods]
    longer = np.where(chance < recovers, CONTENT, np.minimum(moods + 1, LAST_MOOD))
    return np.where(moods == CONTENT, chance < falling(risk), longer).astype(np.int8)


def season_of(month_begins: date) -> float:
    """How many times as many leave in the month after that day as in another."""
    following = month_begins.month % 12 + 1 if month_begins.day > 15 else month_begins.month
    return AFTER_THE_FEE if following in FEE_MONTHS else 1.0
