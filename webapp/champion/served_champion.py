"""A champion as the service holds it: checked, loaded, ready to answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from include.champion.native_trees import Explanation, NativeTrees, usable_trees
from include.champion.onnx_scorer import Scorer, check_answers
from include.champion.versions import (
    MODEL_FILE,
    SELF_CHECK_FILE,
    TREES_FILE,
    Manifest,
    Pointer,
)
from include.errors import ChampionError
from include.predictions.log import Columns, feature_columns
from webapp.records import RecordReader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SERVING_FILES = (MODEL_FILE, SELF_CHECK_FILE, TREES_FILE)


@dataclass(frozen=True)
class ServedChampion:
    """One version, loaded; a request takes one reference and keeps to it."""

    version: str
    pointer: Pointer
    manifest: Manifest
    scorer: Scorer
    reader: RecordReader
    trees: NativeTrees | None

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
        """P(churn) by row, the same bits for a record alone or among others."""
        return self.scorer.score(matrix)

    def explain(self, matrix: "NDArray[np.float64]") -> Explanation | None:
        """Why one row is scored as it is; None where the trees cannot be used."""
        return None if self.trees is None else self.trees.explain(matrix)


def load(pointer: Pointer, manifest: Manifest, files: Mapping[str, bytes]) -> ServedChampion:
    """Load a version whose files match their hashes, and let it answer its self-check rows."""
    scorer = Scorer(files[MODEL_FILE])
    stored = check_answers(scorer, files[SELF_CHECK_FILE])
    if stored.columns != manifest.columns:
        raise ChampionError(
            f"version {manifest.version}: the manifest names {len(manifest.columns)} columns, the "
            f"self-check rows have {len(stored.columns)} (or other names): its parts do not belong "
            "together"
        )
    reader = RecordReader(manifest.contract, manifest.columns)
    trees = usable_trees(manifest, files[TREES_FILE], stored)
    return ServedChampion(manifest.version, pointer, manifest, scorer, reader, trees)
