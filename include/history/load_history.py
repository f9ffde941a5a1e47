"""Loading months and exits that the bank has kept, from files, in one transaction."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from include.contract import Contract, TableFault
from include.customers.database import database_errors
from include.customers.rows import row_batches
from include.customers.table import published_contract, stored_moment
from include.history.days import days_within
from include.history.files import (
    YES,
    exit_contract,
    history_files,
    read_file,
    snapshot_contract,
)
from include.history.loading import (
    compare_with_snapshot,
    create_history_tables,
    insert_rows,
    put_exits,
    snapshot_rows,
)
from include.history.tables import (
    AS_OF,
    EXITS,
    KNOWN_AT,
    LEFT_ON,
    LOADED_AT,
    SNAPSHOTS,
    VOLUNTARY,
    exits_table,
    snapshots_table,
)
from include.values import describe, moments

if TYPE_CHECKING:
    from include.customers.csv_file import Taker

LISTED_IN = "docs/history.md"


@dataclass(frozen=True)
class Loaded:
    """What a load did to the two tables."""

    months: dict[date, int]  # customers that are new, by the snapshot's day
    snapshots_same: int
    assumed: int  # rows that do not say when they were loaded, new or not
    exits_new: int
    exits_corrected: int
    exits_same: int
    after_exit: dict[date, int]  # customers in a snapshot from after they had left

    def __str__(self) -> str:
        lines = [
            f"snapshots: {sum(self.months.values()):,} new in {len(self.months)} months"
            f"{_from_to(self.months)}, {self.snapshots_same:,} as they were",
            f"exits: {self.exits_new:,} new, {self.exits_corrected:,} corrected, "
            f"{self.exits_same:,} as they were",
        ]
        if self.assumed:
            lines.append(
                f"{self.assumed:,} rows do not say when they were loaded ({LOADED_AT}): taken as "
                "loaded on their own day, which the model card will tell"
            )
        if self.after_exit:
            told = ", ".join(f"{day}: {count:,}" for day, count in self.after_exit.items())
            lines.append(
                "customers in snapshots from after they had left, from which nothing is learned "
                f"({told}): compare how {AS_OF} and {LEFT_ON} came about"
            )
        return "\n".join(lines)


def load_history(
    engine: sa.Engine, *, snapshots: Path | None, exits: Path | None, now: datetime
) -> Loaded:
    """Add the rows of files, or of directories of files, to both tables.

    DataError lists by row what is wrong with a file, and then nothing is changed. Loading the same
    again changes nothing.
    """
    days = history_files(snapshots) if snapshots else []
    leavers = history_files(exits) if exits else []
    create_history_tables(engine)
    doing = f"write the tables {SNAPSHOTS} and {EXITS}"
    with database_errors(engine, doing), engine.begin() as connection:
        months, gone = SnapshotTaker(connection, now), ExitTaker(connection, now)
        _read(days, snapshot_contract(), months)
        _read(leavers, exit_contract(), gone)
        after_exit = _after_exit(connection)
    return Loaded(
        months=dict(sorted(months.new.items())),
        snapshots_same=months.same,
        assumed=months.assumed,
        exits_new=gone.new,
        exits_corrected=gone.corrected,
        exits_same=gone.same,
        after_exit=after_exit,
    )


class SnapshotTaker:
    """Puts blocks of snapshots into the table, and refuses what differs from what is there."""

    each_key_once = False  # but once a day, which the table knows
    listed_in = LISTED_IN

    def __init__(self, connection: sa.Connection, now: datetime) -> None:
        self.connection, self.now = connection, now
        self.new: Counter[date] = Counter()
        self.same = self.assumed = 0

    def faults(self, frame: pd.DataFrame) -> list[TableFault]:
        """Days that have not come yet, and loads before their day."""
        found = _future(frame[AS_OF], self.now)
        if LOADED_AT not in frame:
            return found
        at, days = moments(frame[LOADED_AT]), moments(frame[AS_OF])
        early, late = (at < days).to_numpy(), (at > self.now).to_numpy()
        expected = f"a moment from {AS_OF} to now (UTC)"
        return found + _faults(frame[LOADED_AT], early | late, expected)

    def take(self, frame: pd.DataFrame) -> list[TableFault]:
        """Add the rows that are new, day by day."""
        days = moments(frame[AS_OF]).dt.tz_localize(None)
        given = moments(frame[LOADED_AT]) if LOADED_AT in frame else pd.Series(pd.NaT, frame.index)
        self.assumed += int(given.isna().sum())
        at = pd.to_datetime(given.fillna(days.dt.tz_localize(UTC)), utc=True)
        places, at_times = pd.factorize(at)
        texts = np.array([stored_moment(moment) for moment in at_times], dtype=object)
        rows = frame.assign(**{LOADED_AT: texts[places]})
        found: list[TableFault] = []
        for day in sorted(days.unique()):
            found += self._take_day(frame, rows[(days == day).to_numpy()], day.date())
        return found

    def _take_day(self, frame: pd.DataFrame, rows: pd.DataFrame, as_of: date) -> list[TableFault]:
        key, others = published_contract().key.name, set[Any]()
        for batch in row_batches(snapshot_rows(rows, as_of)):
            compared = compare_with_snapshot(self.connection, batch, as_of)
            new = insert_rows(self.connection, snapshots_table(), compared.new)
            self.same += compared.same
            if new:
                self.new[as_of] += new
            others |= {row[1] for row in compared.other}
        places = np.flatnonzero(frame[key].isin(others) & frame.index.isin(rows.index))
        expected = f"the values of {as_of} that {SNAPSHOTS} has, or an earlier row"
        return [
            TableFault(place, key, expected, f"others of customer {frame[key].iloc[place]}")
            for place in places.tolist()
        ]


class ExitTaker:
    """Puts blocks of exits into the table, in the place of what was known before."""

    each_key_once = True
    listed_in = LISTED_IN

    def __init__(self, connection: sa.Connection, now: datetime) -> None:
        self.connection, self.now = connection, now
        self.new = self.corrected = self.same = 0

    def faults(self, frame: pd.DataFrame) -> list[TableFault]:
        """What has not come yet."""
        return _future(frame[LEFT_ON], self.now) + _future(frame[KNOWN_AT], self.now)

    def take(self, frame: pd.DataFrame) -> list[TableFault]:
        """Add or correct the rows."""
        rows = frame.assign(**{name: moments(frame[name]) for name in (LEFT_ON, KNOWN_AT)})
        if VOLUNTARY in frame:
            wish = frame[VOLUNTARY].astype(object)
            rows[VOLUNTARY] = wish.where(wish.isna(), wish.isin(YES))
        new, corrected, same = put_exits(self.connection, rows)
        self.new += new
        self.corrected += corrected
        self.same += same
        return []


def _read(files: list[Path], contract: Contract, taker: "Taker") -> None:
    for path in files:
        read_file(path, contract, taker).refuse()


def _future(values: "pd.Series[Any]", now: datetime) -> list[TableFault]:
    return _faults(
        values, (moments(values) > now).to_numpy(), f"none after {now:%Y-%m-%d %H:%M} UTC"
    )


def _faults(values: "pd.Series[Any]", wrong: Any, expected: str) -> list[TableFault]:
    return [
        TableFault(place, str(values.name), expected, describe(str(values.iloc[place])))
        for place in np.flatnonzero(wrong).tolist()
    ]


def _after_exit(connection: sa.Connection) -> dict[date, int]:
    """Customers by the snapshots that they are in though they had left by then.

    Day by day, by the table's key: no one question is about all the rows.
    """
    snapshots, exits = snapshots_table(), exits_table()
    name = published_contract().key.name
    found = {}
    for day in days_within(connection):
        query = (
            sa.select(sa.func.count())
            .select_from(exits)
            .join(snapshots, sa.and_(snapshots.c[AS_OF] == day, snapshots.c[name] == exits.c[name]))
            .where(exits.c[LEFT_ON] < day)
        )
        if count := connection.scalar(query):
            found[day] = count
    return found


def _from_to(months: dict[date, int]) -> str:
    return f" ({min(months)} to {max(months)})" if months else ""
