"""Which customers drift is measured against, where a version cannot keep them all."""

import numpy as np
import pandas as pd
import pytest

from include.params import Params
from include.training.reference_sample import sampled

KEYS = pd.Series(np.arange(700_000_000, 700_020_000))


@pytest.mark.parametrize("rows_max", [20_000, 1_000_000])
def test_a_table_that_is_not_too_large_is_kept_whole(rows_max: int) -> None:
    assert sampled(KEYS, rows=len(KEYS), rows_max=rows_max).all()


def test_of_a_larger_one_about_so_many_are_kept() -> None:
    kept = sampled(KEYS, rows=len(KEYS), rows_max=5000).sum()
    assert kept == pytest.approx(5000, abs=4 * np.sqrt(5000 * 0.75))


def test_who_else_is_in_the_table_moves_nobody() -> None:
    whole = sampled(KEYS, rows=len(KEYS), rows_max=5000)
    part = sampled(KEYS[7:90], rows=len(KEYS), rows_max=5000)
    np.testing.assert_array_equal(part, whole[7:90])


def test_as_the_table_grows_nobody_who_is_out_comes_in() -> None:
    small = sampled(KEYS, rows=len(KEYS), rows_max=5000)
    grown = sampled(KEYS, rows=2 * len(KEYS), rows_max=5000)
    assert not (grown & ~small).any() and 0 < grown.sum() < small.sum()


def test_no_side_of_the_split_is_drawn_more_often(params: Params) -> None:
    kept = sampled(KEYS, rows=len(KEYS), rows_max=10_000)
    held = params.split.sides(KEYS.tolist()) == "holdout"
    assert kept[held].mean() == pytest.approx(kept.mean(), abs=0.03)
