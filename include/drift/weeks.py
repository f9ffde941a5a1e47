"""Whom each version was asked about in a week: kept until the week's outcomes are known.

One object for each ISO week, `monitoring/outcomes/week=2026-W19.parquet`, with a row for each known
customer of a version: the first answer. It says which objects of the log it was made from, so that
a day is read once, and again only where more of it arrived; what is gone from the log stays here.
When the outcomes are known the object is deleted. A week has thus at most as many rows as the bank
has customers, for each version that answered, of some 25 bytes.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from include.documents import Document, parse_document, sha256
from include.drift.findings import PREFIX
from include.drift.statistics import SCORE
from include.drift.traffic import SCORE_COLUMN, numbers
from include.errors import DocumentError, ObjectNotFound
from include.predictions.asked import CUSTOMER_KEY, KEYS, rows_by_version
from include.predictions.log import day_objects, read_predictions
from include.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

WEEKS_PREFIX = f"{PREFIX}/outcomes/"
MOMENT = "predicted_at"
TORN = (pa.ArrowException, OSError, KeyError, TypeError, ValueError, DocumentError)
FACTS = b"churn"  # the entry of the parquet file's own metadata
TYPES = {
    "version": "category",
    "day": "int8",  # of the week, Monday is 0
    "customer": "uint64",  # the hash of the log's customer key
    "asked_at": "int64",  # microseconds since 1970
    "probability": "float64",
}


@dataclass(frozen=True, order=True)
class Week:
    """An ISO week, by its Monday."""

    begins: date

    @classmethod
    def of(cls, day: date) -> "Week":
        """The week of a day."""
        return cls(day - timedelta(days=day.weekday()))

    @property
    def name(self) -> str:
        """Such as 2026-W19."""
        year, week, _ = self.begins.isocalendar()
        return f"{year}-W{week:02}"

    @property
    def key(self) -> str:
        """Where its customers are kept."""
        return f"{WEEKS_PREFIX}week={self.name}.parquet"

    @property
    def days(self) -> tuple[date, ...]:
        """Monday to Sunday."""
        return tuple(self.begins + timedelta(days=day) for day in range(7))

    def before(self, weeks: int) -> "Week":
        """The week so many weeks earlier."""
        return Week(self.begins - timedelta(weeks=weeks))

    def over_on(self, days: float) -> date:
        """On which day so many have passed for whoever was asked about last."""
        return self.begins + timedelta(days=7 + math.ceil(days))


class DayRead(Document):
    """What was read of a day's log."""

    objects: str = Field(description="a hash of the objects' keys and sizes")
    rows_without_customer: int
    unreadable: tuple[str, ...]


class WeekRead(Document):
    """What was read of a week's log; kept in the week's own object."""

    days: dict[date, DayRead]


class AskedWeek:
    """One week's customers, as far as its log was read."""

    def __init__(self, week: Week, rows: pd.DataFrame, days: dict[date, DayRead]) -> None:
        self.week, self.rows, self.days = week, rows, days

    @classmethod
    def read(cls, store: Store, week: Week) -> "AskedWeek":
        """What the store has of the week; nothing where there is no object, or none such."""
        try:
            table = pq.read_table(pa.BufferReader(store.read(week.key).data))
            facts = parse_document(WeekRead, table.schema.metadata[FACTS], week.key)
            return cls(week, table.select([*TYPES]).to_pandas().astype(TYPES), dict(facts.days))
        except ObjectNotFound:
            pass
        except TORN as error:
            logger.warning("%s is no week (%s); the log is read again", week.key, error)
        return cls(week, _frame([]), {})

    def write(self, store: Store) -> None:
        """Keep the week, in one step."""
        table = pa.Table.from_pandas(self.rows, preserve_index=False)
        facts = WeekRead(days=self.days).to_bytes()
        sink = pa.BufferOutputStream()
        pq.write_table(
            table.replace_schema_metadata({**(table.schema.metadata or {}), FACTS: facts}),
            sink,
            compression="zstd",
            use_dictionary=["version"],
        )
        store.write(self.week.key, sink.getvalue().to_pybytes())

    def look(self, store: Store, day: date) -> bool:
        """Read a day's log, if any of it is there that was not read before; whether there was."""
        objects = list(day_objects(store, day))
        found = sha256("\n".join(f"{each.key} {each.size}" for each in objects).encode())
        known = self.days.get(day)
        if not objects or (known and known.objects == found):
            return False
        read = _DayLog(store, day)
        others = self.rows[self.rows["day"] != day.weekday()]
        rows = pd.concat([others, _frame(list(read))], ignore_index=True).astype(TYPES)
        first = rows.sort_values("asked_at", kind="stable", ignore_index=True)
        self.rows = first.drop_duplicates(["version", "customer"], ignore_index=True)
        self.days[day] = DayRead(
            objects=found,
            rows_without_customer=read.rows_without_customer,
            unreadable=tuple(read.unreadable),
        )
        return True

    def by_version(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each version that answered, with its customers."""
        for version, rows in self.rows.groupby("version", observed=True):
            yield str(version), rows


class _DayLog:
    """The usable rows of a day's log, in parts; what else there was is counted meanwhile."""

    def __init__(self, store: Store, day: date) -> None:
        self.rows_without_customer = 0
        self.unreadable: list[str] = []
        self._store, self._day = store, day

    def __iter__(self) -> Iterator[pd.DataFrame]:
        batches = read_predictions(
            self._store,
            self._day,
            columns=(*KEYS, SCORE, MOMENT),
            hashed=[CUSTOMER_KEY],
            unreadable=self.unreadable,
        )
        for batch in batches:
            for version, places in rows_by_version(batch):
                yield self._usable(version, batch.take(places))

    def _usable(self, version: str, rows: pa.RecordBatch) -> pd.DataFrame:
        known = rows.column(CUSTOMER_KEY).is_valid().to_numpy(zero_copy_only=False)
        self.rows_without_customer += int((~known).sum())
        answers = numbers(SCORE_COLUMN, rows.column(SCORE))
        kept = known & ~np.isnan(answers) & bool(version)
        columns = {
            "version": version,
            "day": self._day.weekday(),
            "customer": rows.column(CUSTOMER_KEY).fill_null(0).to_numpy()[kept],
            "asked_at": _micros(rows.column(MOMENT))[kept],
            "probability": answers[kept],
        }
        asked = pd.DataFrame(columns).sort_values("asked_at", kind="stable")
        return asked.drop_duplicates("customer")


def _frame(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in TYPES.items()})
    if not parts:
        return empty
    return pd.concat(parts, ignore_index=True).astype(TYPES)


def _micros(moments: pa.Array) -> "NDArray[np.int64]":
    typed = moments.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(pa.int64())
    return np.asarray(typed.fill_null(0).to_numpy(zero_copy_only=False))
