"""Exact TreeSHAP contributions of shallow trees, in bulk, by looking them up.

XGBoost's own walk takes a millisecond a row (500 trees of depth 5). But a leaf's contributions
depend on a row only through which conditions on the leaf's path it meets. So a part of a tree with
at most eight conditions becomes one table of 256 rows, made once for a version, and a customer
costs one look-up a part: 15 µs, and the same numbers to float32's last digits.

What a leaf of value v contributes to feature i is the path-dependent Shapley value (Lundberg et
al. 2020, doi:10.1038/s42256-019-0138-9). With o_j = 1 where the row meets the path's conditions on
feature j, else 0, and z_j the share of training rows that met them:

    v (o_i - z_i) ∫₀¹ ∏_{j≠i} (z_j (1 - t) + o_j t) dt

because |S|! (d-1-|S|)! / d! is the integral of t^|S| (1-t)^(d-1-|S|). The integrand is a polynomial
in t, which Gauss-Legendre quadrature integrates exactly.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.champion.forest import quadrature
from include.champion.trees_file import Tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 8  # conditions of one table, so that a row's outcome is one byte
LANE = 8  # features of one look-up: NumPy copies 32 bytes as one
ROWS = 32_768  # at once: enough to make NumPy's calls cheap, few enough for the caches
TABLES_MAX_BYTES = 400 * 2**20

Step = tuple[int, bool]  # a node, and whether the path goes left there


class TooDeep(ValueError):
    """Trees whose tables would be too large; forest.py explains them, a row at a time."""


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

    def children(self, node: int) -> tuple[tuple[int, Step], tuple[int, Step]]:
        """Both children with the step that leads there."""
        return (self.left[node], (node, True)), (self.right[node], (node, False))

    def inner(self, node: int) -> list[int]:
        """The inner nodes from a node down."""
        if self.is_leaf(node):
            return []
        return [node, *self.inner(self.left[node]), *self.inner(self.right[node])]

    def leaves(self, node: int, path: tuple[Step, ...]) -> Iterator[tuple[int, tuple[Step, ...]]]:
        """The leaves from a node down, each with its path from the root."""
        if self.is_leaf(node):
            yield node, path
            return
        for child, step in self.children(node):
            yield from self.leaves(child, (*path, step))

    def by_feature(self, path: Sequence[Step]) -> dict[int, list[Step]]:
        """A path's steps by the feature that they ask about."""
        steps: dict[int, list[Step]] = {}
        for step in path:
            steps.setdefault(self.feature[step[0]], []).append(step)
        return steps

    def share(self, step: Step) -> float:
        """The share of a node's training rows that took the step."""
        node, goes_left = step
        child = self.left[node] if goes_left else self.right[node]
        return self.cover[child] / self.cover[node]


@dataclass(frozen=True)
class Part:
    """A part of a tree with few conditions; a bit is 1 where all of its steps are taken."""

    bits: tuple[tuple[Step, ...], ...]
    leaves: "tuple[Leaf, ...]"


@dataclass(frozen=True)
class Leaf:
    """A leaf of a part, with what the rows meet that reach it."""

    value: float
    meets: "tuple[Met, ...]"


@dataclass(frozen=True)
class Met:
    """What a leaf asks of one feature: the part's bits under `mask` equal `wanted`."""

    feature: int
    mask: int
    wanted: int
    share: float  # of the training rows


@dataclass(frozen=True)
class Lookup:
    """A part's table, cut into lanes of eight features; lanes without any are left out."""

    bits: tuple[tuple[Step, ...], ...]
    lanes: "tuple[tuple[int, NDArray[np.float32]], ...]"


@dataclass(frozen=True)
class TreeLookups:
    """A tree's conditions and its parts' tables."""

    conditions: tuple[tuple[int, int, np.float32], ...]  # node, feature, cut
    lookups: tuple[Lookup, ...]


