"""How made-up customers use their cards month by month, and the columns that follow from it.

Who they are, how often they use the card and what for is drawn from `include/customers/sample.py`.
A month has no transaction at all where the customer pauses; else their number is Poisson about the
customer's habit × a level that wanders slowly × the season × chance. In decline the use falls by a
factor a month, pauses and contacts grow, the balance is paid off and products are given up: as a
tendency only, and the like happens to content customers, too. What the bank sees of it are the
contract's columns: sums, counts and quotients of the last twelve months.
"""

from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.contract import Contract
from include.customers.sample import LARGEST_BALANCE, any_values, sample_customers
from include.customers.table import published_contract
from include.history.leaving_rule import CONTENT, Habits, Moods

YEAR = 12
QUARTER = 3
HABIT_MONTHS = 4.0  # by so much a customer's counts of a year are drawn towards the mean
LEVEL_KEEPS = 0.9  # of a level's distance from the habit, a month
LEVEL_SD = 0.08  # of the logarithm, a month
CHANCE_SHAPE = 12.0  # of the gamma number about each month's use
AMOUNT_SD = 0.3  # of a month's mean amount, as a logarithm
LEAST_USE = 0.1  # that a decline leaves
PAUSES_IN_DECLINE = 0.04  # more, for each month of it
CONTACTS_IN_DECLINE = 1.5  # times as many
GIVES_UP_PRODUCT, TAKES_PRODUCT = 0.05, 0.004  # a month, in decline and else
OWED_KEEPS_IN_DECLINE = 0.85  # a month
SEASONS = np.array([0.9, 0.9, 1, 1, 1, 1.05, 1, 0.95, 1, 1, 1.1, 1.25])  # of use, from January

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Customers:
    """Columns of the customers who are with the bank, ascending by key; months are rows.

    `counts`, `amounts` and `contacts` hold the last twelve months, the latest one last.
    """

    key: NDArray[np.int64]
    age_months: NDArray[np.int32]
    book_months: NDArray[np.int32]
    dependents: NDArray[np.int8]
    categories: NDArray[np.int8]  # ordinals: category columns × customers
    products: NDArray[np.int8]
    limit: Floats
    owed: Floats  # as a share of what may be owed
    habit_owed: Floats
    rate: Floats  # transactions in a month without pause
    ticket: Floats  # dollars a transaction
    pauses: Floats
    contact_rate: Floats  # a month
    fall: Floats  # what a month of decline leaves of the use
    level: Floats  # logarithm
    mood: Moods
    risk: Floats
    risk_after_change: Floats
    counts: NDArray[np.int16]
    amounts: NDArray[np.float32]
    contacts: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.key)

    def those(self, chosen: NDArray[np.bool_]) -> Self:
        """Only the chosen ones."""
        parts = {field.name: getattr(self, field.name)[..., chosen] for field in fields(self)}
        return replace(self, **parts)

    def and_also(self, others: Self) -> Self:
        """These and, behind them, the others."""
        both = {
            field.name: np.concatenate(
                [getattr(self, field.name), getattr(others, field.name)], axis=-1
            )
            for field in fields(self)
        }
        return replace(self, **both)

    def after_month(self, month_ends: date, mood: Moods, rng: np.random.Generator) -> Self:
        """The same customers a month later, in their new moods."""
        declining = mood != CONTENT
        level = LEVEL_KEEPS * self.level + LEVEL_SD * rng.standard_normal(len(self))
        use = np.exp(level) * np.maximum(self.fall**mood, LEAST_USE) * season(month_ends)
        pauses = rng.random(len(self)) < self.pauses + PAUSES_IN_DECLINE * mood
        chance = rng.gamma(CHANCE_SHAPE, 1 / CHANCE_SHAPE, len(self))
        counts = rng.poisson(np.where(pauses, 0.0, self.rate * use * chance)).astype(np.int16)
        price = np.exp(AMOUNT_SD * rng.standard_normal(len(self)))
        amounts = (counts * self.ticket * price).astype(np.float32)
        talkative = np.where(declining, CONTACTS_IN_DECLINE, 1.0)
        contacts = rng.poisson(self.contact_rate * talkative).astype(np.int8)
        return replace(
            self,
            age_months=self.age_months + 1,
            book_months=self.book_months + 1,
            mood=mood,
            level=level,
            owed=self._owed_next(declining, rng),
            products=self._products_next(declining, rng),
            counts=np.concatenate([self.counts[1:], counts[None]]),
            amounts=np.concatenate([self.amounts[1:], amounts[None]]),
            contacts=np.concatenate([self.contacts[1:], contacts[None]]),
        )

    def _owed_next(self, declining: NDArray[np.bool_], rng: np.random.Generator) -> Floats:
        towards = self.owed + 0.3 * (self.habit_owed - self.owed)
        towards += 0.08 * (self.habit_owed > 0) * rng.standard_normal(len(self))
        return np.clip(np.where(declining, OWED_KEEPS_IN_DECLINE * self.owed, towards), 0, 1)

    def _products_next(
        self, declining: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.int8]:
        chance = rng.random(len(self))
        fewer = chance < np.where(declining, GIVES_UP_PRODUCT, TAKES_PRODUCT)
        more = ~fewer & (chance > 1 - TAKES_PRODUCT)
        return np.clip(self.products - fewer + more, 1, 6).astype(np.int8)

    def frame(self, contract: Contract) -> pd.DataFrame:
        """The key and the contract's features, as the bank's table would hold them."""
        owed = np.floor(self.owed * np.minimum(self.limit, LARGEST_BALANCE))
        numbers = {
            "Customer_Age": self.age_months // YEAR,
            "Dependent_count": self.dependents,
            "Months_on_book": self.book_months,
            "Total_Relationship_Count": self.products,
            "Months_Inactive_12_mon": (self.counts == 0).sum(axis=0),
            "Contacts_Count_12_mon": self.contacts.sum(axis=0),
            "Credit_Limit": self.limit,
            "Total_Revolving_Bal": owed,
            "Avg_Open_To_Buy": np.round(self.limit - owed, 1),
            "Total_Amt_Chng_Q4_Q1": last_over_first(self.amounts),
            "Total_Trans_Amt": np.round(self.amounts.sum(axis=0, dtype=np.float64)),
            "Total_Trans_Ct": self.counts.sum(axis=0),
            "Total_Ct_Chng_Q4_Q1": last_over_first(self.counts),
            "Avg_Utilization_Ratio": np.round(owed / self.limit, 3),
        }
        ordinals = iter(self.categories)
        columns = {contract.key.name: pd.Series(self.key)}
        for column in contract.features:
            if column.categories:
                names = pd.array(list(column.categories), dtype="str")
                columns[column.name] = pd.Series(names.take(next(ordinals).astype(np.int64)))
            else:
                kind = np.int64 if column.type == "integer" else np.float64
                values = numbers.get(column.name)
                values = any_values(column, self.key) if values is None else values
                columns[column.name] = pd.Series(values.astype(kind))
        return pd.DataFrame(columns)


