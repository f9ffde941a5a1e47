"""Answers from the ONNX graph: the one scorer of the gate, the API and the bulk jobs."""

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from include.champion.versions import (
    MODEL_FILE,
    SELF_CHECK_FILE,
    SelfCheck,
)
from include.documents import parse_document
from include.errors import ChampionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

INPUT = "columns"  # float64, rows × raw columns
OUTPUT = "probability"  # float32, rows × 1


class Scorer:
    """One loaded graph; safe to share between threads."""

    def __init__(self, model: bytes, *, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base below Exception
            raise ChampionError(
                f"{MODEL_FILE} cannot be loaded by ONNX Runtime: {error}"
            ) from error
        self.width = _width(self._session)

    def score(self, matrix: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """P(churn) for each row of a float64 matrix, rows × the manifest's columns."""
        answer: Any = self._session.run([OUTPUT], {INPUT: matrix})[0]
        return answer.ravel().astype(np.float64)  # type: ignore[no-any-return]


def check_answers(scorer: Scorer, data: bytes) -> SelfCheck:
    """Let a freshly loaded graph answer its stored rows; ChampionError when it differs."""
    stored = parse_document(SelfCheck, data, SELF_CHECK_FILE)
    if len(stored.columns) != scorer.width:
        raise ChampionError(
            f"the graph takes {scorer.width} columns, its self-check rows "
            f"have {len(stored.columns)}"
        )
    stored.check(scorer.score, by="the graph")
    return stored


def _width(session: ort.InferenceSession) -> int:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    names = [i.name for i in inputs], [o.name for o in outputs]
    if names != ([INPUT], [OUTPUT]) or not isinstance(inputs[0].shape[-1], int):
        raise ChampionError(
            f"the graph must take {INPUT!r} and give {OUTPUT!r}, found {names[0]} and {names[1]}"
        )
    return int(inputs[0].shape[-1])
