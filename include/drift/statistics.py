"""Whether customers changed: counts that add up, tests on them, and the rule for a whole day.

Against a fixed reference nothing but counts is needed. How many values lie below, and at or below,
each reference value adds up over chunks, files and days, and gives exactly the two-sample
Kolmogorov-Smirnov statistic of all rows together. Of a categorical column the places are the
ordinals, and the same counts give its frequencies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2_contingency, false_discovery_control, kstwo

from include.drift.findings import Kind, Verdict
from include.params import DriftRules

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCORE = "probability"  # the log's and the reference's name for the model's answer
PSI_BINS = 10
PSI_SMOOTHING = 0.5  # rows added to each bin, so that an empty one gives no infinity
RADIX_MAX = np.iinfo(np.uint16).max
RADIX_ROWS_MIN, RADIX_SAMPLE = 4096, 1024
EXPECTED_ROWS_MIN = 5.0  # of a category, below which the chi-squared approximation is poor


@dataclass(frozen=True)
class Counts:
    """How many of `rows` values lie below, and at or below, each of the ascending `places`."""

    places: "NDArray[np.float64]"
    below: "NDArray[np.int64]"
    at_most: "NDArray[np.int64]"
    rows: int

    def __add__(self, other: "Counts") -> "Counts":
        """The counts of both sets of rows together; the places must be the same."""
        return Counts(
            self.places,
            self.below + other.below,
            self.at_most + other.at_most,
            self.rows + other.rows,
        )

    def __sub__(self, other: "Counts") -> "Counts":
        """The counts without those of rows that are among them; the places must be the same."""
        return Counts(
            self.places,
            self.below - other.below,
            self.at_most - other.at_most,
            self.rows - other.rows,
        )

    @property
    def frequencies(self) -> "NDArray[np.int64]":
        """How many values are exactly at each place."""
        return self.at_most - self.below


@dataclass(frozen=True)
class Comparison:
    """One feature's two sides."""

    kind: Kind
    reference: Counts
    current: Counts


def count(values: "NDArray[np.float64]", places: "NDArray[np.float64]") -> Counts:
    """Count values against ascending places; ValueError for NaN, which has no place."""
    ordered = _ordered(values)
    if len(ordered) and np.isnan(ordered[-1]):
        raise ValueError("counts need numbers, found NaN: set rows at fault aside before")
    below = np.searchsorted(ordered, places, "left")
    at_most = np.searchsorted(ordered, places, "right")
    return Counts(places, below.astype(np.int64), at_most.astype(np.int64), len(ordered))


def ks_statistic(first: Counts, second: Counts) -> float:
    """The two-sample statistic D, exact where the places hold every value of one sample."""
    at = np.abs(first.at_most / first.rows - second.at_most / second.rows)
    before = np.abs(first.below / first.rows - second.below / second.rows)
    return float(max(at.max(), before.max()))


def ks_p_value(statistic: float, first_rows: int, second_rows: int) -> float:
    """The two-sided p-value as `scipy.stats.ks_2samp(method="asymp")` gives it.

    With ties it is too large, never too small. SciPy has no answer for one row against one.
    """
    effective = first_rows * second_rows / (first_rows + second_rows)
    return float(np.clip(kstwo.sf(statistic, max(np.round(effective), 1)), 0, 1))


def chi_squared(first: "NDArray[np.int64]", second: "NDArray[np.int64]") -> tuple[float, float]:
    """Pearson's statistic for two rows of frequencies, and its p-value.

    Categories too rare for the approximation are taken together, with the rarest other if need be.
    """
    table = _merged(np.array([first, second], dtype=np.float64))
    if table.shape[1] < 2:
        return 0.0, 1.0
    found = chi2_contingency(table, correction=False)
    return float(found.statistic), float(found.pvalue)


def total_variation(first: "NDArray[np.int64]", second: "NDArray[np.int64]") -> float:
    """The share of customers that would have to change category to make both rows alike."""
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


def psi(reference: "NDArray[np.int64]", current: "NDArray[np.int64]") -> float:
    """The population stability index of two rows of frequencies."""
    old, new = reference + PSI_SMOOTHING, current + PSI_SMOOTHING
    old, new = old / old.sum(), new / new.sum()
    return float(((new - old) * np.log(new / old)).sum())