def last_over_first(months: "NDArray[np.int16] | NDArray[np.float32]") -> Floats:
    """The last quarter over the first one of the year; 0 where the first has nothing."""
    first = months[:QUARTER].sum(axis=0, dtype=np.float64)
    last = months[-QUARTER:].sum(axis=0, dtype=np.float64)
    quotient: Floats = np.minimum(last / np.where(first > 0, first, np.inf), 1000.0)
    return quotient.round(3)


def season(month_ends: date) -> float:
    """How much cards are used in the month before that day, beside a mean month."""
    before = month_ends.month - 1 if month_ends.day > 15 else (month_ends.month - 2) % YEAR
    return float(SEASONS[before] / SEASONS.mean())


def new_customers(
    rows: int, *, first_key: int, year_of: list[date], newcomers: bool, rng: np.random.Generator
) -> Customers:
    """Content customers with a year of card use, which ends with the last of these twelve days.

    Newcomers have been there for just that year: the bank's table begins to hold them after it.
    """
    seed = int(rng.integers(2**31))
    drawn = sample_customers(rows, seed=seed, first_key=first_key, attrited_share=0.0)
    people = _drawn(drawn, newcomers=newcomers, rng=rng)
    for month_ends in year_of:
        people = people.after_month(month_ends, people.mood, rng)
    return people


def _drawn(drawn: pd.DataFrame, *, newcomers: bool, rng: np.random.Generator) -> Customers:
    """Sample customers as they were a year before, with the habits that their columns suggest."""
    contract, rows = published_contract(), len(drawn)
    column = {name: drawn[name].to_numpy() for name in drawn if drawn[name].dtype.kind in "if"}
    limit = column["Credit_Limit"].astype(np.float64)
    owed = column["Total_Revolving_Bal"] / np.minimum(limit, LARGEST_BALANCE)
    inactive = _habit(column["Months_Inactive_12_mon"])
    contacts = _habit(column["Contacts_Count_12_mon"])
    count = column["Total_Trans_Ct"].astype(np.float64)
    habits = Habits(
        products=column["Total_Relationship_Count"].astype(np.float64),
        owes_nothing=owed == 0,
        transactions=count / YEAR,
        contacts=contacts,
        limit=limit,
        hidden=rng.standard_normal(rows),
    )
    book = np.full(rows, 0) if newcomers else column["Months_on_book"] - YEAR
    ordinals = [
        drawn[each.name].map(each.ordinals) for each in contract.features if each.categories
    ]
    return Customers(
        key=column[contract.key.name],
        age_months=(column["Customer_Age"] * YEAR + rng.integers(YEAR, size=rows)).astype(np.int32),
        book_months=book.astype(np.int32),
        dependents=column["Dependent_count"].astype(np.int8),
        categories=np.array(ordinals, dtype=np.int8),
        products=column["Total_Relationship_Count"].astype(np.int8),
        limit=limit,
        owed=owed,
        habit_owed=owed,
        rate=count / (YEAR - inactive),
        ticket=column["Total_Trans_Amt"] / count,
        pauses=inactive / YEAR,
        contact_rate=contacts / YEAR,
        fall=rng.uniform(0.4, 0.85, rows),
        level=np.zeros(rows),
        mood=np.zeros(rows, dtype=np.int8),
        risk=habits.risk(),
        risk_after_change=habits.risk_after_change(),
        counts=np.zeros((YEAR, rows), dtype=np.int16),
        amounts=np.zeros((YEAR, rows), dtype=np.float32),
        contacts=np.zeros((YEAR, rows), dtype=np.int8),
    )


def _habit(counted: NDArray[np.int64]) -> Floats:
    """What a year's count says of the habit, drawn towards the mean of all."""
    habit: Floats = (YEAR * counted + HABIT_MONTHS * counted.mean()) / (YEAR + HABIT_MONTHS)
    return habit
