"""Sample customers of the project's own making: any number of them, with drift on request.

Each class (existing, attrited) is a mixture of a few segments, and each segment a Gaussian copula:
correlated normal numbers, read through tables of cumulative shares or cut at category frequencies.
`config/sample.json` holds these statistics and no customer; `research/fit_sample.py` derives them
from the published data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.util import hash_array
from pydantic import BaseModel, ConfigDict
from scipy.special import ndtr

from include.contract import Column, Contract
from include.customers.table import published_contract
from include.errors import ConfigurationError

STATISTICS_FILE = Path(__file__).parent.parent / "config" / "sample.json"
FIRST_KEY = 700_000_001  # the published customers' numbers begin at 708,082,083
LARGEST_SHIFT_SD = 10.0
LARGEST_VALUE = 1e6  # of a column without a limit

# The published balances stop here. A segment's table holds the balance as a share of the smaller of
# this and the credit limit, so that no balance exceeds its limit and the two masses, nothing and
# everything, stay where they are.
LARGEST_BALANCE = 2517.0
LOWEST_LIMIT = 1438.3  # the only published limit that is not a whole number
BALANCE_SHARE = "Balance_Share"

DECIMALS = {"Total_Amt_Chng_Q4_Q1": 3, "Total_Ct_Chng_Q4_Q1": 3, BALANCE_SHARE: 4}  # others: 0
WHOLE_DOLLARS = {"Total_Revolving_Bal", "Total_Trans_Amt"}
DERIVED = ("Avg_Open_To_Buy", "Avg_Utilization_Ratio")
SHIFTABLE = (
    "Customer_Age",
    "Dependent_count",
    "Months_on_book",
    "Total_Relationship_Count",
    "Months_Inactive_12_mon",
    "Contacts_Count_12_mon",
    "Credit_Limit",  # before the balance, which it limits
    "Total_Revolving_Bal",
    "Total_Amt_Chng_Q4_Q1",
    "Total_Trans_Amt",
    "Total_Trans_Ct",
    "Total_Ct_Chng_Q4_Q1",
)

# The changed rule: of customers with at least this limit, the busiest leave and the idle stay.
RIVAL_LIMIT = 10_000.0
RIVAL_NOISE_SD = 0.1  # of the logarithm of the number of transactions

Floats = NDArray[np.float64]
Customers = dict[str, Floats]  # a column's values, or a category column's ordinals in the contract


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Table(_Frozen):
    """A numeric column's cumulative shares: `share[i]` of customers hold `at_most[i]` or less."""

    at_most: tuple[float, ...]
    share: tuple[float, ...]

    def values(self, uniform: Floats, *, decimals: int) -> Floats:
        """Uniform numbers as the column's values, on its grid of 10^-decimals."""
        step = 10.0**decimals
        return np.ceil(np.interp(uniform, self.share, self.at_most) * step - 1e-6) / step


class Segment(_Frozen):
    """One part of a class: its share of it, its margins and its latent correlations.

    A column's row of `correlations` has one number for each column before it.
    """

    attrited: bool
    share: float
    numeric: dict[str, Table]
    categories: dict[str, dict[str, float]]
    correlations: dict[str, tuple[float, ...]]

    def draw(self, rows: int, *, contract: Contract, rng: np.random.Generator) -> Customers:
        """That many customers of the segment."""
        correlations: Floats = np.eye(len(self.correlations))
        for place, row in enumerate(self.correlations.values()):
            correlations[place, :place] = row  # cholesky reads no more than this triangle
        mixing = np.linalg.cholesky(correlations).T
        latent = rng.standard_normal((rows, len(correlations))) @ mixing
        uniform = dict(zip(self.correlations, ndtr(latent).T, strict=True))
        drawn = {
            name: table.values(uniform[name], decimals=DECIMALS.get(name, 0))
            for name, table in self.numeric.items()
        }
        for name, frequencies in self.categories.items():
            ordinals = np.array([contract.column(name).ordinals[key] for key in frequencies])
            cuts = np.cumsum(list(frequencies.values()))[:-1]
            drawn[name] = ordinals[np.searchsorted(cuts, uniform[name], side="right")]
        _make_room(drawn[BALANCE_SHARE], drawn["Credit_Limit"], rng)
        return drawn


