"""Whom a version of early warning flags, since when, by when to call, and who is quiet already.

Flagged is the list that the gate judges: of the active customers the share `history.list_share`
whose probability is highest, with whoever ties with the last of them. A threshold would flag nobody
where one customer in fifty leaves. The day is that of the first night of the present unbroken
stretch, whichever versions scored it; it comes from the scores of the night before, and whom one
night leaves out begins anew. A version that says who has left flags nobody.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from include.customers.database import database_errors, reading
from include.customers.ranges import KeyRange
from include.customers.rows import read_rows
from include.customers.table import published_contract
from include.params import HistoryRules
from include.scoring import table as score_table
from include.scoring.earlier import NOBODY, EarlierScores
from include.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from sqlalchemy.types import TypeEngine

logger = logging.getLogger(__name__)

FLAG_TYPES: "Mapping[str, TypeEngine[Any]]" = {
    "customer": sa.BigInteger(),
    "flagged_since": sa.String(),  # as the database says the day, 2026-11-27
}
CHANGE = "Total_Ct_Chng_Q4_Q1"  # transactions of the fourth quarter over those of the first


def needed_columns(target: Target) -> list[str]:
    """The columns of `churners` that flags are made of, beside those of the list."""
    return [CHANGE] if target.is_early_warning else []


def standing_flags(engine: sa.Engine, keys: KeyRange, target: Target) -> EarlierScores:
    """Since when the scores in `churn_scores` flag a range's customers, in days since 1970."""
    table = score_table.score_table()
    if not target.is_early_warning or not _has_flags(engine):
        return NOBODY
    query = sa.select(table.c.customer, table.c.flagged_since).where(
        table.c.has_left == 0, table.c.call_by.is_not(None), keys.condition(table.c.customer)
    )
    with reading(engine, table.name) as connection:
        found = read_rows(connection, query.order_by(table.c.customer), FLAG_TYPES)
    days = found["flagged_since"].to_numpy().astype("datetime64[D]").astype(np.float64)
    return EarlierScores(found["customer"].to_numpy().astype(np.int64), days)


def with_flags(
    scores: pa.Table,
    frame: "pd.DataFrame",
    standing: EarlierScores,
    *,
    target: Target,
    rules: HistoryRules,
) -> pa.Table:
    """Scores with the flags that the same customers, the frame's rows, had until now.

    Who keeps one, and who gets one, only the whole night tells: `settle_flags`.
    """
    if not target.is_early_warning:
        nothing = pa.nulls(len(scores), pa.date32())
        return _with(scores, nothing, nothing, pa.nulls(len(scores), pa.int8()))
    days = standing.of(scores["customer"].to_numpy())
    gone = np.isnan(days) | (scores["has_left"].to_numpy() == 1)
    since = np.where(gone, 0, days).astype(np.int32)
    first = pa.array(since, mask=gone).cast(pa.date32())
    call_by = pa.array(since + np.int32(target.gap_days), mask=gone).cast(pa.date32())
    change = published_contract().matrix(frame.reindex(columns=[CHANGE]), [CHANGE])[:, 0]
    quiet = (scores["months_inactive"].to_numpy() >= rules.quiet_months) | (
        change <= rules.quiet_change
    )
    return _with(scores, first, call_by, pa.array(quiet.astype(np.int8)))


def settle_flags(
    engine: sa.Engine, scored_at: datetime, *, target: Target, rules: HistoryRules
) -> None:
    """Flag who is on the list of a whole night, and take their flags from all others."""
    if not target.is_early_warning:
        return
    table = score_table.table_of(engine, scored_at)
    today = scored_at.astimezone(UTC).date()
    new = {"flagged_since": today, "call_by": today + timedelta(days=target.gap_days)}
    here, probability = table.c.has_left == 0, table.c.probability
    score_table.make_indexes(engine, table, flags=True)  # or each question reads the whole table
    with database_errors(engine, f"flag customers in {table.name}"):
        with engine.begin() as connection:
            active = connection.scalar(sa.select(sa.func.count()).select_from(table).where(here))
            last = max(round(rules.list_share * (active or 0)), 1) - 1
            query = sa.select(probability).where(here).order_by(probability.desc())
            least = connection.scalar(query.limit(1).offset(last))
            if least is None:  # everybody has left
                return
            # A sum is in no index: those who had a flag are few, those below the list are not.
            below = [here, table.c.call_by.is_not(None), probability + 0 < least]
            gone = connection.execute(sa.update(table).where(*below).values(dict.fromkeys(new)))
            above = [here, probability >= least, table.c.call_by.is_(None)]
            come = connection.execute(sa.update(table).where(*above).values(new))
    logger.info("flagged: %s came, %s went, at %s or more", come.rowcount, gone.rowcount, least)


def _with(scores: pa.Table, since: pa.Array, call_by: pa.Array, quiet: pa.Array) -> pa.Table:
    columns = zip(score_table.FLAGS, (since, call_by, quiet), strict=True)
    for name, values in columns:
        scores = scores.append_column(name, values)
    return scores


def _has_flags(engine: sa.Engine) -> bool:
    """Not where the scores of the night before are an earlier release's."""
    return score_table.present_columns(engine).issuperset(score_table.FLAGS)
