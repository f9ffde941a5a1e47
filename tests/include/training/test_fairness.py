"""Fairness between groups: what is compared, what is not, and when a person is asked."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.champion.fairness import Fairness, fairness_text
from include.params import FairnessRules
from include.training import evaluation
from include.training.fairness import compare_groups, concerns, fairness_metrics
from tests.include.training.test_gate import RULES, answers, judged

COLUMNS = {"Gender": "Gender"}
ROWS = 4000


def of_counts(*counts: tuple[int, int, int, int]) -> Fairness:
    """Fairness between groups of (customers, leavers, selected, leavers selected)."""
    rows = [
        {
            **{"slice": f"Gender {name}", "by": "Gender", "rows": rows, "leavers": leavers},
            **{"selected_share": selected / rows, "found_share": found / leavers},
        }
        for name, (rows, leavers, selected, found) in zip("ABCDE", counts, strict=False)
    ]
    return compare_groups(rows, RULES, COLUMNS)[0]


def test_two_groups_are_newcombes_example_and_katzs() -> None:
    found = of_counts((1000, 70, 200, 56), (1000, 80, 100, 48))
    # Newcombe 1998, table II: 56/70 against 48/80, method 10
    assert found.gap == pytest.approx(0.2)
    assert found.gap_interval == pytest.approx((0.0524, 0.3339), abs=5e-5)
    half = 1.959964 * np.sqrt(1 / 100.5 - 1 / 1000.5 + 1 / 200.5 - 1 / 1000.5)
    assert found.ratio == pytest.approx(0.5)
    assert found.ratio_interval == pytest.approx(100.5 / 200.5 * np.exp([-half, half]))


def test_more_groups_are_told_apart_no_more_often_by_chance() -> None:
    random, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        found = random.binomial(60, 0.7, 5)
        fair = of_counts(*((1000, 60, 100, int(count)) for count in found))
        assert fair.gap_interval is not None
        wrong += fair.gap_interval[0] > 0
    assert wrong <= 0.05 * 200


def test_the_worst_pair_decides() -> None:
    fair = of_counts((1000, 100, 200, 90), (1000, 100, 190, 89), (1000, 100, 50, 20))
    assert fair.gap == pytest.approx(0.7) and fair.ratio == pytest.approx(0.25)
    assert fair.gap_interval is not None and fair.ratio_interval is not None
    assert 0.5 < fair.gap_interval[0] < 0.7 and 0.25 < fair.ratio_interval[1] < 0.4


def test_a_group_of_whom_nobody_is_selected_has_its_ratio_within_the_interval() -> None:
    fair = of_counts((1000, 100, 90, 80), (1000, 100, 0, 0))
    assert fair.ratio == 0 and fair.ratio_interval is not None
    assert fair.ratio_interval[0] == 0 and 0 < fair.ratio_interval[1] < 0.1


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ([(1000, 100, 90, 80), (1000, 19, 9, 9)], "fewer than two groups have 100 customers"),
        ([(1000, 100, 90, 80), (99, 30, 9, 9)], "fewer than two groups have 100 customers"),
        ([(1000, 100, 0, 0), (1000, 100, 0, 0)], "nobody is selected"),
        ([], "there is no column Gender; gate.fairness.gender names"),
    ],
)
def test_what_cannot_be_compared_is_not_judged_and_says_why(counts: Any, why: str) -> None:
    fair = of_counts(*counts)
    assert (fair.gap, fair.ratio, fair.gap_interval, fair.ratio_interval) == (None,) * 4
    assert why in fair.why_not and why in fairness_text(fair)
    assert concerns([fair], RULES) == [] and fairness_metrics([fair]) == {}


def test_a_group_of_few_leavers_is_left_out_and_named() -> None:
    fair = of_counts((1000, 100, 90, 80), (1000, 100, 90, 80), (1000, 10, 0, 0))
    assert fair.gap == 0 and "too few to judge: Gender C" in fairness_text(fair)


def test_a_limit_counts_only_beyond_the_interval() -> None:
    gap = of_counts((2000, 300, 300, 270), (2000, 300, 290, 170))
    ratio = of_counts((2000, 300, 600, 200), (2000, 300, 200, 190))
    (told,), (also,) = concerns([gap], RULES), concerns([ratio], RULES)
    assert "90.0% of the leavers of Gender A are selected and 56.7% of Gender B" in told
    assert "10.0% of Gender B are selected and 30.0% of Gender A" in also
    chance = of_counts((200, 25, 30, 22), (200, 25, 30, 16))
    assert chance.gap is not None and chance.gap > RULES.fairness.gap_max
    assert concerns([chance], RULES) == []


def served(labels: np.ndarray, probabilities: np.ndarray) -> tuple[Fairness, ...]:
    """Fairness by gender of made-up customers, every other of whom is a man."""
    frame = pd.DataFrame({"Gender": np.where(np.arange(len(labels)) % 2, "M", "F")})
    rows = evaluation.slice_scores(
        labels,
        probabilities,
        evaluation.slices(frame, COLUMNS),
        threshold=0.5,
        selected=(probabilities >= 0.5).astype(float),
    )
    return compare_groups(rows, RULES, FairnessRules().columns)


def test_a_better_model_that_neglects_men_asks_a_person_and_a_worse_one_nobody() -> None:
    labels = (np.random.default_rng(3).uniform(size=ROWS) < 0.2).astype(np.int64)
    good, men = answers(labels, 0.5), np.arange(ROWS) % 2 == 1
    old = answers(labels, 2.0, seed=1)
    assert judged(labels, good, old, fairness=served(labels, good)).outcome == "accepted"
    unfair = served(labels, np.where(men, good * 0.55, good))
    decision = judged(labels, good, old, fairness=unfair)
    assert decision.outcome == "needs_person" and "of Gender M: the gap is" in decision.reasons[0]
    assert "the gain in ROC-AUC is" in decision.reasons[-1]
    assert judged(labels, good, good, fairness=unfair).outcome == "rejected"
    assert decision.fairness == unfair and [each.by for each in unfair] == ["Gender", "Age"]


def test_mlflow_gets_each_figure_with_its_interval() -> None:
    found = fairness_metrics([of_counts((1000, 70, 200, 56), (1000, 80, 100, 48))])
    names = ("equal_opportunity_gap_gender", "selection_ratio_gender")
    assert set(found) == {f"{name}{end}" for name in names for end in ("", "_low", "_high")}