class Statistics(_Frozen):
    """What `sample.json` holds; the standard deviations are those of the whole population."""

    attrited_share: float
    standard_deviations: dict[str, float]
    segments: tuple[Segment, ...]

    def segment_shares(self, attrited_share: float) -> Floats:
        """Each segment's share of a population with that share of attrited customers."""
        attrited = np.array([segment.attrited for segment in self.segments])
        shares = np.array([segment.share for segment in self.segments])
        shares[attrited] *= attrited_share / shares[attrited].sum()
        shares[~attrited] *= (1 - attrited_share) / shares[~attrited].sum()
        return shares


@dataclass(frozen=True)
class Drift:
    """How a sample differs from the published customers; ConfigurationError if it cannot.

    `shift_sd` moves each of `columns` by that many of the undrifted population's standard
    deviations, and leaves the labels; a value stops at the contract's range, and limit and balance
    stop at each other. With `changed_rule`, as many customers leave as before, but of those with a
    limit of 10,000 dollars or more it is the busiest who leave.
    """

    shift_sd: float = 0.0
    columns: tuple[str, ...] = ()
    changed_rule: bool = False

    def __post_init__(self) -> None:
        if not abs(self.shift_sd) <= LARGEST_SHIFT_SD:  # NaN too
            raise ConfigurationError(
                f"shift_sd must be from -{LARGEST_SHIFT_SD:g} to {LARGEST_SHIFT_SD:g}"
                f" standard deviations, found {self.shift_sd}"
            )
        unknown = [name for name in self.columns if name not in SHIFTABLE]
        if unknown:
            raise ConfigurationError(
                f"drift columns must be among {', '.join(SHIFTABLE)}, found {', '.join(unknown)}"
                f" ({' and '.join(DERIVED)} follow from limit and balance: shift those)"
            )
        if (self.shift_sd != 0) != bool(self.columns):
            raise ConfigurationError(
                f"a shift needs both a size and columns, found shift_sd {self.shift_sd:g} and"
                f" {len(self.columns)} columns: give both or neither"
            )


NO_DRIFT = Drift()


def sample_customers(
    rows: int,
    *,
    seed: int,
    first_key: int = FIRST_KEY,
    attrited_share: float | None = None,
    drift: Drift = NO_DRIFT,
) -> pd.DataFrame:
    """Made-up customers in the 21 published columns, CLIENTNUM counting up from `first_key`.

    The same arguments give the same frame. `attrited_share` (from 0 to 1; the published data's
    unless given) holds to within one customer. Drift is laid over the customers that the seed gives
    without it. ConfigurationError for arguments that cannot be.
    """
    contract = published_contract()
    _check_request(rows, seed, first_key, attrited_share, contract)
    statistics = load_statistics()
    share = statistics.attrited_share if attrited_share is None else attrited_share
    rng = np.random.default_rng(seed)
    customers, attrited = _draw(rows, statistics.segment_shares(share), statistics, contract, rng)
    for name in SHIFTABLE:
        if name in drift.columns:
            shift = drift.shift_sd * statistics.standard_deviations[name]
            customers[name] = _shifted(name, customers, shift, contract, rng)
    if drift.changed_rule:
        attrited = _relabelled(customers, attrited, rng)
    limit, balance = customers["Credit_Limit"], customers["Total_Revolving_Bal"]
    customers["Avg_Open_To_Buy"] = np.round(limit - balance, 1)
    customers["Avg_Utilization_Ratio"] = np.round(balance / limit, 3)
    keys = np.arange(first_key, first_key + rows, dtype=np.int64)
    for column in contract.features:
        if column.name not in customers:
            customers[column.name] = any_values(column, keys)
    return _frame(keys, attrited, customers, contract)


def any_values(column: Column, keys: NDArray[np.int64]) -> Floats:
    """A column that the published data has not: each customer's own value, which tells nothing."""
    share = hash_array(keys + crc32(column.name.encode())) * 2.0**-64
    limits = (0, len(column.categories)) if column.categories else (column.low, column.high)
    low, high = np.clip(limits, -LARGEST_VALUE, LARGEST_VALUE)
    values: Floats = low + share * (high - low)
    return values if column.type == "float" else np.floor(values)


@cache
def load_statistics() -> Statistics:
    """Read the generator's statistics, as `research/fit_sample.py` has derived them."""
    return Statistics.model_validate_json(STATISTICS_FILE.read_bytes())


