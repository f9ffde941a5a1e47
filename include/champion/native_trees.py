"""A version's native trees as data: from raw columns to the reasons for an answer."""

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.champion.calibration import calibrated, logistic
from include.champion.contributions import Leaves
from include.champion.trees_file import read_trees
from include.champion.versions import Manifest, SelfCheck
from include.errors import ChurnError, ConfigurationError
from include.features import engineer, engineered_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Explanation:
    """Why a record is scored as it is: everything in log-odds, and it adds up."""

    probability: float
    log_odds: float
    base_value: float
    contributions: dict[str, float]
    values: dict[str, float]  # of the features as the model computed them, before scaling


class NativeTrees:
    """A version's own trees; ConfigurationError where this code engineers other features."""

    def __init__(self, manifest: Manifest, model: bytes) -> None:
        self.feature_names = _feature_names(manifest)
        self.leaves = Leaves(read_trees(model), features=len(self.feature_names))
        self._manifest = manifest

    def score(self, matrix: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """P(churn) of raw rows; slow, for a check."""
        margins = self.leaves.margins(trees_input(self._manifest, matrix))
        return calibrated(margins, self._manifest.calibration)

    def explain(self, matrix: "NDArray[np.float64]") -> Explanation:
        """Exact contributions to the log-odds of one raw row."""
        calibration, names = self._manifest.calibration, self.feature_names
        raw = self.leaves.contributions(trees_input(self._manifest, matrix))[0]
        contributions = dict(zip(names, (raw * calibration.slope).tolist(), strict=True))
        base = self.leaves.base * calibration.slope + calibration.intercept
        log_odds = math.fsum([base, *contributions.values()])
        values = engineer(matrix, self._manifest.columns)[0].tolist()
        return Explanation(
            probability=float(logistic(np.array(log_odds))),
            log_odds=log_odds,
            base_value=base,
            contributions=contributions,
            values=dict(zip(names, values, strict=True)),
        )


def usable_trees(manifest: Manifest, model: bytes, stored: SelfCheck) -> NativeTrees | None:
    """The native trees if they too answer the self-check rows.

    They rely on this code's feature engineering, which may have moved on since the version was
    made. The graph carries its own, so such a version still answers, without reasons.
    """
    try:
        trees = NativeTrees(manifest, model)
        stored.check(trees.score, by="the native trees")
    # All but the first: trees whose arrays do not fit, or that lead back to a node above.
    except (ChurnError, ValueError, IndexError, RecursionError) as error:
        logger.warning("version %s answers without reasons: %s", manifest.version, error)
        return None
    return trees


def trees_input(manifest: Manifest, matrix: "NDArray[np.float64]") -> "NDArray[np.float32]":
    """Raw columns engineered, scaled in double by the graph's two operations, then single."""
    engineered = engineer(matrix, manifest.columns)
    scaled = (engineered - np.array(manifest.scaler_mean)) / np.array(manifest.scaler_scale)
    return np.ascontiguousarray(scaled, dtype=np.float32)


def _feature_names(manifest: Manifest) -> tuple[str, ...]:
    names = tuple(feature.name for feature in engineered_for(manifest.columns))
    if names != manifest.engineered:
        raise ConfigurationError(
            f"version {manifest.version} was trained on the engineered features "
            f"{', '.join(manifest.engineered)}, this code makes {', '.join(names)}: its native "
            "trees cannot be used any more, its graph can"
        )
    return manifest.columns + names
