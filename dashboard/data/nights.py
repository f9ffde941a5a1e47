"""Which night the call list is from, and the table `churn_scores` as it is."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from include.customers.database import reading
from include.scoring import comparisons
from include.scoring.earlier import EarlierNight
from include.scoring.table import FLAGS, TABLE, present_columns, score_table


@dataclass(frozen=True)
class Night:
    """The scoring that the list is from."""

    scored_at: datetime
    model_version: str
    rows: int
    bands: tuple[str, ...]  # the riskiest first
    compared: tuple[EarlierNight, ...]  # only those of the same version really are


class Nights:
    """Says which night the list is from, and counts its customers once for each."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._known: Night | None = None
        self._table: sa.FromClause | None = None

    def latest(self) -> Night | None:
        """The last whole night; None without one, or where an earlier release made it."""
        table, known = score_table(), self._known
        if known is None and self.table() is None:
            return None
        with reading(self._engine, TABLE) as connection:
            latest = sa.select(table.c.scored_at, table.c.model_version).limit(1)
            found = connection.execute(latest).first()
            if found is None or (known and known.scored_at == found.scored_at):
                return known if found else None
            counts = sa.select(table.c.band, sa.func.count()).group_by(table.c.band)
            # Anybody's probability tells where a band lies among the others.
            one = table.alias()
            somebody = sa.select(one.c.probability).where(one.c.band == table.c.band).limit(1)
            riskiest_first = counts.order_by(somebody.scalar_subquery().desc())
            bands = dict(connection.execute(riskiest_first).tuples().all())
            compared = tuple(comparisons.of_scores(connection, found.scored_at))
        scored_at, version = found
        self._known = Night(scored_at, version, sum(bands.values()), tuple(bands), compared)
        return self._known

    def table(self) -> sa.FromClause | None:
        """The list's table; without its flags where an earlier release made it, None before that.

        Only what the next night completes is looked at again.
        """
        if self._table is not None:
            return self._table
        table, known = score_table(), present_columns(self._engine)
        if known.issuperset(table.columns.keys()):
            self._table = table
            return table
        older = [column for column in table.columns if column.name not in FLAGS]
        if not known.issuperset(column.name for column in older):
            return None
        return sa.table(TABLE, *(sa.column(column.name, column.type) for column in older))
