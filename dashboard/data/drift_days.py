"""The findings of the drift DAG, day by day, as far as the Drift page shows them."""

import logging
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from dashboard.data.columns import Values, column_values, present
from include.champion.versions import Manifest
from include.drift.findings import (
    DRIFT_FILE,
    PREFIX,
    REPORT_PAGE,
    DriftDay,
    GroupDrift,
    Verdict,
    day_key,
    read_day_at,
)
from include.errors import ChurnError, ObjectNotFound, StoreUnavailable
from include.predictions import log as prediction_log
from include.predictions.asked import CUSTOMER_KEY, KEYS, AskedCustomers, rows_by_version
from include.store import Store

logger = logging.getLogger(__name__)

DAYS_SHOWN = 28
REPORT_BYTES_MAX = 40 * 2**20


def main_group(day: DriftDay) -> GroupDrift | None:
    """The version that the day is mostly about."""
    tested = [group for group in day.groups if group.verdicts]
    return max(tested, key=lambda g: (g.status == "drifted", g.rows), default=None)


def verdict_of(day: DriftDay, feature: str) -> Verdict | None:
    """The test of one feature on a day."""
    group = main_group(day)
    return next((v for v in (group.verdicts if group else ()) if v.feature == feature), None)


def read_days(store: Store) -> list[DriftDay]:
    """The latest days, the oldest first; a document that cannot be read is left out."""
    keys = [each.key for each in store.list(f"{PREFIX}/") if each.key.endswith(f"/{DRIFT_FILE}")]
    found = []
    for key in sorted(keys)[-DAYS_SHOWN:]:
        try:
            found.append(read_day_at(store, key))
        except StoreUnavailable:
            raise  # to leave out all of them would say that there were none
        except ChurnError:
            logger.warning("%s cannot be read", key, exc_info=True)
    return found


def read_report(store: Store, day: str) -> bytes | None:
    """A day's Evidently page; None where there is none."""
    try:
        parsed = date.fromisoformat(day)
        data = store.read(day_key(parsed, REPORT_PAGE)).data
    except (ValueError, ObjectNotFound):
        return None
    return data if len(data) <= REPORT_BYTES_MAX else None


def read_logged(store: Store, day: date, feature: str, *, manifest: Manifest) -> Values | None:
    """What a version's customers of a day had in one column, each once, as the drift run counts.

    None where the log has no such rows.
    """
    import pyarrow as pa

    columns, parts = manifest.contract.feature_names, []
    customers = AskedCustomers(columns)
    for batch in prediction_log.read_predictions(
        store, day, columns=[*KEYS, *columns], hashed=[CUSTOMER_KEY], unreadable=[]
    ):
        asked = dict(rows_by_version(batch)).get(manifest.version)
        if asked is not None:
            rows = batch.take(asked)
            first = customers.count(manifest.version, rows, np.ones(len(asked), dtype=bool)).first
            parts.append(column_values(pa.Table.from_batches([rows.filter(first)]), feature))
    return present(np.concatenate(parts)) if parts else None


def shares_like(
    values: Values, places: Sequence[Any], *, manifest: Manifest, feature: str
) -> list[float]:
    """The share of values in each of the reference's bins; the outer ones take what is outside."""
    if not len(values):
        return []
    if manifest.contract.column(feature).categories:
        return [float(np.mean(values == place)) for place in places]
    edges = np.asarray(places, dtype=float)
    inside = np.clip(values, edges[0], edges[-1])
    counts, _ = np.histogram(inside, bins=edges)
    return (counts / max(counts.sum(), 1)).tolist()  # type: ignore[no-any-return]
