"""A version's native trees as data, read without XGBoost from its binary JSON.

https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html, https://ubjson.org/type-reference/
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from include.champion.versions import TREES_FILE
from include.errors import ChampionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# By the mark that stands before a number; big-endian, for struct and for NumPy.
NUMBERS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q", b"d": ">f", b"D": ">d"}
LEAST_COVER = np.float32(1e-30)  # shares are divided by


@dataclass(frozen=True)
class Tree:
    """One tree in XGBoost's layout, by node: a row goes left where its feature is below `cut`."""

    left: "NDArray[np.int32]"  # -1 at a leaf
    right: "NDArray[np.int32]"
    feature: "NDArray[np.int32]"
    cut: "NDArray[np.float32]"  # at a leaf, the leaf's value
    cover: "NDArray[np.float32]"  # the weight of the training rows that came by


def read_trees(data: bytes) -> list[Tree]:
    """The trees in a file; ChampionError when it is none of XGBoost's."""
    try:
        document = _Reader(data).value()
        trees = document["learner"]["gradient_booster"]["model"]["trees"]
        return [
            Tree(
                left=tree["left_children"].astype(np.int32),
                right=tree["right_children"].astype(np.int32),
                feature=tree["split_indices"].astype(np.int32),
                cut=tree["split_conditions"].astype(np.float32),
                cover=np.maximum(tree["sum_hessian"].astype(np.float32), LEAST_COVER),
            )
            for tree in trees
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise ChampionError(
            f"{TREES_FILE} holds no trees in XGBoost's binary JSON ({error!r}): train a version "
            "anew to have its answers explained"
        ) from error


class _Reader:
    """Universal Binary JSON, as far as XGBoost writes it: arrays tell their length."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def value(self) -> Any:
        mark = self._take(1)
        if mark == b"{":
            return dict(self._members())
        if mark == b"[":
            return self._array()
        return self._text() if mark == b"S" else self._number(mark)

    def _take(self, size: int) -> bytes:
        found = self._data[self._place : self._place + size]
        if size < 0 or len(found) < size:
            raise ValueError(f"it ends at byte {len(self._data)}, in the middle of a value")
        self._place += size
        return found

    def _number(self, mark: bytes) -> Any:
        form = NUMBERS[mark]
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _text(self) -> str:
        return self._take(self._number(self._take(1))).decode()

    def _members(self) -> Iterator[tuple[str, Any]]:
        while self._data[self._place : self._place + 1] != b"}":
            yield self._text(), self.value()
        self._place += 1

    def _array(self) -> Any:
        mark = self._take(1)
        form = NUMBERS[self._take(1)] if mark == b"$" else None
        if (self._take(1) if form else mark) != b"#":
            raise ValueError(f"an array without a length before byte {self._place}")
        length = self._number(self._take(1))
        if form is None:
            return [self.value() for _ in range(length)]
        return np.frombuffer(self._take(length * struct.calcsize(form)), form)
