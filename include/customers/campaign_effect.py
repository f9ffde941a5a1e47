"""Did calls change who leaves, over all campaigns; and what could a planned control group show?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
POWER = 0.8  # an effect is shown "reliably" in four of five campaigns
EXPECTED_MIN = 5  # leavers and stayers in a group; with fewer a normal approximation is no guide

_NORMAL = NormalDist()
_TWO_SIDED = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class Group:
    """Customers of one side of a comparison, and how many of them left."""

    customers: int
    left: int


@dataclass(frozen=True)
class Stratum:
    """One campaign's two sides."""

    listed: Group
    control: Group


@dataclass(frozen=True)
class Effect:
    """How far the share who left is lower among the listed than in the control groups."""

    fewer: float  # 0.05: five points fewer
    low: float
    high: float


@dataclass(frozen=True)
class Plan:
    """A campaign before it begins."""

    leaving_share: float  # of those who are not called
    listed: int
    control: int


def common_effect(strata: Sequence[Stratum]) -> Effect | None:
    """The Mantel-Haenszel risk difference over campaigns with its 95 % interval.

    Each campaign is compared with its own control group alone, so that campaigns of other risks and
    other control shares do not pass for an effect. None where no two groups can be compared, and
    where all of them did the same, which says nothing.

    Interval: B. Klingenberg (2014), Statistics in Medicine 33, 2968-2983: Sato's variance under the
    null hypothesis, inverted. It holds for small groups, uneven shares and rare leavers.
    """
    usable = [each for each in strata if each.listed.customers and each.control.customers]
    leavers = sum(each.listed.left + each.control.left for each in usable)
    if not 0 < leavers < sum(each.listed.customers + each.control.customers for each in usable):
        return None
    weight = difference = p = q = 0.0
    for each in usable:
        x, n = each.control.left, each.control.customers
        y, m = each.listed.left, each.listed.customers
        weight += n * m / (n + m)
        difference += (x * m - y * n) / (n + m)
        p += (n * n * y - m * m * x + n * m * (m - n) / 2) / (n + m) ** 2
        q += (x * (m - y) + y * (n - x)) / (2 * (n + m))
    fewer, squared = difference / weight, (_TWO_SIDED / weight) ** 2
    middle = fewer + squared * p / 2
    half = math.sqrt(max(middle**2 - fewer**2 + squared * q, 0.0))
    return Effect(fewer, max(middle - half, -1.0), min(middle + half, 1.0))


def chance_to_show(plan: Plan, cut: float) -> float:
    """The chance that a campaign shows it when calls keep this share of those who would leave.

    By the normal approximation with unpooled variances (Fleiss, Statistical Methods for Rates and
    Proportions, chapter 4); 0 where a group is too small for it, which shows nothing either.
    """
    if not _is_large(plan):
        return 0.0
    share = plan.leaving_share
    spread = math.sqrt(_variance(share * (1 - cut), plan.listed) + _variance(share, plan.control))
    return _NORMAL.cdf(share * cut / spread - _TWO_SIDED)


def least_cut(plan: Plan) -> float | None:
    """The least share of leavers that calls must keep to be shown reliably; None: not even all."""
    if not _is_large(plan):
        return None
    # (share - rest)² = k · (variance of either share), solved for the rest who leave all the same.
    share, k = plan.leaving_share, _reach()
    a, b = 1 + k / plan.listed, 2 * share + k / plan.listed
    c = share**2 - k * _variance(share, plan.control)
    rest = (b - math.sqrt(b * b - 4 * a * c)) / (2 * a)
    return None if rest < 0 else 1 - rest / share


def customers_needed(leaving_share: float, cut: float, *, control_share: float) -> int:
    """How many customers a campaign needs, control group included, to show this cut reliably."""
    rest = leaving_share * (1 - cut)
    variance = _variance(rest, 1 - control_share) + _variance(leaving_share, control_share)
    return round(_reach() * variance / (leaving_share * cut) ** 2)


def _reach() -> float:
    """The squared distance, in standard errors, between no effect and one shown reliably."""
    return (_TWO_SIDED + _NORMAL.inv_cdf(POWER)) ** 2


def _variance(share: float, customers: float) -> float:
    return share * (1 - share) / customers


def _is_large(plan: Plan) -> bool:
    rarer = min(plan.leaving_share, 1 - plan.leaving_share)
    return rarer * min(plan.listed, plan.control) >= EXPECTED_MIN
