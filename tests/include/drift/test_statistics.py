"""The statistics: equal to SciPy's on whatever rows, and the same however the rows are cut."""

from functools import reduce
from operator import add
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import stats

from include.drift import statistics
from include.drift.findings import Kind, Verdict
from include.drift.statistics import SCORE, Comparison, Counts
from include.params import DayRule, DriftRules, load_params
from include.settings import Settings

Values = NDArray[np.float64]
RULES = load_params(Settings().params_file).drift

# Few distinct values make ties, `floats` hardly any; one row and constants come by themselves.
VALUES = st.one_of(
    arrays(np.float64, st.integers(1, 80), elements=st.integers(-3, 3).map(float)),
    arrays(np.float64, st.integers(1, 80), elements=st.floats(-1e6, 1e6, width=32)),
    arrays(np.float64, st.integers(1, 300), elements=st.sampled_from([0.0, 0.1, 0.2, 1e9])),
    arrays(np.float64, st.integers(1, 80), elements=st.integers(0, 65_540).map(float)),
    st.integers(1, 50).map(lambda rows: np.zeros(rows)),
)


def counted(reference: Values, current: Values) -> tuple[Counts, Counts]:
    places = np.unique(reference)
    return statistics.count(reference, places), statistics.count(current, places)


def comparison(reference: Values, current: Values, kind: Kind = "numeric") -> Comparison:
    return Comparison(kind, *counted(reference, current))


def ks_2samp(first: Values, second: Values) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):  # SciPy's, for one row against one
        return stats.ks_2samp(first, second, method="asymp")


@given(VALUES, VALUES)
def test_the_statistic_is_scipys(reference: Values, current: Values) -> None:
    found = statistics.ks_statistic(*counted(reference, current))
    expected = ks_2samp(reference, current)
    assert found == pytest.approx(expected.statistic, abs=1e-12)
    p_value = statistics.ks_p_value(found, len(reference), len(current))
    if not np.isnan(expected.pvalue):
        assert p_value == pytest.approx(expected.pvalue, abs=1e-12)


RANDOM, ROWS = np.random.default_rng(7), 9000  # enough for a radix sort
COIN = RANDOM.random(ROWS) < 0.5
SHAPES: dict[str, Values] = {  # that could upset it
    "even": RANDOM.random(ROWS),
    "decimals": np.round(RANDOM.normal(size=ROWS), 2),
    "whole": RANDOM.integers(0, 65_536, ROWS).astype(np.float64),
    "long tails": RANDOM.standard_cauchy(ROWS),
    "orders of magnitude": 10 ** RANDOM.uniform(-300, 300, ROWS),
    "two places far apart": np.where(COIN, 0.1, 1e15) + RANDOM.random(ROWS),
    "infinite": np.where(COIN, np.inf, RANDOM.random(ROWS)),
    "infinite both ways": np.where(COIN, np.inf, -np.inf),
    "as large as can be": np.where(COIN, 1.7e308, -1.7e308),
    "as small as can be": RANDOM.integers(-4, 5, ROWS) * 5e-324,
    "nearly constant": np.where(np.arange(ROWS) % 900, 2.5, RANDOM.random(ROWS)),
    "descending": -np.sort(RANDOM.random(ROWS)),
}


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES)
def test_the_statistic_is_scipys_for_many_values_of_any_shape(values: Values) -> None:
    reference, current = values[:2000], values[2000:]
    found = statistics.ks_statistic(*counted(reference, current))
    assert found == pytest.approx(ks_2samp(reference, current).statistic, abs=1e-12)
    shifted, places = np.append(current[500:], values[:500]), np.unique(reference)
    expected = np.searchsorted(np.sort(shifted), places, "right")
    assert (statistics.count(shifted, places).at_most == expected).all()