def _check_request(
    rows: int, seed: int, first_key: int, attrited_share: float | None, contract: Contract
) -> None:
    low, high = contract.key.low, contract.key.high
    if rows < 1:
        raise ConfigurationError(f"rows must be at least 1, found {rows}")
    if seed < 0:
        raise ConfigurationError(f"seed must be 0 or more, found {seed}")
    if first_key < low or first_key + rows - 1 > high:
        raise ConfigurationError(
            f"keys must be from {low:.0f} to {high:.0f}, found {first_key} to"
            f" {first_key + rows - 1}: choose another first key"
        )
    if attrited_share is not None and not 0 <= attrited_share <= 1:
        raise ConfigurationError(f"attrited_share must be from 0 to 1, found {attrited_share}")


def _draw(
    rows: int, shares: Floats, statistics: Statistics, contract: Contract, rng: np.random.Generator
) -> tuple[Customers, NDArray[np.bool_]]:
    """Customers in random order, and who of them left."""
    # Each segment's rows are its share of them, rounded up or down at random without bias.
    ends = np.floor(np.cumsum(shares)[:-1] * rows + rng.random()).astype(np.int64)
    blocks = np.split(rng.permutation(rows), ends)
    customers: Customers = {name: np.empty(rows) for name in statistics.segments[0].correlations}
    attrited = np.empty(rows, dtype=np.bool_)
    for segment, places in zip(statistics.segments, blocks, strict=True):
        attrited[places] = segment.attrited
        for name, values in segment.draw(len(places), contract=contract, rng=rng).items():
            customers[name][places] = values
    limit = customers["Credit_Limit"] = np.maximum(customers["Credit_Limit"], LOWEST_LIMIT)
    most = np.minimum(limit, LARGEST_BALANCE)
    customers["Total_Revolving_Bal"] = np.floor(customers.pop(BALANCE_SHARE) * most + 0.5)
    return customers, attrited


def _make_room(share: Floats, limit: Floats, rng: np.random.Generator) -> None:
    """Let only those with room for the largest balance owe it; others swap shares with one of them.

    Without this the mass at 2,517 dollars would be a quarter too small, and one customer in a
    hundred would owe the whole limit, as hardly any real one does.
    """
    roomy = limit >= LARGEST_BALANCE
    without = np.flatnonzero((share == 1) & ~roomy)
    partners = rng.permutation(np.flatnonzero((share > 0) & (share < 1) & roomy))[: len(without)]
    without = without[: len(partners)]
    share[without], share[partners] = share[partners], share[without]


def _shifted(
    name: str, customers: Customers, shift: float, contract: Contract, rng: np.random.Generator
) -> Floats:
    """The column with `shift` added, rounded to its grid up or down at random without bias."""
    decimals = DECIMALS.get(name, 0)
    step = 10.0**decimals
    values = customers[name]
    moves = np.floor(shift * step + rng.random(len(values))) / step
    low, high = contract.column(name).low, contract.column(name).high
    if name == "Credit_Limit":
        return np.clip(values + moves, np.maximum(customers["Total_Revolving_Bal"], 1.0), high)
    if name == "Total_Revolving_Bal":
        return np.clip(values + moves, low, np.floor(customers["Credit_Limit"]))
    return np.clip(np.round(values + moves, decimals), low, high)


def _relabelled(
    customers: Customers, attrited: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Who leaves under the changed rule: with a high limit as many as before, but the busiest."""
    rival = np.flatnonzero(customers["Credit_Limit"] >= RIVAL_LIMIT)
    activity = np.log1p(customers["Total_Trans_Ct"][rival])
    order = np.argsort(-activity - RIVAL_NOISE_SD * rng.standard_normal(len(rival)), kind="stable")
    changed = attrited.copy()
    changed[rival] = False
    changed[rival[order[: int(attrited[rival].sum())]]] = True
    return changed


def _frame(
    keys: NDArray[np.int64], attrited: NDArray[np.bool_], customers: Customers, contract: Contract
) -> pd.DataFrame:
    key, target = contract.key.name, contract.target
    labels = attrited if target.positive == target.categories[1] else ~attrited
    columns = {key: pd.Series(keys), target.name: _names(target.categories, labels)}
    for column in contract.features:
        values = customers[column.name]
        if column.categories:
            columns[column.name] = _names(column.categories, values)
        else:
            whole = column.type == "integer" or column.name in WHOLE_DOLLARS
            columns[column.name] = pd.Series(values.astype(np.int64) if whole else values)
    return pd.DataFrame(columns)


def _names(categories: Sequence[str], ordinals: "NDArray[np.generic]") -> "pd.Series[str]":
    return pd.Series(pd.array(list(categories), dtype="str").take(ordinals.astype(np.int64)))
