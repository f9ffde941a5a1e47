"""From raw columns to the native trees and back, for whoever scores or explains with them."""

from typing import TYPE_CHECKING

import numpy as np

from include.champion.versions import Manifest
from include.errors import ConfigurationError
from include.features import engineer, engineered_for

if TYPE_CHECKING:
    from numpy.typing import NDArray


def feature_names(manifest: Manifest) -> tuple[str, ...]:
    """The trees' features in order; ConfigurationError where this code engineers others."""
    names = tuple(feature.name for feature in engineered_for(manifest.columns))
    if names != manifest.engineered:
        raise ConfigurationError(
            f"version {manifest.version} was trained on the engineered features "
            f"{', '.join(manifest.engineered)}, this code makes {', '.join(names)}: its native "
            "trees cannot be used any more, its graph can"
        )
    return manifest.columns + names


def trees_input(manifest: Manifest, matrix: "NDArray[np.float64]") -> "NDArray[np.float32]":
    """Raw columns engineered, scaled in double by the graph's two operations, then single."""
    engineered = engineer(matrix, manifest.columns)
    scaled = (engineered - np.array(manifest.scaler_mean)) / np.array(manifest.scaler_scale)
    return np.ascontiguousarray(scaled, dtype=np.float32)
