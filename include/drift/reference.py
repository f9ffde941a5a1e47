"""What a version's traffic is compared with: its own training rows, as counts by feature."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.champion import versions
from include.contract import Column, Contract
from include.drift import statistics
from include.drift.findings import Kind, Mix, Verdict
from include.drift.statistics import SCORE, Comparison, Counts
from include.params import DriftRules
from include.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOTH: tuple[Mix, ...] = ("all", "existing")
ONE: tuple[Mix, ...] = ("all",)


@dataclass(frozen=True)
class Reference:
    """The reference rows of one version, by feature; the score's are rows that no tree saw.

    `columns` are the model's own, under the rules that it was trained with; `existing` says of each
    row whether the customer stayed. A version that says who will leave was trained on customers who
    were all there on the day, as those are whom a bank asks about: whoever left later belongs to
    them, and they are one mix.
    """

    columns: tuple[Column, ...]
    mixes: tuple[Mix, ...]  # that its customers can be compared in
    values: Mapping[str, "NDArray[np.float64]"]
    existing: Mapping[str, "NDArray[np.bool_]"]

    def without(self, name: str) -> "Reference":
        """The same, of which one is not tested."""
        kept = {each: values for each, values in self.values.items() if each != name}
        return replace(self, values=kept)

    @cached_property
    def places(self) -> "dict[str, NDArray[np.float64]]":
        """Where each feature's values are counted: at every value that any reference row has."""
        found = {name: np.unique(values) for name, values in self.values.items()}
        for column in self.columns:
            if column.categories:  # one that no reference row has can still be logged
                found[column.name] = np.arange(len(column.categories), dtype=np.float64)
        return found

    def counts(self, mix: Mix) -> dict[str, Counts]:
        """The reference's own side of each test."""
        return {
            name: statistics.count(
                values if mix == "all" else values[self.existing[name]], self.places[name]
            )
            for name, values in self.values.items()
        }

    def rows(self, mix: Mix, name: str | None = None) -> int:
        """How many reference rows the score, or without a name each feature, is tested against."""
        chosen = name or self.columns[0].name
        return len(self.values[chosen]) if mix == "all" else int(self.existing[chosen].sum())

    def compare(self, current: Mapping[str, Counts], mix: Mix) -> dict[str, Comparison]:
        """Both sides of each feature's test."""
        return {
            name: Comparison(self._kind(name), counts, current[name])
            for name, counts in self.counts(mix).items()
        }

    def _kind(self, name: str) -> Kind:
        categorical = {column.name for column in self.columns if column.categories}
        return "categorical" if name in categorical else "numeric"


def compare_group(
    reference: Reference, current: Mapping[str, Counts], rules: DriftRules
) -> tuple[Mix, tuple[Verdict, ...]]:
    """The verdicts against the configured reference.

    A bank asks about customers it still has, some callers about all it ever had; `nearest` takes
    whichever mix is closer on the whole, so that neither of the two is drift by itself.
    """
    asked: tuple[Mix, ...] = BOTH if rules.reference == "nearest" else (rules.reference,)
    mixes = [mix for mix in asked if mix in reference.mixes] or reference.mixes
    found = {mix: statistics.judge(reference.compare(current, mix), rules) for mix in mixes}
    nearest = min(found, key=lambda mix: fmean(verdict.effect for verdict in found[mix]))
    return nearest, found[nearest]


def read_reference(store: Store, version: str) -> Reference:
    """A version's reference; ChampionError when the version or its file is not whole."""
    manifest, _ = versions.read_version(store, version)
    files = versions.read_files(store, manifest, [versions.REFERENCE_FILE])
    frame = pd.read_parquet(io.BytesIO(files[versions.REFERENCE_FILE]))
    mixes = ONE if manifest.target.is_early_warning else BOTH
    found = reference_of(frame, manifest.contract, manifest.record_columns, mixes=mixes)
    if manifest.contract.defaults:  # what callers leave out moves the score, and nobody has changed
        found = found.without(SCORE)
    return found


def reference_of(
    frame: pd.DataFrame,
    contract: Contract,
    names: Sequence[str],
    *,
    mixes: tuple[Mix, ...] = BOTH,
) -> Reference:
    """The reference that customers make, with their side of the split and their score."""
    trained = (frame["split"] == "training").to_numpy()
    stayed = contract.labels(frame) == 0
    matrix = contract.matrix(frame[trained], names)
    values = dict(zip(names, matrix.T, strict=True))
    existing = dict.fromkeys(names, stayed[trained])
    # The trees know their own rows by heart: of those the score looks better than it ever will.
    values[SCORE] = frame.loc[~trained, SCORE].to_numpy(dtype=np.float64)
    existing[SCORE] = stayed[~trained]
    return Reference(tuple(map(contract.column, names)), mixes, values, existing)
