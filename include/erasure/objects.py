"""What of an object is one customer's, and the object without it.

Rows are found by the customer's number, by what stands for it in the prediction log, and by the
hashes that drift and outcomes make of that.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.customers.table import published_contract
from include.drift.collect_predictions import PRIORITY
from include.drift.traffic import IDENTITY
from include.drift.weeks import WEEKS_PREFIX
from include.erasure.person import Person
from include.errors import DataError
from include.handover import RUNS_PREFIX
from include.predictions.asked import CUSTOMER_KEY, salted
from include.predictions.log import PREFIX as LOG_PREFIX
from include.predictions.log import combined
from include.scoring.plan_ranges import RANGES_FILE
from include.scoring.run import SCORES_PREFIX
from include.scoring.summary import SUMMARY_FILE

# Where the store has customers, and what people call it.
PLACES = {
    f"{LOG_PREFIX}/": "prediction log",
    WEEKS_PREFIX: "outcomes that are not known yet",
    f"{SCORES_PREFIX}/": "nightly scores",
    f"{RUNS_PREFIX}/": "what runs handed over",
}
KEPT = ("prediction_id", "row")  # of an erased answer: random, and its place
FIRST_DAY = date(2020, 1, 1).toordinal()  # before any day of drift
OF_VERSION = re.compile(r"/(?:first_rows|sample)-v(?P<version>.+?)(?:-\d{4})?\.parquet$")

Mask = Callable[[pa.Table], Any]  # which rows are the customer's


class Unreadable(DataError):
    """An object of which nobody can say whom it holds."""


@dataclass(frozen=True)
class Without:
    """An object without the customer, and how many rows it loses."""

    rows: int
    data: bytes


def without(person: Person, key: str, data: bytes) -> Without | None:
    """The object without the customer; None where it has none; Unreadable where it is torn."""
    try:
        if key.endswith((f"/{SUMMARY_FILE}", f"/{RANGES_FILE}")):
            return _without_bounds(person, json.loads(data))
        if key.endswith(".parquet"):
            return _without_rows(person, key, pq.ParquetFile(pa.BufferReader(data)))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Unreadable(f"{key} cannot be read: {type(error).__name__}") from error
    return None


def _without_rows(person: Person, key: str, file: pq.ParquetFile) -> Without | None:
    names, is_own = _rule(person, key, file.schema_arrow)
    if not names:
        return None
    groups = range(file.num_row_groups)
    found = [pc.sum(is_own(file.read_row_group(each, columns=names))).as_py() for each in groups]
    rows = sum(each or 0 for each in found)  # a sum of nothing is null
    if not rows:
        return None
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, file.schema_arrow, compression="zstd") as writer:
        for each in groups:
            table = file.read_row_group(each)
            own = is_own(table)
            kept = (
                _emptied(table, own) if key.startswith(LOG_PREFIX) else table.filter(pc.invert(own))
            )
            writer.write_table(kept)
    return Without(rows, sink.getvalue().to_pybytes())


def _rule(person: Person, key: str, schema: pa.Schema) -> tuple[list[str], Mask]:
    """The columns that tell whose a row is, and how."""
    if key.startswith(LOG_PREFIX):
        return _one(schema, CUSTOMER_KEY, person.log_keys)
    if key.startswith(WEEKS_PREFIX):
        return _one(schema, "customer", person.log_hashes)
    of_version = OF_VERSION.search(key)
    if of_version:
        identities = salted(person.log_hashes, of_version["version"])
        if IDENTITY in schema.names:
            return _one(schema, IDENTITY, identities)
        return _one(schema, PRIORITY, _priorities(identities))
    of_numbers = (published_contract().key.name, "customer", "key")
    names = [name for name in of_numbers if name in schema.names]
    return names, lambda table: _by_number(person, table.select(names))


def _one(schema: pa.Schema, name: str, values: Any) -> tuple[list[str], Mask]:
    def is_own(table: pa.Table) -> Any:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        return pc.is_in(column, value_set=pa.array(values, column.type))

    return ([name] if name in schema.names else []), is_own


def _priorities(identities: "np.ndarray[Any, np.dtype[np.uint64]]") -> Any:
    """By which samples of any day's log draw the customer."""
    days = np.arange(FIRST_DAY, date.today().toordinal() + 2, dtype=np.uint64)
    return np.concatenate([combined(np.full(len(days), each), days) for each in identities])


def _by_number(person: Person, table: pa.Table) -> Any:
    own = pa.chunked_array([pa.array(np.zeros(len(table), dtype=bool))])
    for column in table.columns:
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            try:
                found = pc.equal(column, pa.scalar(person.number, column.type)).fill_null(False)
            except (pa.ArrowInvalid, OverflowError):  # no such column has that number
                continue
        else:
            texts = pa.array(sorted(person.texts), pa.string())
            found = pc.is_in(column.cast(pa.string()), value_set=texts)
        own = pc.or_(own, found)
    return own


def _emptied(table: pa.Table, own: Any) -> pa.Table:
    """The rows stay, empty: a drift run under way knows others by their places."""
    return pa.table(
        {
            name: column if name in KEPT else pc.if_else(own, pa.scalar(None, column.type), column)
            for name, column in zip(table.column_names, table.columns, strict=True)
        },
        table.schema,
    )


def _without_bounds(person: Person, document: Any) -> Without | None:
    """Ranges of customers that end or begin with one end with the number before instead."""
    ranges = document.get("ranges", []) if isinstance(document, dict) else document
    rows = 0
    for each in ranges:
        for place, bound in list(each.items() if isinstance(each, dict) else enumerate(each)):
            if bound is not None and bound == person.number:
                each[place] = bound - 1
                rows += 1
    return Without(rows, (json.dumps(document, indent=2) + "\n").encode()) if rows else None
