"""When a ripe week is a loss, and how often chance alone makes one."""

import numpy as np
import pytest
from scipy.special import expit

from include.drift import figures
from include.drift.performance import Figure
from include.drift.verdicts import judged
from include.params import PerformanceRules
from tests.include.drift.performance_example import EXAMPLE, estimate, realised

WEEKS = 50


@pytest.mark.parametrize(
    ("auc", "expected", "promised", "ripe", "verdict"),
    [
        (0.88, 0.96, 0.964, 2800, "lost"),
        (0.88, 0.96, None, 2800, "lost"),
        (0.88, 0.96, 0.87, 2800, "kept"),  # no worse than on its hold-out
        (0.88, 0.89, 0.964, 2800, "kept"),  # these customers are hard to tell apart
        (0.945, 0.97, 0.964, 2800, "kept"),  # within the interval
        (0.88, 0.96, 0.964, 99, "too_few_ripe"),
        (0.88, 0.96, 0.964, 150, "too_few_ripe"),  # enough, but not of those who left
    ],
)
def test_a_loss_lies_below_both_promises_beyond_its_interval(
    auc: float, expected: float, promised: float | None, ripe: int, verdict: str
) -> None:
    facts = {"customers": ripe, "ripe": ripe, "called": 0, "gone_before": 0, "unlabelled": 0}
    figures = {
        "realised": realised(ripe, roc_auc=auc),
        "estimate_of_ripe": estimate(ripe, roc_auc=expected),
    }
    week = EXAMPLE.weeks[0].model_copy(update=facts | figures)
    rules = PerformanceRules(ripe_min=100, leavers_min=50)
    assert judged(week, promised, rules).verdict == verdict


def test_a_loss_that_is_small_is_none_however_narrow_the_interval() -> None:
    found = realised(2800, roc_auc=0.95)
    narrow = found.model_copy(update={"roc_auc": Figure(value=0.95, low=0.949, high=0.951)})
    (week, *_) = EXAMPLE.weeks
    given = {"customers": week.ripe, "called": 0, "gone_before": 0, "unlabelled": 0}
    week = week.model_copy(update=given | {"realised": narrow})
    assert judged(week, 0.96, PerformanceRules(loss_min=0.02)).verdict == "kept"
    assert judged(week, 0.96, PerformanceRules(loss_min=0.002)).verdict == "lost"


@pytest.mark.parametrize(("changed_share", "least", "most"), [(0.0, 0.0, 0.04), (0.2, 0.96, 1.0)])
def test_weeks_are_lost_where_rules_changed_and_hardly_ever_by_chance(
    changed_share: float, least: float, most: float
) -> None:
    random = np.random.default_rng(1)
    lost = []
    for _ in range(WEEKS):
        log_odds = random.normal(-3, 3, 2000)
        changed = random.random(2000) < changed_share
        rules = np.where(changed, random.permutation(log_odds), log_odds)
        left = (random.random(2000) < expit(rules)).astype(np.int64)
        promise = figures.estimated(expit(log_odds), threshold=0.5)
        found = figures.realised(expit(log_odds), left, threshold=0.5)
        facts = {"customers": 2000, "ripe": 2000, "called": 0, "gone_before": 0, "unlabelled": 0}
        given = facts | {"realised": found, "estimate_of_ripe": promise}
        week = EXAMPLE.weeks[0].model_copy(update=given)
        lost.append(judged(week, None, PerformanceRules()).verdict == "lost")
    assert least <= np.mean(lost) <= most
