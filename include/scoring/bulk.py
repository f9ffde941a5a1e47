"""What the nightly run says of a chunk of customers: probability, band and reasons."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xgboost as xgb

from include.champion.calibration import calibrated
from include.champion.contributions import ContributionTables, Leaves, TooDeep
from include.champion.native_trees import trees_input, usable_trees
from include.champion.onnx_scorer import Scorer, check_answers
from include.champion.trees_file import read_trees
from include.champion.versions import MODEL_FILE, SELF_CHECK_FILE, TREES_FILE, Manifest
from include.params import Band

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

SCORING_FILES = (MODEL_FILE, TREES_FILE, SELF_CHECK_FILE)
REASONS = 3
DECIMALS = 4  # of a contribution to the log-odds
SCHEMA = pa.schema(
    [
        ("customer", pa.int64()),
        ("probability", pa.float64()),
        ("band", pa.string()),
        ("reasons", pa.string()),
        ("model_version", pa.string()),
        ("scored_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class Reasons:
    """Each row's largest contributions to the log-odds: features by place, rows × 3."""

    features: "NDArray[np.int64]"
    contributions: "NDArray[np.float64]"


class BulkScorer:
    """One loaded version for many rows; ChampionError when it fails its self-check."""

    def __init__(self, manifest: Manifest, files: Mapping[str, bytes]) -> None:
        self.manifest = manifest
        self._graph = Scorer(files[MODEL_FILE])
        stored = check_answers(self._graph, files[SELF_CHECK_FILE])
        self.trees = usable_trees(manifest, files[TREES_FILE], stored)
        if self.trees is None:
            return
        self._booster = xgb.Booster()
        self._booster.load_model(bytearray(files[TREES_FILE]))
        self._booster.set_param({"nthread": 1})
        stored.check(lambda rows: self.score(self.inputs(rows)), by="XGBoost")
        self._explainer = _explainer(self.trees.leaves, files[TREES_FILE], manifest.version)

    def inputs(self, matrix: "NDArray[np.float64]") -> "NDArray[Any]":
        """Raw columns as the trees, or else the graph, want them."""
        return matrix if self.trees is None else trees_input(self.manifest, matrix)

    def score(self, inputs: "NDArray[Any]") -> "NDArray[np.float64]":
        """P(churn) by row: by XGBoost, twice as fast as the graph and equal to 1e-6."""
        if self.trees is None:
            return self._graph.score(inputs)
        margins = self._booster.inplace_predict(inputs, predict_type="margin")
        return calibrated(margins, self.manifest.calibration)

    def reasons(self, inputs: "NDArray[Any]") -> Reasons | None:
        """Why; None where this code can no longer explain the version."""
        if self.trees is None:
            return None
        contributions = self._explainer.contributions(inputs)
        return largest(contributions, slope=self.manifest.calibration.slope)

    def reasons_json(self, reasons: Reasons | None, *, rows: int) -> pa.Array:
        """The reasons as JSON texts, an empty list where there are none."""
        if reasons is None or self.trees is None:
            return pa.repeat("[]", rows)
        return reasons_json(reasons, self.trees.feature_names)


def largest(contributions: "NDArray[np.floating]", *, slope: float) -> Reasons:
    """The three contributions of largest size to the calibrated log-odds, largest first."""
    left = np.abs(contributions)
    rows, places = np.arange(len(left)), []
    for _ in range(min(REASONS, left.shape[1])):
        place = left.argmax(axis=1)
        left[rows, place] = -1
        places.append(place)
    features = np.column_stack(places).astype(np.int64)
    found = np.take_along_axis(contributions, features, axis=1).astype(np.float64)
    return Reasons(features, found * slope)


def reasons_json(reasons: Reasons, names: Sequence[str]) -> pa.Array:
    """`[{"feature": …, "contribution": …}, …]` for each row, built by column."""
    openings = pa.array([f'{{"feature":{json.dumps(name)},"contribution":' for name in names])
    texts = []
    for place in range(reasons.features.shape[1]):
        number = np.round(reasons.contributions[:, place], DECIMALS) + 0.0  # no "-0.0"
        opening = openings.take(pa.array(reasons.features[:, place]))
        contribution = pc.cast(pa.array(number), pa.string())
        texts.append(pc.binary_join_element_wise(opening, contribution, "}", ""))
    listed = pc.binary_join_element_wise(*texts, ",")
    return pc.binary_join_element_wise("[", listed, "]", "")


def band_places(probabilities: "NDArray[np.float64]", bands: Sequence[Band]) -> "NDArray[np.int64]":
    """Each probability's band: the last one that begins at or below it."""
    begins = np.array([band.begins for band in bands])
    places: NDArray[np.int64] = np.searchsorted(begins, probabilities, side="right") - 1
    return places


def score_rows(
    probabilities: "NDArray[np.float64]",
    reasons: pa.Array,
    *,
    keys: "NDArray[np.int64]",
    bands: Sequence[Band],
    model_version: str,
    scored_at: datetime,
) -> pa.Table:
    """The rows of `churn_scores` and of the parquet parts."""
    names = pa.array([band.name for band in bands])
    columns = [
        pa.array(keys),
        pa.array(probabilities),
        names.take(pa.array(band_places(probabilities, bands))),
        reasons,
        pa.repeat(model_version, len(keys)),
        pa.repeat(pa.scalar(scored_at, SCHEMA.field("scored_at").type), len(keys)),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def faults_of(frame: "pd.DataFrame", manifest: Manifest) -> list[dict[str, Any]]:
    """Why customers cannot be scored: each value that breaks the version's contract."""
    keys = frame[manifest.contract.key.name].tolist()
    return [
        {
            "customer": int(keys[fault.position]),
            "column": fault.column,
            "expected": fault.expected,
            "found": fault.found,
        }
        for fault in sorted(manifest.contract.column_faults(frame[list(manifest.columns)]))
    ]


def _explainer(leaves: Leaves, model: bytes, version: str) -> ContributionTables | Leaves:
    """Tables where the trees are shallow enough for them."""
    try:
        return ContributionTables(read_trees(model), features=leaves.features)
    except TooDeep as reason:
        logger.warning("version %s: %s, so reasons take a hundred times longer", version, reason)
        return leaves
