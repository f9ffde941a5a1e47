"""The effect of calls against simulation and published figures, and what a plan could show."""

from collections.abc import Sequence

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.proportion import confint_proportions_2indep, power_proportions_2indep

from include.customers.campaign_effect import (
    Group,
    Plan,
    Stratum,
    chance_to_show,
    common_effect,
    customers_needed,
    least_cut,
)

RUNS = 2000


def stratum(listed: tuple[int, int], control: tuple[int, int]) -> Stratum:
    return Stratum(Group(*listed), Group(*control))


def test_campaigns_of_other_risks_and_shares_are_no_effect() -> None:
    """Pooled, 46 % of the listed left and 28 % of the control groups: nobody's calls did that."""
    found = common_effect([stratum((900, 450), (100, 50)), stratum((100, 5), (100, 5))])
    assert found is not None and found.fewer == 0 and found.low < 0 < found.high


@pytest.mark.parametrize(
    ("control_shares", "risks"),
    [
        ((0.1, 0.5), (0.6, 0.1)),
        ((0.5, 0.1), (0.6, 0.1)),
        ((0.1, 0.1, 0.1), (0.2, 0.3, 0.5)),
        ((0.05, 0.2), (0.02, 0.9)),
    ],
)
@pytest.mark.parametrize("kept", [0.0, 0.3])
def test_the_interval_covers_the_truth(
    control_shares: Sequence[float], risks: Sequence[float], kept: float
) -> None:
    random, covered, false = np.random.default_rng(4), 0, 0
    sizes = [(400 - round(400 * share), round(400 * share)) for share in control_shares]
    weights = [n * m / (n + m) for n, m in sizes]
    truth = np.average([risk * kept for risk in risks], weights=weights)
    for _ in range(RUNS):
        found = common_effect(
            [
                stratum((n, random.binomial(n, risk * (1 - kept))), (m, random.binomial(m, risk)))
                for (n, m), risk in zip(sizes, risks, strict=True)
            ]
        )
        assert found is not None
        covered += found.low <= truth <= found.high
        false += not found.low <= 0 <= found.high
    assert covered / RUNS == pytest.approx(0.95, abs=0.02) or covered / RUNS > 0.95
    assert false / RUNS < 0.065 or kept


def test_one_campaign_is_judged_as_by_the_score_interval() -> None:
    found = common_effect([stratum((900, 90), (300, 75))])
    low, high = confint_proportions_2indep(75, 300, 90, 900, method="score")
    assert found is not None and found.fewer == pytest.approx(0.15)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.005)


def test_a_published_trial_gives_its_published_verdict() -> None:
    """SAS/STAT's migraine trial: better or not, by sex; its Cochran-Mantel-Haenszel test: 0.0040.

    Difference and variance by Sato's formula, as PROC FREQ documents it, are 0.27376 and 0.00818.
    """
    trial = [stratum((25, 5), (27, 16)), stratum((26, 7), (28, 12))]
    tables = [
        np.array(
            [[s.control.left, s.control.customers - s.control.left]]
            + [[s.listed.left, s.listed.customers - s.listed.left]]
        )
        for s in trial
    ]
    found = common_effect(trial)
    assert StratifiedTable(tables).test_null_odds().pvalue == pytest.approx(0.0040, abs=5e-5)
    assert found is not None and found.fewer == pytest.approx(0.27376, abs=1e-5)
    assert found.low > 0
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * 0.00818**0.5, abs=0.005)


@pytest.mark.parametrize(
    "strata",
    [
        [],
        [stratum((50, 5), (0, 0))],
        [stratum((0, 0), (50, 5))],
        [stratum((45, 0), (5, 0))],
        [stratum((45, 45), (5, 5)), stratum((0, 0), (7, 3))],
    ],
)
def test_what_cannot_be_compared_has_no_effect(strata: list[Stratum]) -> None:
    assert common_effect(strata) is None


@pytest.mark.parametrize(
    ("listed", "control"), [((9, 0), (1, 1)), ((9, 9), (1, 0)), ((45, 1), (5, 0))]
)
def test_tiny_groups_decide_nothing(listed: tuple[int, int], control: tuple[int, int]) -> None:
    found = common_effect([stratum(listed, control)])
    assert found is not None and -1 <= found.low <= 0 <= found.high <= 1


@pytest.mark.parametrize(
    ("share", "cut", "control_share", "customers"),
    [(0.2, 0.3, 0.1, 3780), (0.2, 0.3, 0.5, 1223), (0.1, 0.2, 0.1, 19265), (0.1, 0.2, 0.5, 6420)],
)
def test_needed_customers_are_the_published_ones_and_just_enough(
    share: float, cut: float, control_share: float, customers: int
) -> None:
    assert customers_needed(share, cut, control_share=control_share) == customers
    control = round(customers * control_share)
    plan = Plan(share, customers - control, control)
    assert chance_to_show(plan, cut) == pytest.approx(0.8, abs=0.001)
    assert least_cut(plan) == pytest.approx(cut, abs=0.001)


def test_the_chance_is_that_of_statsmodels() -> None:
    ours = chance_to_show(Plan(0.3, 900, 300), 0.25)
    theirs = power_proportions_2indep(-0.075, 0.3, 300, ratio=3, return_results=False)
    assert ours == pytest.approx(theirs, abs=0.02)


def test_25_of_250_can_show_next_to_nothing() -> None:
    plan = Plan(0.2, 225, 25)
    assert chance_to_show(plan, 0.3) == pytest.approx(0.11, abs=0.005) and least_cut(plan) is None


@pytest.mark.parametrize(
    "plan",
    [Plan(0.2, 250, 0), Plan(0.2, 0, 0), Plan(0.9, 9, 1), Plan(0.0, 99, 99), Plan(1.0, 99, 99)],
)
def test_a_plan_without_two_groups_shows_nothing(plan: Plan) -> None:
    assert chance_to_show(plan, 1.0) == 0 and least_cut(plan) is None
