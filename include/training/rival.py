"""The champion beside a candidate: its answers, where the two can be compared at all."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from include.champion import versions
from include.champion.onnx_scorer import Scorer
from include.champion.promotion import Production
from include.champion.versions import Manifest
from include.features import SplitRule
from include.params import Params
from include.target import Target
from include.training.early_guards import Apart
from include.training.run import TrainingRun

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Rival:
    """A champion that predicts what the candidate does."""

    manifest: Manifest
    scorer: Scorer

    def answers(
        self, frame: "pd.DataFrame", *, key: str, split: SplitRule
    ) -> "NDArray[np.float64]":
        """Its answers; NaN for customers who may not judge.

        That is whom it was trained on, where the split was changed since, and whom its own contract
        refuses, because that was changed since.
        """
        matrix = self.manifest.contract.matrix(frame, self.manifest.columns)
        judges = ~np.isnan(matrix).any(axis=1)
        if self.manifest.split != split:
            judges &= self.manifest.split.sides(frame[key].tolist()) == "holdout"
        found = np.full(len(frame), np.nan)
        found[judges] = self.scorer.score(matrix[judges])
        return found


def read_rival(run: TrainingRun, target: Target, production: Production) -> Rival | Apart | None:
    """The champion, or why it is not compared; None where nothing is in production yet."""
    if production.pointer is None:
        return None
    manifest = versions.read_manifest(run.store, production.pointer)
    why = _unlike(manifest, target, run.params)
    if why:
        return Apart(manifest.version, f"{why}, so the two are not compared: a person decides")
    files = versions.read_files(run.store, manifest, [versions.MODEL_FILE])
    return Rival(manifest, Scorer(files[versions.MODEL_FILE]))


def _unlike(manifest: Manifest, target: Target, params: Params) -> str:
    """What the champion was made for that the candidate is not; '' where both are alike."""
    if manifest.target != target:
        return f"version {manifest.version} says who {manifest.target}, this candidate who {target}"
    listed = params.campaigns.listed_customers
    if manifest.listed_customers not in (None, listed):
        return (
            f"campaigns.listed_customers was {manifest.listed_customers} when version "
            f"{manifest.version} was trained, for this candidate it is {listed}"
        )
    list_share = params.history.list_share
    early: dict[str, Any] = manifest.gate.get("early_warning") or {}
    before = early.get("list_share", list_share)
    if target.is_early_warning and before != list_share:
        return (
            f"version {manifest.version} was chosen for a list of {before:.0%} of the customers, "
            f"this candidate for {list_share:.0%}"
        )
    return ""
