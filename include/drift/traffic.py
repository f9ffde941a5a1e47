"""A day's logged predictions as counts by version: bounded memory, whatever the day was like.

Only rows whose source is `customer` count, and of each customer one row a day and version: of a
known one the first, of anonymous rows with the same content one. Rows that break the contract are
counted and never tested.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.contract import Column
from include.drift import statistics
from include.drift.reference import Reference, read_reference
from include.drift.statistics import SCORE, Counts
from include.errors import ChampionError, StoreError, StoreForbidden, StoreUnavailable
from include.predictions import log as prediction_log
from include.predictions.asked import CUSTOMER_KEY, KEYS, AskedCustomers, Counted, rows_by_version
from include.predictions.log import KeySpan, SeenHashes, combined
from include.predictions.places import OBJECT, PLACE
from include.store import Store

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

CHUNK_ROWS = 2**16
CHUNK_ROWS_MAX = 2**20  # for a reference of so many values, each of which every chunk looks up
LARGEST = float(np.finfo(np.float64).max)
IDENTITY, KNOWN = "identity", "known"  # with the places, the columns of first rows
SCORE_COLUMN = Column(name=SCORE, type="float", minimum=0, maximum=1, meaning="P(churn)")


@dataclass
class VersionTraffic:
    """What one version answered: counts, and a random sample of rows for the report's plots."""

    version: str
    reference: Reference | None  # None for a version that the store does not hold
    sample_rows: int
    rows: int = 0  # tested, or to be tested if there were a reference
    repeated: int = 0
    repeated_anonymous: int = 0  # of those repeated
    at_fault: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    counts: dict[str, Counts] = field(default_factory=dict)
    sample: "NDArray[np.float64]" = field(default_factory=lambda: np.empty((0, 0)))
    priorities: "NDArray[np.uint64]" = field(default_factory=lambda: np.empty(0, np.uint64))
    first_rows: "list[pa.RecordBatch]" = field(default_factory=list)
    _pending: "list[NDArray[np.float64]]" = field(default_factory=list)

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is tested."""
        if self.reference is None:
            return ()
        tested = (SCORE_COLUMN,) if SCORE in self.reference.values else ()
        return (*self.reference.columns, *tested)

    @property
    def names(self) -> list[str]:
        """The names of what is tested, in the order of the sample's columns."""
        return [column.name for column in self.columns]

    def check(self, matrix: "NDArray[np.float64]") -> "NDArray[np.bool_]":
        """Which rows keep the contract; the others are counted, by column too."""
        wrong = np.isnan(matrix)
        if not wrong.any():
            return np.ones(len(matrix), dtype=bool)
        valid = np.logical_not(wrong.any(axis=1))
        self.at_fault += int((~valid).sum())
        counted = zip(self.names, wrong.sum(axis=0).tolist(), strict=True)
        self.faults.update({name: count for name, count in counted if count})
        return valid

    def count(self, found: Counted, kept: "NDArray[np.bool_]") -> None:
        """Count customers, and rows that keep the contract and are none's first."""
        repeats = kept & ~found.first
        self.rows += int(found.first.sum())
        self.repeated += int(repeats.sum())
        self.repeated_anonymous += int((repeats & ~found.known).sum())

    def add(self, matrix: "NDArray[np.float64]") -> None:
        """Take the rows to be tested: rows × columns."""
        self._pending.append(matrix)
        if sum(map(len, self._pending)) >= self._chunk_rows:
            self.settle()

    def settle(self) -> None:
        """Count what is pending."""
        if not self._pending or self.reference is None:
            return
        alone = len(self._pending) == 1
        matrix = self._pending[0] if alone else np.concatenate(self._pending)
        self._pending.clear()
        for place, name in enumerate(self.names):
            found = statistics.count(matrix[:, place], self.reference.places[name])
            self.counts[name] = self.counts[name] + found if name in self.counts else found

    @property
    def _chunk_rows(self) -> int:
        places = self.reference.places.values() if self.reference else ()
        return min(max(CHUNK_ROWS, *(len(each) for each in places)), CHUNK_ROWS_MAX)

    def first_rows_frame(self) -> pd.DataFrame:
        """OBJECT, PLACE, IDENTITY and KNOWN of each customer's first row, as they came."""
        import pyarrow as pa

        together = pa.Table.from_batches(self.first_rows).unify_dictionaries()
        frame: pd.DataFrame = together.to_pandas()
        return frame

    def choose(self, matrix: "NDArray[np.float64]", priorities: "NDArray[np.uint64]") -> None:
        """Keep the rows of the smallest random numbers: a uniform sample of any length of log."""
        full = len(self.priorities) >= self.sample_rows
        below = self.priorities.max(initial=0)
        kept = priorities < below if full else np.ones(len(matrix), dtype=bool)
        if not kept.any():
            return
        rows = matrix[kept] if not len(self.sample) else np.vstack([self.sample, matrix[kept]])
        drawn = np.concatenate([self.priorities, priorities[kept]])
        lowest = np.argsort(drawn, kind="stable")[: self.sample_rows]
        self.sample, self.priorities = rows[lowest], drawn[lowest]


