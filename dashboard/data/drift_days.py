"""The findings of the drift DAG, day by day, as far as the Drift page shows them."""

import io
import logging
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from dashboard.data.columns import Values, column_values, present
from include.champion.versions import Manifest
from include.errors import ChurnError, ObjectNotFound
from include.store import Store

logger = logging.getLogger(__name__)

PREFIX = "monitoring/date="
DAYS_SHOWN = 28
REPORT_BYTES_MAX = 40 * 2**20


class _Shown(BaseModel):
    """A part of a document: its own module needs SciPy, which the image does not have."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ShownVerdict(_Shown):
    """One feature's test."""

    feature: str
    effect: float
    q_value: float = 1.0
    significant: bool = False
    drifted: bool = False


class ShownGroup(_Shown):
    """What one version was asked on a day."""

    version: str
    status: str
    rows: int
    verdicts: tuple[ShownVerdict, ...] = ()


class ShownGuard(_Shown):
    """One condition of a retraining."""

    name: str
    passed: bool
    explanation: str


class ShownRetraining(_Shown):
    """What followed."""

    explanation: str = ""
    guards: tuple[ShownGuard, ...] = ()


class ShownDay(_Shown):
    """A day's `drift.json`."""

    date: date
    status: str
    explanation: str
    drifted: bool = False
    rows: int = 0
    groups: tuple[ShownGroup, ...] = ()
    retraining: ShownRetraining = ShownRetraining()

    @property
    def group(self) -> ShownGroup | None:
        """The version that the day is mostly about."""
        tested = [group for group in self.groups if group.verdicts]
        return max(tested, key=lambda g: (g.status == "drifted", g.rows), default=None)

    def verdict(self, feature: str) -> ShownVerdict | None:
        """The test of one feature on this day."""
        group = self.group
        found = (v for v in (group.verdicts if group else ()) if v.feature == feature)
        return next(found, None)


def read_days(store: Store, *, limit: int = DAYS_SHOWN) -> list[ShownDay]:
    """The latest days, the oldest first; a document that cannot be read is left out."""
    keys = [each.key for each in store.list(PREFIX) if each.key.endswith("/drift.json")]
    found = []
    for key in sorted(keys)[-limit:]:
        try:
            found.append(ShownDay.model_validate_json(store.read(key).data))
        except (ChurnError, ValueError):
            logger.warning("%s cannot be read", key, exc_info=True)
    return found


def read_report(store: Store, day: str) -> bytes | None:
    """A day's Evidently page; None where there is none."""
    try:
        parsed = date.fromisoformat(day)
        data = store.read(f"{PREFIX}{parsed.isoformat()}/report.html").data
    except (ValueError, ObjectNotFound):
        return None
    return data if len(data) <= REPORT_BYTES_MAX else None


def read_logged(store: Store, day: date, feature: str, *, version: str) -> Values | None:
    """What customers' records held in one column on a day; None where the log has no such rows."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    parts = []
    for each in store.list(f"predictions/date={day.isoformat()}/"):
        if not each.key.endswith(".parquet"):
            continue
        try:
            data = io.BytesIO(store.read(each.key).data)
            table = pq.read_table(data, columns=["source", "model_version", feature])
        except (ChurnError, ValueError, OSError):
            logger.warning("%s cannot be read", each.key, exc_info=True)
            continue
        asked = pc.equal(table["source"], "customer")
        answered = pc.equal(table["model_version"], version)
        parts.append(column_values(table.filter(pc.and_(asked, answered)), feature))
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
