import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contract import load_contract
from include.errors import ConfigurationError
from include.features import QUOTIENT_MAX, SplitRule, engineer, engineered_for

CONTRACT = load_contract()
COLUMNS = CONTRACT.feature_names
GROWTH, VALUE = len(COLUMNS), len(COLUMNS) + 1  # where the first two engineered ones are
USUAL = {
    "Credit_Limit": 5000.0,
    "Total_Revolving_Bal": 800.0,
    "Total_Amt_Chng_Q4_Q1": 0.75,
    "Total_Trans_Amt": 1500.0,
    "Avg_Utilization_Ratio": 0.16,
}
RULE = SplitRule(salt="churn", calibration_share=0.1, holdout_share=0.2)
KEYS = st.lists(st.integers(1, 2**53 - 1), max_size=200, unique=True)


def row(**values: float) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    return np.array([list((dict.fromkeys(COLUMNS, 1.0) | USUAL | values).values())])


# --- engineered columns


def test_activity_growth_and_customer_value_follow_the_raw_columns() -> None:
    features = engineer(row(), COLUMNS)[0].tolist()
    assert features[: VALUE + 1] == [*row()[0], 0.75 / 1500.0, 800.0 * 0.16 * 5000.0]


def test_activity_growth_is_zero_where_nothing_was_spent() -> None:
    assert engineer(row(Total_Trans_Amt=0.0), COLUMNS)[0, GROWTH] == 0.0


def test_activity_growth_stays_finite_for_the_smallest_amounts() -> None:
    assert engineer(row(Total_Trans_Amt=5e-324), COLUMNS)[0, GROWTH] == QUOTIENT_MAX


@given(st.data())
def test_features_of_customers_within_the_contract_are_finite(data: st.DataObject) -> None:
    columns = [CONTRACT.column(name) for name in USUAL]
    values = {each.name: data.draw(st.floats(each.minimum, each.maximum)) for each in columns}
    features = engineer(row(**values), COLUMNS)
    assert np.isfinite(features).all()
    assert (np.abs(features) <= QUOTIENT_MAX).all()


def test_the_order_of_the_columns_decides_nothing_but_their_place() -> None:
    backwards = engineer(row()[:, ::-1], COLUMNS[::-1])
    assert backwards[0, GROWTH:].tolist() == engineer(row(), COLUMNS)[0, GROWTH:].tolist()


def test_columns_that_the_engineered_features_need_cannot_be_left_out() -> None:
    with pytest.raises(ConfigurationError, match=r"need the columns \['Total_Trans_Amt'\]: add"):
        engineered_for([name for name in COLUMNS if name != "Total_Trans_Amt"])


# --- the split


def test_shares_come_out_about_right() -> None:
    sides, rows = np.unique(RULE.sides(range(700_000_000, 700_020_000)), return_counts=True)
    assert sides.tolist() == ["calibration", "holdout", "training"]
    assert rows / 20_000 == pytest.approx([0.1, 0.2, 0.7], abs=0.01)


@given(KEYS, KEYS)
def test_nobody_changes_sides_when_the_table_grows(known: list[int], new: list[int]) -> None:
    before = dict(zip(known, RULE.sides(known), strict=True))
    grown = sorted({*known, *new}, reverse=True)
    after = dict(zip(grown, RULE.sides(grown), strict=True))
    assert {key: after[key] for key in known} == before


@given(KEYS)
def test_the_kind_of_number_does_not_matter(keys: list[int]) -> None:
    as_array = np.array(keys, dtype=np.int64)
    assert RULE.sides(keys).tolist() == RULE.sides(as_array).tolist()  # type: ignore[arg-type]
    assert RULE.sides(keys).tolist() == RULE.sides([float(key) for key in keys]).tolist()


def test_these_customers_stay_where_they_are_for_ever() -> None:
    sides = "".join(side[0] for side in RULE.sides(range(768805383, 768805383 + 40)))
    assert sides == "tttthtthcttttctcththttcttthtchtcctttcttt"


def test_another_salt_is_another_split() -> None:
    other = SplitRule(salt="other", calibration_share=0.1, holdout_share=0.2)
    keys = range(5000)
    agreed = (other.sides(keys) == RULE.sides(keys)).mean()
    assert 0.5 < agreed < 0.6  # by chance 0.2² + 0.1² + 0.7²


def test_a_larger_calibration_share_takes_nobody_from_the_holdout() -> None:
    wider = SplitRule(salt="churn", calibration_share=0.3, holdout_share=0.2)
    keys = range(5000)
    assert ((wider.sides(keys) == "holdout") == (RULE.sides(keys) == "holdout")).all()


def test_neighbouring_keys_are_independent() -> None:
    held = RULE.sides(range(20_000)) == "holdout"
    assert (held[1:] & held[:-1]).mean() == pytest.approx(0.04, abs=0.01)
