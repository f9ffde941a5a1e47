"""Fairness between groups of customers: who of them is selected, and who of those who leave.

Compared are the shares that `evaluation.slice_scores` gives: the true-positive rates (equal
opportunity; Hardt, Price and Srebro 2016) and the shares selected (as in the four-fifths rule of
the US Uniform Guidelines on Employee Selection Procedures, 1978). Of two groups the interval is
Newcombe's (1998, method 10) on the difference, and Katz's (1978) with half a customer added
(Walter 1975) on the ratio. Of more groups each pair has its interval at Bonferroni's level, so that
the largest of several differences is not taken for one by chance; the extreme bounds hold together.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any, Literal

from statsmodels.stats.proportion import confint_proportions_2indep

from include.champion.fairness import Fairness, Interval, ServedGroup, extremes
from include.params import GateRules
from include.training.evaluation import is_judged


def compare_groups(
    slices: Sequence[Mapping[str, Any]], rules: GateRules, columns: Mapping[str, str]
) -> tuple[Fairness, ...]:
    """Fairness by each of `columns` (what they are called: where they are), from scores by slice.

    What cannot be compared is not judged, and says why.
    """
    return tuple(
        _compare(by, column, [_group(row, rules) for row in slices if row["by"] == by], rules)
        for by, column in columns.items()
    )


def concerns(found: Sequence[Fairness], rules: GateRules) -> list[str]:
    """What a person must look at: figures beyond their limit with all of their interval."""
    told = []
    for each in found:
        if each.gap_interval and each.gap_interval[0] > rules.fairness.gap_max:
            high, low = extremes(each, "found_share")
            told.append(
                f"{high.found_share:.1%} of the leavers of {high.name} are selected and "
                f"{low.found_share:.1%} of {low.name}: the gap is {each.gap:.3f}, interval "
                f"{_both(each.gap_interval)}, at most {rules.fairness.gap_max} is expected"
            )
        if each.ratio_interval and each.ratio_interval[1] < rules.fairness.ratio_min:
            high, low = extremes(each, "selected_share")
            told.append(
                f"{low.selected_share:.1%} of {low.name} are selected and "
                f"{high.selected_share:.1%} of {high.name}: the ratio is {each.ratio:.3f}, "
                f"interval {_both(each.ratio_interval)}, at least {rules.fairness.ratio_min} is "
                "expected"
            )
    return told


def fairness_metrics(found: Sequence[Fairness]) -> dict[str, float]:
    """The figures and their intervals by names that MLflow takes."""
    told: dict[str, float] = {}
    for each in found:
        by = each.by.lower()
        for name, value, interval in (
            (f"equal_opportunity_gap_{by}", each.gap, each.gap_interval),
            (f"selection_ratio_{by}", each.ratio, each.ratio_interval),
        ):
            if value is not None and interval is not None:
                told |= {name: value, f"{name}_low": interval[0], f"{name}_high": interval[1]}
    return told


def _group(row: Mapping[str, Any], rules: GateRules) -> ServedGroup:
    rows, leavers = row["rows"], row["leavers"]
    return ServedGroup(
        name=row["slice"],
        rows=rows,
        leavers=leavers,
        judged=is_judged(rows=rows, leavers=leavers, rules=rules),
        selected_share=row.get("selected_share"),
        found_share=row.get("found_share"),
    )


def _compare(by: str, column: str, groups: Sequence[ServedGroup], rules: GateRules) -> Fairness:
    judged = [group for group in groups if group.judged]
    why_not = _why_not(column, by, groups, judged, rules)
    if why_not:
        return Fairness(by=by, groups=tuple(groups), why_not=why_not)
    found = [(group.found_share or 0, group.leavers) for group in judged]
    selected = [(group.selected_share or 0, group.rows) for group in judged]
    shares = [share for share, _ in selected]
    gaps = list(_intervals(found, "diff", rules.confidence))
    ratios = list(_intervals(selected, "ratio", rules.confidence))
    ratio = min(shares) / max(shares)
    return Fairness(
        by=by,
        groups=tuple(groups),
        gap=max(share for share, _ in found) - min(share for share, _ in found),
        gap_interval=(max(0.0, *(low for low, _ in gaps)), max(high for _, high in gaps)),
        ratio=ratio,
        # Katz' limits of a share of 0 are those of half a customer more: above the ratio itself.
        ratio_interval=(
            min(ratio, *(low for low, _ in ratios)),
            min(1.0, *(high for _, high in ratios)),
        ),
    )


def _why_not(
    column: str,
    by: str,
    groups: Sequence[ServedGroup],
    judged: Sequence[ServedGroup],
    rules: GateRules,
) -> str:
    if not groups:
        return f"there is no column {column}; gate.fairness.{by.lower()} names the one to judge by"
    if len(judged) < 2:
        return (
            f"fewer than two groups have {rules.slice_rows_min} customers of whom "
            f"{rules.slice_class_rows_min} left and as many stayed"
        )
    return "" if any(group.selected_share for group in judged) else "nobody is selected"


def _intervals(
    shares: Sequence[tuple[float, int]], kind: Literal["diff", "ratio"], confidence: float
) -> Iterator[Interval]:
    """For each ordered pair of (share, of how many) the interval at the pairs' common level."""
    pairs = len(shares) * (len(shares) - 1) / 2
    method = {"diff": "newcomb", "ratio": "log-adjusted"}[kind]
    for (one, of_one), (other, of_other) in permutations(shares, 2):
        low, high = confint_proportions_2indep(
            *(one * of_one, of_one, other * of_other, of_other),
            compare=kind,
            method=method,
            alpha=(1 - confidence) / pairs,
        )
        yield float(low), float(high)


def _both(interval: Interval) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"
