"""A champion's native trees: bulk scores and exact TreeSHAP contributions, by XGBoost's C library.

The library is called without XGBoost's Python package, which would import SciPy (130 MiB that the
web image has no other use for) and, where they are installed, pandas and scikit-learn.
https://xgboost.readthedocs.io/en/stable/c.html
"""

import ctypes
import importlib.util
import json
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from include.champion.versions import TREES_FILE
from include.errors import ChampionError, ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIBRARIES = ("libxgboost.so", "libxgboost.dylib", "xgboost.dll")
MARGIN, CONTRIBUTIONS = 1, 2  # prediction types of the C interface


class XGBoostTrees:
    """One loaded booster or forest, on one thread; safe to share between threads."""

    def __init__(self, model: bytes) -> None:
        if not model:  # on which the library ends the process
            raise ChampionError(f"{TREES_FILE} is empty")
        self._library = _library()
        self._booster = ctypes.c_void_p()
        self._contributing = threading.Lock()
        try:
            self._call("XGBoosterCreate", None, ctypes.c_uint64(0), ctypes.byref(self._booster))
            self._call(
                "XGBoosterLoadModelFromBuffer", self._booster, model, ctypes.c_uint64(len(model))
            )
            self._call("XGBoosterSetParam", self._booster, b"nthread", b"1")
        except ValueError as error:
            raise ChampionError(f"{TREES_FILE} cannot be loaded by XGBoost: {error}") from error

    def __del__(self) -> None:
        if getattr(self, "_booster", None):
            self._library.XGBoosterFree(self._booster)

    def margins(self, features: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """The trees' margin for each row of scaled features."""
        config = _config(MARGIN, missing=float("nan"), cache_id=0)
        return self._predict(
            "XGBoosterPredictFromDense", _interface(features), config, None
        ).ravel()

    def contributions(self, features: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """TreeSHAP: rows × (features + 1); the last column is the base value."""
        matrix = ctypes.c_void_p()
        config = json.dumps({"missing": float("nan"), "nthread": 1}).encode()
        self._call("XGDMatrixCreateFromDense", _interface(features), config, ctypes.byref(matrix))
        try:
            with self._contributing:  # unlike the other, this prediction keeps a cache
                found = self._predict("XGBoosterPredictFromDMatrix", matrix, _config(CONTRIBUTIONS))
        finally:
            self._library.XGDMatrixFree(matrix)
        return found.reshape(len(features), -1)

    def _predict(self, name: str, *arguments: Any) -> "NDArray[np.float32]":
        shape = ctypes.POINTER(ctypes.c_uint64)()
        dimensions = ctypes.c_uint64()
        result = ctypes.POINTER(ctypes.c_float)()
        self._call(
            name,
            self._booster,
            *arguments,
            *(ctypes.byref(shape), ctypes.byref(dimensions), ctypes.byref(result)),
        )
        extent = tuple(shape[: dimensions.value])
        # A copy: the library's buffer belongs to the next prediction of this thread.
        return np.ctypeslib.as_array(result, extent).copy()

    def _call(self, name: str, *arguments: Any) -> None:
        if getattr(self._library, name)(*arguments) != 0:
            raise ValueError(self._library.XGBGetLastError().decode().partition("\n")[0])


@cache
def _library() -> Any:
    """XGBoost's shared library; ConfigurationError where it is not installed."""
    found = importlib.util.find_spec("xgboost")
    folders = [] if found is None else list(found.submodule_search_locations or [])
    for folder in folders:
        for name in LIBRARIES:
            path = Path(folder, "lib", name)
            if path.exists():
                library = ctypes.CDLL(str(path))
                library.XGBGetLastError.restype = ctypes.c_char_p
                return library
    raise ConfigurationError(
        "XGBoost's library is not installed: install webapp/requirements.txt; "
        "until then /explain is unavailable and batches are scored by the graph"
    )


def _config(kind: int, **more: Any) -> bytes:
    config = {
        "type": kind,
        "training": False,
        "iteration_begin": 0,
        "iteration_end": 0,
        "strict_shape": False,
        **more,
    }
    return json.dumps(config).encode()


def _interface(matrix: "NDArray[np.float32]") -> bytes:
    """A C-contiguous matrix by its address, in NumPy's array interface."""
    document = {
        "data": [matrix.ctypes.data, True],
        "shape": list(matrix.shape),
        "strides": None,
        "typestr": "<f4",
        "version": 3,
    }
    return json.dumps(document).encode()
