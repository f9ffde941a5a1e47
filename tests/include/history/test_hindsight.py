"""Planted faults of a history, and honest ones that look a little like them."""

import numpy as np
import pytest

from include.champion.early_warning import Hindsight
from include.history.hindsight import ROWS_MAX, compared_rows, hindsight

ROWS = 2000
LEFT_AFTER = np.where(np.arange(ROWS) % 10 == 0, 80.0, np.nan)
LEFT = ~np.isnan(LEFT_AFTER)


def found(then: np.ndarray, latest: np.ndarray, *, category: bool = False) -> Hindsight:
    names = ["value"] if category else []
    (only,) = hindsight({"value": then}, {"value": latest}, LEFT_AFTER, categories=names)
    return only


@pytest.fixture
def then() -> np.ndarray:
    return np.random.default_rng(1).normal(60, 10, ROWS)


def test_months_that_move_people_a_little_show_little(then: np.ndarray) -> None:
    latest = then + np.random.default_rng(2).normal(-1, 5, ROWS)
    each = found(then, latest)
    assert each.moved is not None and each.moved < 0.1 and each.kept == 0


def test_another_meaning_shows_as_a_distance(then: np.ndarray) -> None:
    each = found(then, then / 4)  # a quarter's count where the history has a year's
    assert each.moved is not None and each.moved > 0.9


def test_who_grew_older_did_not_move() -> None:
    months = np.random.default_rng(1).integers(30, 42, ROWS) * 1.0
    each = found(months, months + 5)
    assert (each.moved, each.kept) == (0.0, 0.0)
    every_other = found(months, months + 10 * (np.arange(ROWS) % 2))
    assert every_other.moved is not None and every_other.moved > 0.3


def test_values_of_the_end_show_as_kept(then: np.ndarray) -> None:
    latest = then + np.random.default_rng(2).normal(-1, 5, ROWS)
    each = found(np.where(LEFT, latest, then), latest)
    assert each.kept == 1.0


def test_categories_have_a_distance_of_their_own() -> None:
    then = np.arange(ROWS) // 10 % 2 * 1.0
    assert found(then, 1 - then, category=True).moved == pytest.approx(0.0)
    assert found(then, np.zeros(ROWS), category=True).moved == pytest.approx(0.5)


def test_few_customers_show_nothing(then: np.ndarray) -> None:
    (few,) = hindsight({"v": then[:30]}, {"v": then[:30]}, LEFT_AFTER[:30], categories=[])
    assert (few.moved, few.kept) == (None, None)


def test_who_left_soon_is_not_compared_and_many_are_thinned() -> None:
    left_after = np.tile([20.0, 80.0, np.nan, np.nan, np.nan], 10_000)
    rows = compared_rows(left_after)
    assert not (left_after[rows] == 20).any()
    assert (left_after[rows] == 80).sum() == 10_000
    assert 10_000 < np.isnan(left_after[rows]).sum() <= ROWS_MAX