@dataclass
class Traffic:
    """One day's log, or a part of it; `places` keeps where each customer's first row lies."""

    store: Store
    day: date
    columns: Sequence[str]
    sample_rows: int
    places: bool = False
    versions: dict[str, VersionTraffic] = field(default_factory=dict)
    rows: int = 0  # each once
    other_sources: int = 0
    without_version: int = 0
    unreadable: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.seen = SeenHashes()  # the rows' own
        self._customers = AskedCustomers(self.columns)

    def add(self, batch: "pa.RecordBatch") -> None:
        """Split a batch by version."""
        self.rows += batch.num_rows
        self.other_sources += batch.num_rows
        for version, rows in rows_by_version(batch):
            self.other_sources -= len(rows)
            if version:
                self._add(self._of(version), batch, rows)
            else:
                self.without_version += len(rows)

    def _add(self, own: VersionTraffic, batch: "pa.RecordBatch", rows: "NDArray[np.intp]") -> None:
        chosen = batch if len(rows) == batch.num_rows else batch.take(rows)
        matrix = matrix_of(own.columns, chosen)
        kept = own.check(matrix)
        found = self._customers.count(own.version, chosen, kept)
        own.count(found, kept)
        identities = found.identities[found.first]
        if own.reference is not None:
            matrix = matrix if found.first.all() else matrix[found.first]
            own.add(matrix)
            own.choose(matrix, self._priorities(identities))
        if self.places:
            own.first_rows.append(_first_rows(chosen, found, identities))

    def _priorities(self, identities: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
        """A random number for each customer, another one each day; by parts it stays the same."""
        return combined(identities, np.full(len(identities), self.day.toordinal(), np.uint64))

    def _of(self, version: str) -> VersionTraffic:
        if version not in self.versions:
            reference = _reference(self.store, version)
            self.versions[version] = VersionTraffic(version, reference, self.sample_rows)
        return self.versions[version]


def read_traffic(
    traffic: Traffic, *, span: KeySpan | None = None, shipped: "NDArray[np.uint64] | None" = None
) -> Traffic:
    """Read a day's log, or a span of it; an unreadable object is named, not fatal.

    Rows whose hashes are among those `shipped` before are left out.
    """
    if shipped is not None:
        traffic.seen.first_of(shipped)
    for batch in prediction_log.read_predictions(
        traffic.store,
        traffic.day,
        columns=(*KEYS, SCORE, *traffic.columns),
        hashed=[CUSTOMER_KEY],
        unreadable=traffic.unreadable,
        span=span,
        seen=traffic.seen,
        places=traffic.places,
    ):
        traffic.add(batch)
    for each in traffic.versions.values():
        each.settle()
    return traffic


def counts_frame(counts: Mapping[str, Counts]) -> pd.DataFrame:
    """Counts as one long table; those of several files or days add up row by row."""
    parts = [pd.DataFrame({"feature": name, **vars(each)}) for name, each in counts.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"feature": []})


def counts_of(frame: pd.DataFrame) -> dict[str, Counts]:
    """Counts from their table."""
    return {
        str(name): Counts(
            places=part["places"].to_numpy(),
            below=part["below"].to_numpy(),
            at_most=part["at_most"].to_numpy(),
            rows=int(part["rows"].iloc[0]),
        )
        for name, part in frame.groupby("feature", sort=False)
    }


def matrix_of(columns: Sequence[Column], rows: "pa.RecordBatch") -> "NDArray[np.float64]":
    """Logged rows as numbers, NaN where a value breaks the contract."""
    # By column, which is how it is filled, checked and counted.
    matrix = np.empty((rows.num_rows, len(columns)), order="F")
    for place, column in enumerate(columns):
        matrix[:, place] = numbers(column, rows.column(column.name))
    return matrix


def numbers(column: Column, values: "pa.Array") -> "NDArray[np.float64]":
    """A logged column as the model's float64, NaN where a value breaks the contract or is null."""
    import pyarrow as pa

    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)) or column.categories:
        return _looked_up(column, values)
    found: NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy(
        zero_copy_only=False
    )
    low = -LARGEST if column.minimum is None else column.minimum
    high = LARGEST if column.maximum is None else column.maximum
    right = (found >= low) & (found <= high)
    if column.type == "integer" and not pa.types.is_integer(kind):
        right &= found == np.floor(found)
    return found if right.all() else np.where(right, found, np.nan)


def _looked_up(column: Column, values: "pa.Array") -> "NDArray[np.float64]":
    """Each distinct value through the contract, once."""
    import pyarrow as pa

    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    known = [column.number(value) for value in encoded.dictionary.to_pylist()]
    table = np.array([np.nan if number is None else number for number in (*known, None)])
    places = encoded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
    return np.asarray(table[places], dtype=np.float64)


def _reference(store: Store, version: str) -> Reference | None:
    try:
        return read_reference(store, version)
    except (ChampionError, StoreError) as error:
        if isinstance(error, StoreUnavailable | StoreForbidden):
            raise
        logger.warning("the answers of version %s cannot be tested: %s", version, error)
        return None


def _first_rows(
    rows: "pa.RecordBatch", found: Counted, identities: "NDArray[np.uint64]"
) -> "pa.RecordBatch":
    """Of each customer's first row whose it is, and where it lies."""
    import pyarrow as pa

    where = rows.select([OBJECT, PLACE]).filter(pa.array(found.first))
    known = pa.array(found.known[found.first])
    return where.append_column(IDENTITY, pa.array(identities)).append_column(KNOWN, known)
