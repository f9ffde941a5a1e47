"""The customer table by ranges of its key: cut into equal parts, read page by page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from include.contract import Contract
from include.customers.database import reading
from include.customers.queries import column_types
from include.customers.rows import read_rows, same_types
from include.customers.table import TABLE, count_rows
from include.errors import DataError

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

KEYS_ROWS = 1000  # keys named in one query


@dataclass(frozen=True)
class KeyRange:
    """The keys above `after` up to and including `upto`; None is open."""

    after: int | None
    upto: int | None

    def condition(self, key: "sa.ColumnElement[Any]") -> "sa.ColumnElement[bool]":
        """The range as SQL."""
        bounds = [] if self.after is None else [key > self.after]
        bounds += [] if self.upto is None else [key <= self.upto]
        return sa.and_(sa.true(), *bounds)

    def overlaps(self, other: "KeyRange") -> bool:
        """Whether a key could lie in both."""
        return _is_below(self.after, other.upto) and _is_below(other.after, self.upto)


def count_customers(engine: sa.Engine) -> int:
    """How many rows the table has."""
    with reading(engine, TABLE) as connection:
        return count_rows(connection)


def cut(engine: sa.Engine, contract: Contract, *, ranges: int, rows: int) -> list[KeyRange]:
    """At most so many ranges of so many customers, the last as many as are left.

    Together they hold every key that there is or can be. The database walks its primary key once,
    and nothing but the bounds comes back.
    """
    key: sa.ColumnElement[Any] = sa.column(contract.key.name)
    last = sa.select(key).select_from(sa.table(TABLE)).order_by(key).limit(1).offset(rows - 1)
    found: list[KeyRange] = []
    after: int | None = None
    with reading(engine, TABLE) as connection:
        while len(found) < ranges - 1:
            bound = connection.scalar(last if after is None else last.where(key > after))
            if bound is None:
                break
            found.append(KeyRange(after, int(bound)))
            after = int(bound)
    return [*found, KeyRange(after, None)]


def pages(
    engine: sa.Engine,
    contract: Contract,
    names: Sequence[str],
    keys: KeyRange,
    *,
    rows: int,
    where: "sa.ColumnElement[bool] | None" = None,
) -> Iterator[pd.DataFrame]:
    """The key and the named columns of a range's customers, by key, so many rows at a time.

    Each page is a query of its own: no cursor stays open that a writer would wait for, and a lost
    connection costs one page. A customer is read once and whole; what is written between two pages
    is seen as if it had been written a moment earlier or later.
    """
    types = _types(engine, contract, names)
    key: sa.ColumnElement[Any] = sa.column(contract.key.name)
    last = sa.select(key).select_from(sa.table(TABLE)).order_by(key).limit(1).offset(rows - 1)
    query = sa.select().select_from(sa.table(TABLE)).order_by(key)
    query = query if where is None else query.where(where)
    while True:
        with reading(engine, TABLE) as connection:
            bound = connection.scalar(last.where(keys.condition(key)))
            near = KeyRange(keys.after, keys.upto if bound is None else int(bound))
            page = read_rows(connection, query.where(near.condition(key)), types)
        if len(page):
            yield page
        if bound is None:
            return
        keys = KeyRange(near.upto, keys.upto)


def labelled_customers(
    engine: sa.Engine, contract: Contract, *, rows: int
) -> Iterator[pd.DataFrame]:
    """Everybody with a label, by key: the contract's columns as far as the table has them.

    So many rows at a time, all of the same column types; values are as the table holds them, right
    or wrong, and moments are text. The last part is of those without a key, mostly none. DataError
    when the table lacks a column that it must have.
    """
    types = column_types(engine, contract)
    missing = contract.missing_columns(types)
    if missing:
        raise DataError(
            f"the table {TABLE} lacks the columns {', '.join(missing)}: add them, or change "
            "schema.yaml if the bank no longer has them"
        )
    name = contract.key.name
    if isinstance(types[name], sa.String):  # whose order and whose comparison with numbers differ
        raise DataError(f"the column {name} of the table {TABLE} is text: expected integers")
    key: sa.ColumnElement[Any] = sa.column(name)
    labelled = sa.column(contract.target.name).is_not(None)
    others, everybody = [other for other in types if other != name], KeyRange(None, None)
    with_key = sa.and_(labelled, key.is_not(None))
    for page in pages(engine, contract, others, everybody, rows=rows, where=with_key):
        yield same_types(page[[*types]], types, contract)
    with reading(engine, TABLE) as connection:  # of a view, where there is no primary key
        without = sa.select().select_from(sa.table(TABLE)).where(labelled, key.is_(None))
        yield same_types(read_rows(connection, without, types), types, contract)


def read_keys(
    engine: sa.Engine, contract: Contract, names: Sequence[str], keys: Sequence[int]
) -> pd.DataFrame:
    """The same columns of the customers with these keys, by key."""
    types = _types(engine, contract, names)
    key: sa.ColumnElement[Any] = sa.column(contract.key.name)
    query = sa.select().select_from(sa.table(TABLE)).order_by(key)
    wanted = sorted(keys)
    with reading(engine, TABLE) as connection:
        parts = [
            read_rows(connection, query.where(key.in_(wanted[i : i + KEYS_ROWS])), types)
            for i in range(0, len(wanted), KEYS_ROWS)
        ]
    return pd.concat(parts, ignore_index=True)


def _is_below(low: int | None, high: int | None) -> bool:
    return low is None or high is None or low < high


def _types(
    engine: sa.Engine, contract: Contract, names: Sequence[str]
) -> "dict[str, TypeEngine[Any]]":
    """The key's and the named columns' types in the database; DataError when one is missing."""
    found, wanted = column_types(engine, contract), [contract.key.name, *names]
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(
            f"the table {TABLE} lacks {', '.join(missing)}, which the champion needs: add them, or "
            "train a champion without them"
        )
    return {name: found[name] for name in wanted}
