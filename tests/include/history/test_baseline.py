"""The naive rule ranks by both of its signs, and by nothing else."""

import numpy as np
import pandas as pd

from include.history.baseline import CHANGE, INACTIVE, naive_scores


def test_quiet_and_fallen_customers_come_first() -> None:
    people = pd.DataFrame({INACTIVE: [1, 6, 1, 6], CHANGE: [0.9, 0.9, 0.2, 0.2]})
    scores = naive_scores(people)
    assert scores.argmax() == 3 and scores.argmin() == 0
    assert scores[1] == scores[2]


def test_scores_depend_on_no_unit_and_lie_between_0_and_1() -> None:
    random = np.random.default_rng(1)
    people = pd.DataFrame({INACTIVE: random.integers(0, 7, 500), CHANGE: random.gamma(4, 0.2, 500)})
    scores = naive_scores(people)
    assert (scores > 0).all() and (scores <= 1).all()
    assert (naive_scores(people.assign(**{CHANGE: people[CHANGE] * 100})) == scores).all()