def binned(reference: Counts, current: Counts) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """Both sides' frequencies in bins of a tenth of the reference each, or more with ties."""
    wanted = np.arange(1, PSI_BINS) / PSI_BINS
    edges = np.unique(np.searchsorted(reference.at_most / reference.rows, wanted))
    return _between(reference, edges), _between(current, edges)


def judge(comparisons: Mapping[str, Comparison], rules: DriftRules) -> tuple[Verdict, ...]:
    """Test every feature, correct for their number, and hold each against its effect floor."""
    tests = {name: _test(each) for name, each in comparisons.items()}
    adjusted = false_discovery_control([p for _, p in tests.values()])
    return tuple(
        _verdict(name, comparisons[name], tests[name], q_value=float(q_value), rules=rules)
        for name, q_value in zip(tests, adjusted, strict=True)
    )


def day_drifted(verdicts: Sequence[Verdict], rules: DriftRules) -> bool:
    """Whether so much drifted that the configured rule holds."""
    counted = [v for v in verdicts if v.feature != SCORE or rules.score_counts]
    drifted = {verdict.feature for verdict in counted if verdict.drifted}
    rule = rules.rule
    if rule.count is not None:
        return len(drifted) >= rule.count
    if rule.share is not None:
        return len(drifted) >= rule.share * len(counted)
    return bool(drifted & set(rule.any_of))


def _ordered(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The values, ascending; many of them by radix sort, which takes a fraction of the time."""
    if len(values) < RADIX_ROWS_MIN:
        return np.sort(values)
    lowest, highest = values.min(), values.max()
    if 0 <= lowest and highest <= RADIX_MAX:
        small = values.astype(np.uint16)
        if (small == values).all():
            return np.sort(small, kind="stable").astype(np.float64)
    return np.sort(values) if np.isnan(lowest) else _radix_sorted(values)


def _radix_sorted(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Sorted by radix as far as 16 bits tell values apart, then by what is quick on such.

    The bits divide the range of most values evenly; what lies outside takes a little longer.
    """
    sample = np.sort(values[:: len(values) // RADIX_SAMPLE])
    tail = len(sample) // 100
    low, high = float(sample[tail]), float(sample[-1 - tail])
    scale = RADIX_MAX / (high - low) if high > low else 0.0
    if not 0 < scale < np.inf:
        return np.sort(values)
    with np.errstate(over="ignore"):
        rough = np.clip((values - low) * scale, 0, RADIX_MAX).astype(np.uint16)
    return np.sort(values[np.argsort(rough, kind="stable")], kind="stable")


def _test(comparison: Comparison) -> tuple[float, float]:
    reference, current = comparison.reference, comparison.current
    if comparison.kind == "categorical":
        return chi_squared(reference.frequencies, current.frequencies)
    statistic = ks_statistic(reference, current)
    return statistic, ks_p_value(statistic, reference.rows, current.rows)


def _verdict(
    name: str,
    comparison: Comparison,
    tested: tuple[float, float],
    *,
    q_value: float,
    rules: DriftRules,
) -> Verdict:
    reference, current = comparison.reference, comparison.current
    numeric = comparison.kind == "numeric"
    pair = reference.frequencies, current.frequencies
    floor = rules.ks_floor if numeric else rules.category_floor
    effect = tested[0] if numeric else total_variation(*pair)
    significant = q_value <= rules.false_discovery_rate
    return Verdict(
        feature=name,
        kind=comparison.kind,
        test="ks" if numeric else "chi2",
        statistic=tested[0],
        p_value=tested[1],
        q_value=q_value,
        effect=effect,
        effect_floor=floor,
        psi=psi(*(binned(reference, current) if numeric else pair)),
        significant=significant,
        drifted=significant and effect > floor,
    )


def _between(counts: Counts, edges: "NDArray[np.intp]") -> "NDArray[np.int64]":
    return np.diff(counts.at_most[edges], prepend=0, append=counts.rows)


def _merged(table: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The table with its rarest categories taken together until each is large enough to test."""
    table = table[:, np.argsort(table.sum(axis=0))]
    smaller = table.sum(axis=1).min() / table.sum()
    while table.shape[1] > 1 and table[:, 0].sum() * smaller < EXPECTED_ROWS_MIN:
        together = table[:, :1] + table[:, 1:2]
        table = np.hstack([together, table[:, 2:]])
        table = table[:, np.argsort(table.sum(axis=0))]
    return table
