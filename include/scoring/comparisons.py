"""The table `churn_comparisons`: which nights the scores in `churn_scores` are compared with.

Its rows carry the moment of their scores, so that they fit whichever of two nights a reader sees.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache

import sqlalchemy as sa

from include.customers.contacts import utc
from include.customers.database import database_errors
from include.customers.table import IN_MYSQL, MOMENT
from include.scoring.earlier import EarlierNight
from include.scoring.table import score_table

TABLE = "churn_comparisons"


@cache
def comparisons_table() -> sa.Table:
    """The table's definition: a row for each of a night's comparisons."""
    return sa.Table(
        TABLE,
        sa.MetaData(),
        sa.Column("scored_at", MOMENT, primary_key=True),
        sa.Column("span", sa.String(8), primary_key=True, comment="night or week"),
        sa.Column("date", sa.Date(), nullable=False, comment="under which the earlier scores are"),
        sa.Column("model_version", sa.String(32), nullable=False, comment="of the earlier scores"),
        **IN_MYSQL,
    )


def write(engine: sa.Engine, scored_at: datetime, nights: Sequence[EarlierNight]) -> None:
    """Say with what a run's scores are compared; the rows of scores that are gone go too."""
    table, moment, scores = comparisons_table(), utc(scored_at), score_table()
    rows = [
        {"scored_at": moment, "span": n.span, "date": n.date, "model_version": n.model_version}
        for n in nights
    ]
    with database_errors(engine, f"write the table {TABLE}"):
        table.create(engine, checkfirst=True)
        with engine.begin() as connection:
            present = connection.scalar(sa.select(scores.c.scored_at).limit(1))
            others = table.c.scored_at.is_distinct_from(present)
            connection.execute(sa.delete(table).where(others | (table.c.scored_at == moment)))
            if rows:
                connection.execute(sa.insert(table), rows)


def of_scores(connection: sa.Connection, scored_at: datetime) -> list[EarlierNight]:
    """With what the scores of that moment are compared."""
    table = comparisons_table()
    query = sa.select(table.c.span, table.c.date, table.c.model_version)
    found = connection.execute(query.where(table.c.scored_at == scored_at))
    return [EarlierNight(*row) for row in found.tuples()]