@pytest.mark.parametrize("rows", [2, ROWS])
def test_a_value_that_is_no_number_is_refused(rows: int) -> None:
    values = np.random.default_rng(0).random(rows)
    values[rows // 2] = np.nan
    with pytest.raises(ValueError, match="found NaN"):
        statistics.count(values, np.array([0.5]))


@given(VALUES, VALUES, VALUES)
def test_more_places_than_the_reference_has_change_nothing(
    reference: Values, current: Values, others: Values
) -> None:
    places = np.unique(np.concatenate([reference, others]))
    found = statistics.ks_statistic(
        statistics.count(reference, places), statistics.count(current, places)
    )
    assert found == pytest.approx(ks_2samp(reference, current).statistic, abs=1e-12)


@given(VALUES, st.lists(VALUES, min_size=1, max_size=6))
def test_counts_of_parts_add_up_to_those_of_the_whole(
    reference: Values, parts: list[Values]
) -> None:
    places = np.unique(reference)
    summed = reduce(add, (statistics.count(part, places) for part in parts))
    whole = statistics.count(np.concatenate(parts), places)
    assert summed.rows == whole.rows
    assert (summed.below == whole.below).all() and (summed.at_most == whole.at_most).all()


@given(st.lists(st.integers(5, 500), min_size=2, max_size=7), st.integers(0, 2**32 - 1))
def test_chi_squared_is_scipys_where_no_category_is_rare(row: list[int], seed: int) -> None:
    first = np.array(row) + 50
    second = np.random.default_rng(seed).permutation(first)
    statistic, p_value = statistics.chi_squared(first, second)
    expected = stats.chi2_contingency([first, second], correction=False)
    assert statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert p_value == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.parametrize(
    ("first", "second"),
    [([90, 10], [90, 10]), ([100, 0], [100, 0]), ([1, 0, 99], [0, 1, 99]), ([7], [9]), ([2], [1])],
)
def test_rare_categories_alone_prove_nothing(first: list[int], second: list[int]) -> None:
    assert statistics.chi_squared(np.array(first), np.array(second))[1] > 0.9


def test_a_category_that_nobody_had_before_is_seen() -> None:
    _, p_value = statistics.chi_squared(np.array([500, 500, 0]), np.array([400, 400, 200]))
    assert p_value < 1e-6
    change = statistics.total_variation(np.array([500, 500, 0]), np.array([400, 400, 200]))
    assert change == pytest.approx(0.2)


def test_rare_categories_do_not_ring_when_nothing_changed() -> None:
    """Platinum cards are 2 in 1,000; the plain approximation would ring too often on them."""
    random = np.random.default_rng(1)
    shares = np.array([0.93, 0.055, 0.013, 0.002])
    found = [
        statistics.chi_squared(random.multinomial(7000, shares), random.multinomial(500, shares))[1]
        for _ in range(2000)
    ]
    assert np.mean(np.array(found) < 0.05) < 0.06


def test_the_stability_index_is_the_textbooks() -> None:
    old, new = np.array([4000, 6000]), np.array([5000, 5000])
    expected = (0.5 - 0.4) * np.log(0.5 / 0.4) + (0.5 - 0.6) * np.log(0.5 / 0.6)
    assert statistics.psi(old, new) == pytest.approx(expected, rel=1e-3)
    assert statistics.psi(old, old) == 0


def test_numeric_bins_hold_a_tenth_of_the_reference_each() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    pair = comparison(values, values + 10)
    reference, current = statistics.binned(pair.reference, pair.current)
    assert reference.tolist() == [100] * 10
    assert current.tolist() == [0] * 9 + [1000]


def judged(rules: DriftRules = RULES, **shifts: float) -> dict[str, Verdict]:
    random = np.random.default_rng(3)
    pairs = {
        name: comparison(random.normal(size=7000), random.normal(size=2000) + shift)
        for name, shift in shifts.items()
    }
    return {verdict.feature: verdict for verdict in statistics.judge(pairs, rules)}


def test_a_feature_drifts_when_significant_and_large() -> None:
    found = judged(still=0, small=0.12, large=0.6)
    assert [found[n].significant for n in ("still", "small", "large")] == [False, True, True]
    assert [found[n].drifted for n in ("still", "small", "large")] == [False, False, True]


def test_the_correction_is_benjamini_hochbergs_over_all_features() -> None:
    found = judged(a=0, b=0, c=0.1, d=0.05).values()
    expected = stats.false_discovery_control([verdict.p_value for verdict in found])
    assert [verdict.q_value for verdict in found] == pytest.approx(expected.tolist())


def test_a_new_distribution_of_categories_drifts() -> None:
    random = np.random.default_rng(5)
    old, new = random.choice(4, 7000).astype(float), random.choice(2, 2000).astype(float)
    (verdict,) = statistics.judge({"Gender": comparison(old, new, "categorical")}, RULES)
    assert verdict.test == "chi2" and verdict.drifted
    assert verdict.effect == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("rule", "drifts"),
    [
        ({"count": 1}, True),
        ({"count": 2}, True),
        ({"count": 3}, False),
        ({"share": 0.4}, True),
        ({"share": 0.6}, False),
        ({"any_of": ["a", "still"]}, True),
        ({"any_of": ["still"]}, False),
    ],
)
def test_the_day_follows_the_configured_rule(rule: dict[str, object], drifts: bool) -> None:
    rules = RULES.model_copy(update={"rule": DayRule.model_validate(rule)})
    found = tuple(judged(a=1, b=1, still=0, quiet=0).values())
    assert statistics.day_drifted(found, rules) is drifts


@pytest.mark.parametrize("counts", [True, False])
def test_the_score_counts_only_where_it_is_told_to(counts: bool) -> None:
    rules = RULES.model_copy(update={"score_counts": counts})
    found = tuple(judged(still=0, **{SCORE: 1.0}).values())
    assert statistics.day_drifted(found, rules) is counts


@pytest.mark.parametrize("rule", [{}, {"count": 1, "share": 0.5}, {"count": 0}, {"share": 2}])
def test_a_rule_that_says_nothing_or_two_things_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DayRule.model_validate(rule)
