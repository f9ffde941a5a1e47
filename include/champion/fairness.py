"""How a version treats groups of customers: part of `evaluation.json` and of `gate.json`."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from pydantic import Field

from include.documents import Document

Interval: TypeAlias = tuple[float, float]


class ServedGroup(Document):
    """A group's hold-out customers at the operating point: the threshold, or a horizon's list."""

    name: str
    rows: int
    leavers: int
    judged: bool
    selected_share: float | None = Field(description="of its customers")
    found_share: float | None = Field(
        description="of its leavers, who are selected: the true-positive rate"
    )


class Fairness(Document):
    """The groups of one column beside each other; only those large enough are compared.

    An interval covers the comparison of all pairs of groups at once, so it is wider for more of
    them.
    """

    by: str = Field(description="the column's name for people, such as Gender")
    groups: tuple[ServedGroup, ...] = ()
    gap: float | None = Field(
        default=None, description="equal-opportunity gap: largest less least found_share"
    )
    gap_interval: Interval | None = None
    ratio: float | None = Field(
        default=None, description="selection-rate ratio: least over largest selected_share"
    )
    ratio_interval: Interval | None = None
    why_not: str = Field(default="", description="why nothing was compared, for people")


def fairness_text(found: Fairness) -> str:
    """Both figures with their intervals, or why there are none."""
    if found.gap is None or found.ratio is None:
        return f"by {found.by.lower()} not judged: {found.why_not}"
    left_out = [group.name for group in found.groups if group.rows and not group.judged]
    most, least = extremes(found, "found_share")
    largest, smallest = extremes(found, "selected_share")
    return (
        f"by {found.by.lower()} the share of leavers who are selected differs by "
        f"{_told(found.gap, found.gap_interval)}, from {least.found_share or 0:.1%} of "
        f"{least.name} to {most.found_share or 0:.1%} of {most.name}; the least share of "
        f"customers selected, {smallest.selected_share or 0:.1%} of {smallest.name}, is "
        f"{_told(found.ratio, found.ratio_interval)} of the largest, "
        f"{largest.selected_share or 0:.1%} of {largest.name}{_without(left_out)}"
    )


def extremes(
    found: Fairness, share: Literal["found_share", "selected_share"]
) -> tuple[ServedGroup, ServedGroup]:
    """Of the groups that are compared the one with the largest share, and that with the least."""
    judged = [group for group in found.groups if group.judged]
    ranked = sorted(judged, key=lambda group: getattr(group, share) or 0)
    return ranked[-1], ranked[0]


def _told(value: float, interval: Interval | None) -> str:
    low, high = interval or (value, value)
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _without(names: Sequence[str]) -> str:
    return f"; too few to judge: {', '.join(names)}" if names else ""
