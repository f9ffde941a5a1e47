"""A champion as the service holds it: checked, loaded, ready to answer."""

import logging
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from include.champion.onnx_scorer import Scorer, check_answers
from include.champion.versions import (
    MODEL_FILE,
    SELF_CHECK_FILE,
    SELF_CHECK_TOLERANCE,
    TREES_FILE,
    Manifest,
    Pointer,
    SelfCheck,
)
from include.documents import parse_document
from include.errors import ChampionError, ChurnError, ConfigurationError
from include.features import engineer, engineered_for
from include.predictions.log import Columns, feature_columns
from webapp.champion.xgboost_trees import XGBoostTrees
from webapp.records import RecordReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

SERVING_FILES = (MODEL_FILE, SELF_CHECK_FILE, TREES_FILE)
BULK_ROWS = 32  # from here on the native trees are faster than the graph


@dataclass(frozen=True)
class Explanation:
    """Why a record is scored as it is: everything in log-odds, and it adds up."""

    probability: float
    log_odds: float
    base_value: float
    contributions: dict[str, float]
    values: dict[str, float]  # of the features as the model computed them, before scaling


@dataclass(frozen=True)
class ServedChampion:
    """One version, loaded; a request takes one reference and keeps to it."""

    version: str
    pointer: Pointer
    manifest: Manifest
    scorer: Scorer
    reader: RecordReader
    trees: XGBoostTrees | None

    @cached_property
    def log_columns(self) -> Columns:
        """What the log needs to know of the contract."""
        return feature_columns(self.manifest.contract)

    @cached_property
    def description(self) -> bytes:
        """What GET /model answers: the manifest as it is in the store, which holds no secret."""
        document: dict[str, Any] = self.manifest.model_dump(mode="json")
        document["promoted_at"] = self.pointer.promoted_at.isoformat()
        document["promotion_reason"] = self.pointer.reason
        return orjson.dumps(document)

    def score(self, matrix: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """P(churn) by row: few rows by the graph, many by the native trees, equal to 1e-6."""
        if self.trees is None or len(matrix) < BULK_ROWS:
            return self.scorer.score(matrix)
        return _native_scores(self.trees, self.manifest, matrix)

    def explain(self, matrix: "NDArray[np.float64]") -> Explanation | None:
        """Exact contributions to the log-odds of one row; None where the trees cannot be used."""
        if self.trees is None:
            return None
        engineered = engineer(matrix, self.manifest.columns)
        raw = self.trees.contributions(_scaled(self.manifest, engineered))[0].astype(np.float64)
        slope, intercept = self.manifest.calibration.slope, self.manifest.calibration.intercept
        names = self.manifest.columns + self.manifest.engineered
        contributions = dict(zip(names, (raw[:-1] * slope).tolist(), strict=True))
        base = float(raw[-1]) * slope + intercept
        log_odds = math.fsum([base, *contributions.values()])
        return Explanation(
            probability=_logistic(log_odds),
            log_odds=log_odds,
            base_value=base,
            contributions=contributions,
            values=dict(zip(names, engineered[0].tolist(), strict=True)),
        )


def load(pointer: Pointer, manifest: Manifest, files: dict[str, bytes]) -> ServedChampion:
    """Load a version whose files match their hashes, and let it answer its self-check rows."""
    stored = parse_document(SelfCheck, files[SELF_CHECK_FILE], SELF_CHECK_FILE)
    scorer = Scorer(files[MODEL_FILE])
    if stored.columns != manifest.columns or scorer.width != len(manifest.columns):
        raise ChampionError(
            f"version {manifest.version}: the manifest names {len(manifest.columns)} columns, the "
            f"graph takes {scorer.width}, and the self-check rows have {len(stored.columns)} "
            "(or other names): its parts do not belong together"
        )
    check_answers(scorer, files[SELF_CHECK_FILE])
    reader = RecordReader(manifest.contract, manifest.columns)
    trees = _usable_trees(manifest, files[TREES_FILE], stored)
    return ServedChampion(manifest.version, pointer, manifest, scorer, reader, trees)


def _usable_trees(manifest: Manifest, data: bytes, stored: SelfCheck) -> XGBoostTrees | None:
    """The native trees if they answer the self-check rows too.

    They are not what serves single records, and they rely on this code's feature engineering, which
    may have moved on since the version was made. So a champion does without them if it must.
    """
    try:
        expected = tuple(feature.name for feature in engineered_for(manifest.columns))
        if manifest.engineered != expected:
            raise ConfigurationError(f"engineered features {manifest.engineered}, now {expected}")
        trees = XGBoostTrees(data)
        answers = _native_scores(trees, manifest, np.array(stored.rows, dtype=np.float64))
        worst = float(np.max(np.abs(answers - np.array(stored.probabilities))))
        if not worst <= SELF_CHECK_TOLERANCE:
            raise ChampionError(f"answers that differ by up to {worst:.2g} from the stored ones")
    except (ChurnError, ValueError) as error:
        logger.warning(
            "version %s serves without its native trees, so without /explain: %s",
            manifest.version,
            error,
        )
        return None
    return trees


def _native_scores(
    trees: XGBoostTrees, manifest: Manifest, matrix: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    margins = trees.margins(_scaled(manifest, engineer(matrix, manifest.columns)))
    slope, intercept = manifest.calibration.slope, manifest.calibration.intercept
    # Beyond 700 the exponential overflows; float64 has long since rounded to 0 or 1.
    log_odds = np.clip(margins.astype(np.float64) * slope + intercept, -700.0, 700.0)
    return 1.0 / (1.0 + np.exp(-log_odds))


def _scaled(manifest: Manifest, engineered: "NDArray[np.float64]") -> "NDArray[np.float32]":
    """The trees' input: scaled in double by the graph's two operations, then single."""
    scaled = (engineered - np.array(manifest.scaler_mean)) / np.array(manifest.scaler_scale)
    return np.ascontiguousarray(scaled, dtype=np.float32)


def _logistic(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-700.0, min(700.0, log_odds))))
