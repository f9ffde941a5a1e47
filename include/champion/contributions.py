"""Exact TreeSHAP contributions: of a row of any trees, and in bulk of shallow ones.

What a leaf of value v contributes to feature i is the path-dependent Shapley value (Lundberg et
al. 2020, doi:10.1038/s42256-019-0138-9). With o_j = 1 where the row meets the path's conditions on
feature j, else 0, and z_j the share of training rows that met them:

    v (o_i - z_i) ∫₀¹ ∏_{j≠i} (z_j (1 - t) + o_j t) dt

because |S|! (d-1-|S|)! / d! is the integral of t^|S| (1-t)^(d-1-|S|). The integrand is a polynomial
in t, which Gauss-Legendre quadrature integrates exactly.

All leaves together take two milliseconds a row (500 trees of depth 5). But a leaf's contributions
depend on a row only through which of the leaf's conditions it meets. So the cuts that some leaves
of a tree ask about part all rows into a grid of cells; where it has at most 256, it becomes one
table, made once for a version, and a customer costs one look-up a table: 15 µs, and the same
numbers to float32's last digits.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from include.champion.trees_file import Tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELLS = 256  # of one table, so that a row's place is one byte
LANE = 8  # features of one look-up: NumPy copies 32 bytes as one
ROWS, LEAVES = 32_768, 8192  # at once: NumPy's calls are cheap then, and the caches suffice
TABLES_MAX_BYTES = 400 * 2**20

Side = tuple[float, float, float]  # from, up to, and the share of training rows between
Box = dict[int, Side]  # what a leaf asks, by feature
Grid = dict[int, list[float]]  # the cuts of each feature, ascending
EVERYWHERE: Side = (-math.inf, math.inf, 1.0)


class TooDeep(ValueError):
    """Trees whose tables would be too large; Leaves explains them, a row at a time."""


class Walk:
    """A tree to be walked node by node, which lists do faster than arrays."""

    def __init__(self, tree: Tree) -> None:
        self.left: list[int] = tree.left.tolist()
        self.right: list[int] = tree.right.tolist()
        self.feature: list[int] = tree.feature.tolist()
        self.cut: list[float] = tree.cut.tolist()  # at a leaf, the leaf's value
        self.cover: list[float] = tree.cover.tolist()

    def is_leaf(self, node: int) -> bool:
        """Whether the node has no children."""
        return self.left[node] == -1

    def children(self, node: int, box: Box) -> Iterator[tuple[int, Box]]:
        """Both children of a node, each with the part of the node's box that leads there."""
        feature, cut, cover = self.feature[node], self.cut[node], self.cover
        low, high, share = box.get(feature, EVERYWHERE)
        left, right = self.left[node], self.right[node]
        yield left, box | {feature: (low, min(high, cut), share * cover[left] / cover[node])}
        yield right, box | {feature: (max(low, cut), high, share * cover[right] / cover[node])}

    def leaves(self, node: int, box: Box) -> Iterator[tuple[float, Box]]:
        """The leaves from a node down: value and box."""
        if self.is_leaf(node):
            yield self.cut[node], box
            return
        for child, part in self.children(node, box):
            yield from self.leaves(child, part)


class Leaves:
    """All leaves of a version with their boxes; safe to share between threads."""

    def __init__(self, trees: Sequence[Tree], *, features: int) -> None:
        self.features = features
        found = []
        for tree in trees:
            found.append(_padded(list(Walk(tree).leaves(0, {})), features))
            time.sleep(0)  # a large forest takes a second; others may answer meanwhile
        self._value = np.concatenate([values for values, _ in found])
        sides = np.concatenate([sides for _, sides in found])
        self._most = int(np.isfinite(sides[:, :, :2]).any(axis=(0, 2)).sum())
        sides = sides[:, : self._most].transpose(2, 0, 1)
        self._low, self._high, self._share = sides[:3].copy()
        self._feature = sides[3].astype(np.int16)
        self.base = float((self._value * self._share.prod(axis=1, dtype=np.float64)).sum())

    def margins(self, rows: "NDArray[np.float32]") -> "NDArray[np.float64]":
        """The sum of the leaves that each row reaches; no value may be NaN."""
        reached = (self._meets(row, slice(None)).all(axis=1) for row in rows)
        return np.array([self._value[leaves].sum() for leaves in reached])

    def contributions(self, rows: "NDArray[np.float32]") -> "NDArray[np.float64]":
        """Each feature's contribution to the margin, rows × features; no value may be NaN."""
        return np.array([self._of_row(row) for row in rows]).reshape(len(rows), self.features)

    def _of_row(self, row: "NDArray[np.float32]") -> "NDArray[np.float64]":
        total = np.zeros(self.features)
        for start in range(0, len(self._value), LEAVES):
            part = slice(start, start + LEAVES)
            meets, share = self._meets(row, part).astype(np.float64), self._share[part]
            found = _shapley(self._value[part, None], meets, share, most=self._most)
            total += np.bincount(self._feature[part].ravel(), found.ravel(), self.features)
        return total

    def _meets(self, row: "NDArray[np.float32]", part: slice) -> "NDArray[np.bool_]":
        values = row[self._feature[part]]
        meets: NDArray[np.bool_] = (self._low[part] <= values) & (values < self._high[part])
        return meets


def _padded(
    leaves: Sequence[tuple[float, Box]], features: int
) -> "tuple[NDArray[np.float64], NDArray[np.float32]]":
    """Values; leaves × features × (side, feature's place), filled up with what all rows meet."""
    sides = np.full((len(leaves), features, 4), (*EVERYWHERE, 0), np.float32)
    for place, (_, box) in enumerate(leaves):
        if box:
            sides[place, : len(box)] = [(*side, feature) for feature, side in box.items()]
    return np.array([value for value, _ in leaves]), sides


