"""What the store says of the champion and of the versions before it."""

import io
import json
import logging
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.data.columns import Values, column_values
from include.champion.early_warning import EarlyWarning
from include.champion.gate_decision import GATE_FILE, Decision
from include.champion.versions import (
    MANIFEST_FILE,
    REFERENCE_FILE,
    VERSIONS_PREFIX,
    Evaluation,
    Manifest,
    Pointer,
    read_files,
    read_manifest,
    read_pointer,
    read_version,
)
from include.contract import Column
from include.documents import parse_document
from include.errors import ChurnError, StoreUnavailable
from include.store import Store

logger = logging.getLogger(__name__)

GATE_SUFFIX = f"/evaluate_model/{GATE_FILE}"
GATES_SHOWN = 30
BINS = 24
SUMMARIES_KEPT = 8


@dataclass(frozen=True)
class Champion:
    """The version in production."""

    pointer: Pointer
    manifest: Manifest


@dataclass(frozen=True)
class TypicalValue:
    """A column over the customers that the champion was trained on and judged by."""

    value: Any  # the median, or the most frequent category
    low: float | None = None  # of the middle half
    high: float | None = None


def read_champion(store: Store) -> Champion | None:
    """The version in production; None where there is none yet."""
    found = read_pointer(store)
    if found is None:
        return None
    return Champion(found[0], read_manifest(store, found[0]))


def early_warning_of(manifest: Manifest, evaluation: Evaluation) -> EarlyWarning | None:
    """How early the version sees leavers, beside the champion that the gate compared it with.

    None of a version that says who has left.
    """
    found, compared = evaluation.early_warning, manifest.gate.get("early_warning")
    if found is None or not compared:
        return found
    data, key = json.dumps(compared).encode(), f"the gate of version {manifest.version}"
    gate = parse_document(EarlyWarning, data, key, any_release=True)
    older = {month.as_of: month.champion for month in gate.older}
    return found.model_copy(
        update={
            "champion": gate.champion,
            "older": tuple(
                month.model_copy(update={"champion": older.get(month.as_of)})
                for month in found.older
            ),
        }
    )


def read_versions(store: Store) -> list[Manifest]:
    """Every version that was ever promoted or approved, the newest first."""
    suffix = f"/{MANIFEST_FILE}"
    found = []
    for listed in store.list(f"{VERSIONS_PREFIX}/"):
        if not listed.key.endswith(suffix):
            continue
        try:
            found.append(read_version(store, listed.key.split("/")[-2])[0])
        except StoreUnavailable:
            raise
        except ChurnError:
            logger.warning("a version's manifest cannot be read: %s", listed.key, exc_info=True)
    return sorted(found, key=lambda manifest: manifest.created_at, reverse=True)


def read_gates(store: Store) -> list[Decision]:
    """The latest decisions of the gate, refused candidates included, the newest first."""
    listed = [each for each in store.list("runs/") if each.key.endswith(GATE_SUFFIX)]
    latest = sorted(listed, key=lambda each: each.modified, reverse=True)[:GATES_SHOWN]
    found = []
    for each in latest:
        try:
            data = store.read(each.key).data
            found.append(parse_document(Decision, data, each.key, any_release=True))
        except StoreUnavailable:
            raise
        except ChurnError:
            logger.warning("a decision of the gate cannot be read: %s", each.key, exc_info=True)
    return found


class ReferenceReader:
    """The reference customers of the versions asked for, summarised once for each."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._found: dict[str, ReferenceSummary] = {}

    def summary(self, manifest: Manifest) -> "ReferenceSummary":
        """The version's reference by column; empty where it has none."""
        with self._lock:  # one reader at a time: the file may be large
            if manifest.version not in self._found:
                if len(self._found) >= SUMMARIES_KEPT:
                    self._found.clear()
                self._found[manifest.version] = self._summarise(manifest)
            return self._found[manifest.version]

    def _summarise(self, manifest: Manifest) -> "ReferenceSummary":
        import pyarrow.parquet as pq

        if REFERENCE_FILE not in manifest.files:
            return ReferenceSummary({}, {})
        data = read_files(self._store, manifest, [REFERENCE_FILE])[REFERENCE_FILE]
        file = pq.ParquetFile(io.BytesIO(data))
        target = manifest.contract.target
        stayed = column_values(file.read(columns=[target.name]), target.name) != target.positive
        typical, bins = {}, {}
        for column in manifest.contract.features:
            if column.name not in file.schema_arrow.names or not len(stayed):
                continue
            values = column_values(file.read(columns=[column.name]), column.name)
            typical[column.name] = typical_of(values[stayed], column)
            bins[column.name] = histogram_of(values, column)
        return ReferenceSummary(typical, bins)


@dataclass(frozen=True)
class ReferenceSummary:
    """A reference by column: typical among those who stayed, and the distribution of all."""

    typical: dict[str, TypicalValue]
    bins: dict[str, tuple[list[Any], list[float]]]


def typical_of(values: Values, column: Column) -> TypicalValue:
    """The median and middle half of numbers, the most frequent of categories."""
    if column.categories:
        names, counts = np.unique(values.astype(str), return_counts=True)
        return TypicalValue(str(names[counts.argmax()]))
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return TypicalValue(round(middle) if column.type == "integer" else round(middle, 3), low, high)


def histogram_of(values: Values, column: Column) -> tuple[list[Any], list[float]]:
    """Shares of customers: by category, or between equally wide edges for numbers."""
    if column.categories:
        return list(column.categories), [float(np.mean(values == n)) for n in column.categories]
    counts, edges = np.histogram(values, bins=BINS)
    return edges.tolist(), (counts / counts.sum()).tolist()
