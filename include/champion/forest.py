"""Exact TreeSHAP contributions of any trees, a row at a time, without XGBoost.

A leaf adds to a feature the integral, over t from 0 to 1, of a product over the features that its
path asks about (contributions.py has the formula). Leaves below an edge share the factors above it.
So one walk down multiplies the factors, one walk up sums the leaves' products, and each edge adds
its part of the sum below it, at a few places of t: three where no path is longer than six. This is
Linear TreeSHAP (Yu et al. 2022, doi:10.48550/arXiv.2209.08192) by quadrature. Each step takes the
nodes of one depth in all trees at once.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from include.champion.trees_file import Tree
from include.errors import ChampionError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Forest:
    """All trees of a version, safe to share between threads.

    Nodes are numbered by depth, so that the k-th inner node's children come as the k-th pair behind
    the roots. What is kept of a node is said of the edge to it; every row takes the edge to a root.
    """

    def __init__(self, trees: Sequence[Tree], *, features: int) -> None:
        self.features = features
        levels, joined = _by_depth(trees)
        self._roots = len(levels[0])
        ends = np.cumsum([len(level) for level in levels])
        self._levels = [slice(*each) for each in zip(ends, ends[1:], strict=False)]
        inner = joined.left >= 0
        roots, parents = np.arange(self._roots), np.flatnonzero(inner)
        self._parent = np.concatenate([roots, np.repeat(parents, 2)]).astype(np.int32)
        self._goes_left = (np.arange(len(inner)) - self._roots) % 2 == 0
        self._cut, self._feature = joined.cut[self._parent], joined.feature[self._parent]
        if not 0 <= self._feature.min() <= self._feature.max() < features:
            raise ChampionError(f"the trees ask about more features than the {features} there are")
        self._value = np.where(inner, 0.0, joined.cut.astype(np.float64))
        self._earlier = self._nearest_above()
        self._share = joined.cover / joined.cover[self._parent].astype(np.float64)
        for level in self._levels:
            self._share[level] *= self._share[self._earlier[level]]
        self.base = float(self._sums(self._share)[: self._roots].sum())

    def margins(self, rows: "NDArray[np.float32]") -> "NDArray[np.float64]":
        """The sum of the leaves that each row reaches."""
        margins = np.empty(len(rows))
        for place, row in enumerate(rows):
            reached = self._takes(row)
            for level in self._levels:
                reached[level] &= reached[self._parent[level]]
            margins[place] = self._value[reached].sum()
        return margins

    def contributions(self, rows: "NDArray[np.float32]") -> "NDArray[np.float64]":
        """Each feature's contribution to the margin, rows × features; no value may be NaN."""
        found = np.empty((len(rows), self.features))
        for place, row in enumerate(rows):
            found[place] = self._of_row(row)
        return found

    def _of_row(self, row: "NDArray[np.float32]") -> "NDArray[np.float64]":
        meets = self._takes(row)
        for level in self._levels:
            meets[level] &= meets[self._earlier[level]]
        total = np.zeros(self.features)
        for t, weight in quadrature(min(len(self._levels), self.features)):
            factors = self._share * (1 - t) + meets * t
            parts = (meets - self._share) / factors
            # Of a path's edges that ask about one feature only the last one's part shall remain.
            parts -= parts[self._earlier]
            total += weight * np.bincount(self._feature, self._sums(factors) * parts, self.features)
        return total

    def _takes(self, row: "NDArray[np.float32]") -> "NDArray[np.bool_]":
        """Whether a row that comes by takes each edge."""
        taken: NDArray[np.bool_] = (row[self._feature] < self._cut) == self._goes_left
        taken[: self._roots] = True
        return taken

    def _sums(self, factors: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Below each edge, the sum over leaves of value times the factors of the path's features.

        An edge's factor stands for all edges above it that ask about the same feature.
        """
        ratios = factors / factors[self._earlier]
        sums = np.ones_like(factors)
        for level in self._levels:
            sums[level] = sums[self._parent[level]] * ratios[level]
        sums *= self._value
        for level in reversed(self._levels):
            pairs = sums[level]
            sums[self._parent[level][::2]] = pairs[::2] + pairs[1::2]
        return sums

    def _nearest_above(self) -> "NDArray[np.int32]":
        """For each edge, the nearest above that asks about the same feature, or else the root's."""
        earlier = np.arange(len(self._parent), dtype=np.int32)
        latest, first = np.repeat(earlier[: self._roots, None], self.features, axis=1), 0
        for level in self._levels:
            latest = latest[self._parent[level] - first]
            rows, asked = np.arange(len(latest)), self._feature[level]
            numbers, earlier[level] = earlier[level].copy(), latest[rows, asked]
            latest[rows, asked], first = numbers, level.start
        return earlier


def _by_depth(trees: Sequence[Tree]) -> tuple[list["NDArray[np.intp]"], Tree]:
    """The nodes of each depth, in all trees' numbering, and all trees as one in that order."""
    starts = np.cumsum([0, *(len(tree.left) for tree in trees)])
    left, right, feature, cut, cover = (
        np.concatenate([getattr(tree, name) for tree in trees])
        for name in ("left", "right", "feature", "cut", "cover")
    )
    shift = np.repeat(starts[:-1], np.diff(starts))
    levels = [starts[:-1]]
    while len(parents := levels[-1][left[levels[-1]] >= 0]):
        if sum(map(len, levels)) > len(left):
            raise ChampionError("a node of the trees lies below itself")
        children = [(side + shift)[parents] for side in (left, right)]
        levels.append(np.stack(children, axis=1).ravel())
    order = np.concatenate(levels)
    return levels, Tree(left[order], right[order], feature[order], cut[order], cover[order])


@cache
def quadrature(factors: int) -> list[tuple[float, float]]:
    """Places and weights from 0 to 1, exact for products of so many linear factors but one."""
    points = max(1, -(-factors // 2))
    places, weights = np.polynomial.legendre.leggauss(points)  # from -1 to 1
    return list(zip(((places + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))