@dataclass(frozen=True)
class Table:
    """Contributions by cell, cut into lanes of eight features; lanes without any are left out.

    A row's cell is the sum of the strides of the cuts that it does not stay below.
    """

    cuts: tuple[tuple[int, np.float32, np.uint8], ...]  # feature, cut, stride
    lanes: "tuple[tuple[int, NDArray[np.float32]], ...]"


class ContributionTables:
    """All tables of a version; TooDeep when they would not fit."""

    def __init__(self, trees: Sequence[Tree], *, features: int) -> None:
        self.features = features
        self._lanes = -(-features // LANE)
        self._trees, self.bytes = [], 0
        for tree in trees:
            tables = list(_tables(Walk(tree), 0, {}, self._lanes))
            self.bytes += sum(lane.nbytes for table in tables for _, lane in table.lanes)
            if self.bytes > TABLES_MAX_BYTES:
                raise TooDeep(f"the tables exceed {TABLES_MAX_BYTES >> 20} MiB")
            self._trees.append(tables)

    def contributions(self, features: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """Each feature's contribution to the margin, rows × features; no value may be NaN."""
        parts = [
            self._of_rows(features[start : start + ROWS]) for start in range(0, len(features), ROWS)
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.features), np.float32)

    def _of_rows(self, features: "NDArray[np.float32]") -> "NDArray[np.float32]":
        columns, rows = np.ascontiguousarray(features.T), len(features)
        sums = [np.zeros((rows, LANE), np.float32) for _ in range(self._lanes)]
        found = np.empty((rows, LANE), np.float32)
        for tables in self._trees:
            # All bits of a byte where a row goes right: masking it is faster than multiplying.
            cuts = {(feature, cut) for table in tables for feature, cut, _ in table.cuts}
            rights = {
                (feature, cut): np.negative((columns[feature] >= cut).view(np.uint8))
                for feature, cut in cuts
            }
            for table in tables:
                cells = np.zeros(rows, np.uint8)
                for feature, cut, stride in table.cuts:
                    cells += rights[feature, cut] & stride
                places = cells.astype(np.intp)
                for lane, entries in table.lanes:
                    np.take(entries, places, axis=0, out=found, mode="clip")
                    sums[lane] += found
        return np.hstack(sums)[:, : self.features]


def _tables(tree: Walk, node: int, box: Box, lanes: int) -> Iterator[Table]:
    """Cut a tree into tables: from the root down until the grid is small enough."""
    leaves = list(tree.leaves(node, box))
    grid = _grid([box for _, box in leaves])
    if not grid:  # a lone root says the same of every row
        return
    if math.prod(len(cuts) + 1 for cuts in grid.values()) <= CELLS:
        yield _table(leaves, grid, lanes)
        return
    if tree.is_leaf(node):
        raise TooDeep(f"a leaf's path parts the rows into more than {CELLS} cells")
    for child, part in tree.children(node, box):
        yield from _tables(tree, child, part, lanes)


def _grid(boxes: Sequence[Box]) -> Grid:
    bounds: dict[int, set[float]] = {}
    for box in boxes:
        for feature, (low, high, _) in box.items():
            bounds.setdefault(feature, set()).update((low, high))
    return {feature: sorted(found - {-math.inf, math.inf}) for feature, found in bounds.items()}


def _table(leaves: Sequence[tuple[float, Box]], grid: Grid, lanes: int) -> Table:
    """The sum of the leaves' contributions in each cell of the grid."""
    corners = np.meshgrid(*([-math.inf, *cuts] for cuts in grid.values()), indexing="ij")
    cells = np.array([corner.ravel() for corner in corners])  # features × cells
    sides = np.array([[box.get(feature, EVERYWHERE) for feature in grid] for _, box in leaves])
    low, high, share = sides.reshape(len(leaves), len(grid), 3, 1).transpose(2, 0, 1, 3)
    meets = ((low <= cells) & (cells < high)).astype(np.float64)  # leaves × features × cells
    value = np.array([value for value, _ in leaves])[:, None, None]
    most = max(len(box) for _, box in leaves)
    shapley = _shapley(value, meets, share, most=most)
    entries = np.zeros((cells.shape[1], lanes * LANE), np.float32)
    entries[:, list(grid)] = shapley.sum(axis=0).T
    cut = [np.ascontiguousarray(entries[:, i * LANE : (i + 1) * LANE]) for i in range(lanes)]
    return Table(
        _strides(grid), tuple((lane, found) for lane, found in enumerate(cut) if found.any())
    )


def _strides(grid: Grid) -> tuple[tuple[int, np.float32, np.uint8], ...]:
    """Of each cut, how much further the next cell is: the last feature's cells are neighbours."""
    listed, stride = [], 1
    for feature, cuts in reversed(grid.items()):
        listed += [(feature, np.float32(cut), np.uint8(stride)) for cut in cuts]
        stride *= len(cuts) + 1
    return tuple(listed)


def _shapley(
    value: "NDArray[np.float64]",
    meets: "NDArray[np.float64]",
    share: "NDArray[np.floating]",
    *,
    most: int,
) -> "NDArray[np.float64]":
    """The formula, features along axis 1, where no leaf asks about more than `most`."""
    integral = np.zeros_like(meets)
    for t, weight in _quadrature(max(1, -(-most // 2))):
        factors = share * (1 - t) + meets * t
        integral += weight * factors.prod(axis=1, keepdims=True) / factors
    return value * (meets - share) * integral


@cache
def _quadrature(points: int) -> list[tuple[float, float]]:
    """Places and weights from 0 to 1, exact for polynomials of a degree below twice the points."""
    places, weights = np.polynomial.legendre.leggauss(points)  # from -1 to 1
    return list(zip(((places + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))