class ContributionTables:
    """All tables of a version; TooDeep when they would not fit."""

    def __init__(self, trees: Sequence[Tree], *, features: int) -> None:
        self.features = features
        self._lanes = -(-features // LANE)
        self._trees, self.bytes = [], 0
        for tree in trees:
            found = _tree_lookups(Walk(tree), self._lanes)
            self.bytes += sum(t.nbytes for part in found.lookups for _, t in part.lanes)
            if self.bytes > TABLES_MAX_BYTES:
                raise TooDeep(f"the tables exceed {TABLES_MAX_BYTES >> 20} MiB")
            self._trees.append(found)

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
        for tree in self._trees:
            lefts = {node: columns[feature] < cut for node, feature, cut in tree.conditions}
            for part in tree.lookups:
                outcome = _outcome(part.bits, lefts, rows)
                for lane, table in part.lanes:
                    np.take(table, outcome, axis=0, out=found, mode="clip")
                    sums[lane] += found
        return np.hstack(sums)[:, : self.features]


def _outcome(
    bits: Sequence[Sequence[Step]], lefts: "Mapping[int, NDArray[np.bool_]]", rows: int
) -> "NDArray[np.intp]":
    """Each row's place in a table."""
    outcome = np.zeros(rows, np.uint8)
    for steps in reversed(bits):
        np.add(outcome, outcome, out=outcome)  # NumPy adds bytes many times faster than it shifts
        np.bitwise_or(outcome, _all_taken(steps, lefts).view(np.uint8), out=outcome)
    return outcome.astype(np.intp)


def _all_taken(
    steps: Sequence[Step], lefts: "Mapping[int, NDArray[np.bool_]]"
) -> "NDArray[np.bool_]":
    node, goes_left = steps[0]
    taken = lefts[node] if goes_left else ~lefts[node]
    for node, goes_left in steps[1:]:
        taken = taken & (lefts[node] if goes_left else ~lefts[node])
    return taken


def _tree_lookups(tree: Walk, lanes: int) -> TreeLookups:
    conditions = tuple(
        (node, tree.feature[node], np.float32(tree.cut[node])) for node in tree.inner(0)
    )
    parts = _parts(tree, 0, ())
    return TreeLookups(conditions, tuple(_lookup(part, lanes) for part in parts if part.bits))


def _parts(tree: Walk, node: int, path: tuple[Step, ...]) -> Iterator[Part]:
    """Cut a tree into parts: from the root down until the conditions fit into the bits."""
    above, below = tree.by_feature(path), tree.inner(node)
    if len(above) > BITS:
        raise TooDeep(f"a leaf depends on more than {BITS} features")
    if len(above) + len(below) > BITS:
        for child, step in tree.children(node):
            yield from _parts(tree, child, (*path, step))
        return
    bits = (*map(tuple, above.values()), *(((inner, True),) for inner in below))
    places = {steps[0]: 1 << place for place, steps in enumerate(bits)}
    leaves = tuple(
        Leaf(tree.cut[leaf], tuple(_met(tree, steps, places) for steps in taken.values()))
        for leaf, to_leaf in tree.leaves(node, path)
        if (taken := tree.by_feature(to_leaf))
    )
    yield Part(bits, leaves)


def _met(tree: Walk, steps: Sequence[Step], places: Mapping[Step, int]) -> Met:
    """Of steps above the part the first stands for all; below it, each node has its own bit."""
    mask = wanted = 0
    for node, goes_left in steps:
        if bit := places.get((node, goes_left), 0):
            wanted |= bit
        mask |= bit or places.get((node, True), 0)
    share = math.prod(tree.share(step) for step in steps)
    return Met(tree.feature[steps[0][0]], mask, wanted, share)


def _lookup(part: Part, lanes: int) -> Lookup:
    table = _table(part, lanes * LANE).astype(np.float32)
    cut = [np.ascontiguousarray(table[:, i * LANE : (i + 1) * LANE]) for i in range(lanes)]
    return Lookup(part.bits, tuple((lane, found) for lane, found in enumerate(cut) if found.any()))


def _table(part: Part, width: int) -> "NDArray[np.float64]":
    """The contributions of a part's leaves for every outcome of its bits: outcomes × width."""
    most = max(len(leaf.meets) for leaf in part.leaves)
    # A feature that the path does not ask about is met by all rows, and contributes nothing.
    filler = Met(feature=0, mask=0, wanted=0, share=1.0)
    met = [(*leaf.meets, *[filler] * (most - len(leaf.meets))) for leaf in part.leaves]
    mask, wanted, share, feature = (
        np.array([[getattr(one, name) for one in row] for row in met])[:, :, None]
        for name in ("mask", "wanted", "share", "feature")
    )
    meets = ((np.arange(2 ** len(part.bits)) & mask) == wanted).astype(np.float64)
    value = np.array([leaf.value for leaf in part.leaves])[:, None, None]
    shapley = value * (meets - share) * _integral_of_others(meets, share)
    chosen = (np.arange(width)[:, None] == feature.ravel()).astype(np.float64)
    table: NDArray[np.float64] = (chosen @ shapley.reshape(feature.size, -1)).T
    return table


def _integral_of_others(
    meets: "NDArray[np.float64]", share: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    """∫₀¹ ∏_{j≠i} (z_j (1 - t) + o_j t) dt for each i: leaves × features × outcomes."""
    total = np.zeros_like(meets)
    for t, weight in quadrature(-(-meets.shape[1] // 2)):
        factors = share * (1 - t) + meets * t
        total += weight * _products_of_others(factors)
    return total


def _products_of_others(factors: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Along axis 1, the product of all factors but one's own; no division, as one may be 0."""
    before, after = np.ones_like(factors), np.ones_like(factors)
    np.cumprod(factors[:, :-1], axis=1, out=before[:, 1:])
    np.cumprod(factors[:, :0:-1], axis=1, out=after[:, -2::-1])
    products: NDArray[np.float64] = before * after
    return products
