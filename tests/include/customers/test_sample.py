"""The sample customers: whole, repeatable, like the real ones, and drifting exactly as asked."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score
from xgboost import XGBClassifier

from include.contract import load_contract
from include.customers.__main__ import main
from include.customers.sample import (
    DERIVED,
    FIRST_KEY,
    NO_DRIFT,
    SHIFTABLE,
    STATISTICS_FILE,
    Drift,
    load_statistics,
    sample_customers,
)
from include.errors import ConfigurationError

CONTRACT = load_contract()
NAN = float("nan")
CHANGED_RULE = Drift(changed_rule=True)
PUBLISHED = [CONTRACT.key.name, CONTRACT.target.name, *CONTRACT.feature_names]
INTEGRAL = [*(set(SHIFTABLE) - {"Credit_Limit", "Total_Amt_Chng_Q4_Q1", "Total_Ct_Chng_Q4_Q1"})]

shifts = st.builds(
    Drift,
    shift_sd=st.floats(-10, 10).filter(bool),
    columns=st.lists(st.sampled_from(SHIFTABLE), min_size=1, unique=True).map(tuple),
    changed_rule=st.booleans(),
)
drifts = shifts | st.just(NO_DRIFT) | st.just(CHANGED_RULE)


def attrited(frame: pd.DataFrame) -> np.ndarray:
    return (frame["Attrition_Flag"] == "Attrited Customer").to_numpy()


def fitted(frame: pd.DataFrame, *, trees: int) -> XGBClassifier:
    model = XGBClassifier(
        n_estimators=trees, max_depth=5, learning_rate=0.1, subsample=0.8, n_jobs=1, random_state=0
    )
    return model.fit(CONTRACT.matrix(frame, CONTRACT.feature_names), attrited(frame))


def roc_auc(model: XGBClassifier, frame: pd.DataFrame) -> float:
    scores = model.predict_proba(CONTRACT.matrix(frame, CONTRACT.feature_names))[:, 1]
    return float(roc_auc_score(attrited(frame), scores))


@given(rows=st.integers(1, 400), seed=st.integers(0, 2**63), drift=drifts)
def test_any_sample_keeps_the_contract_and_comes_again(rows: int, seed: int, drift: Drift) -> None:
    frame = sample_customers(rows, seed=seed, drift=drift)
    check = CONTRACT.check_frame(frame)
    assert check.faults.empty, check.faults
    assert len(frame) == rows
    limit, balance = frame["Credit_Limit"], frame["Total_Revolving_Bal"]
    np.testing.assert_allclose(frame["Avg_Open_To_Buy"], limit - balance, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(frame["Avg_Utilization_Ratio"], (balance / limit).round(3))
    assert_frame_equal(sample_customers(rows, seed=seed, drift=drift), frame)


def test_columns_keys_and_values_are_as_asked() -> None:
    frame, other = (sample_customers(100, seed=seed, first_key=5) for seed in (1, 2))
    assert list(frame) == PUBLISHED
    assert {str(frame[name].dtype) for name in INTEGRAL} == {"int64"}
    assert frame["CLIENTNUM"].tolist() == list(range(5, 105))
    assert sample_customers(1, seed=1)["CLIENTNUM"].tolist() == [FIRST_KEY]
    assert not frame.drop(columns="CLIENTNUM").equals(other.drop(columns="CLIENTNUM"))


@pytest.mark.parametrize(("share", "customers"), [(None, 160), (0.0, 0), (0.35, 350), (1.0, 1000)])
@pytest.mark.parametrize("drift", [NO_DRIFT, CHANGED_RULE])
def test_attrited_share_holds(share: float | None, customers: int, drift: Drift) -> None:
    frame = sample_customers(1000, seed=3, attrited_share=share, drift=drift)
    assert abs(attrited(frame).sum() - customers) <= 1


def test_single_customers_leave_at_the_same_rate_as_many() -> None:
    left = sum(attrited(sample_customers(1, seed=seed)).sum() for seed in range(200))
    assert 12 <= left <= 52  # 32 expected, standard deviation 5.2


@pytest.mark.parametrize("name", SHIFTABLE)
def test_a_shift_moves_its_column_by_that_much_and_no_other(name: str) -> None:
    before = sample_customers(5000, seed=4)
    after = sample_customers(5000, seed=4, drift=Drift(0.5, (name,)))
    moved = (after[name] - before[name]).mean() / load_statistics().standard_deviations[name]
    # A balance stops at its limit.
    assert moved == pytest.approx(0.5, abs=0.06 if name == "Total_Revolving_Bal" else 0.02)
    others = [other for other in PUBLISHED if other not in {name, *DERIVED}]
    assert_frame_equal(after[others], before[others])


def test_limit_and_balance_move_towards_each_other_and_stop() -> None:
    columns = ("Total_Revolving_Bal", "Credit_Limit")
    fallen = sample_customers(500, seed=5, drift=Drift(-10, columns))
    risen = sample_customers(500, seed=5, drift=Drift(10, ("Total_Revolving_Bal",)))
    assert fallen["Credit_Limit"].min() == 1
    assert (risen["Total_Revolving_Bal"] <= risen["Credit_Limit"]).all()
    assert risen["Avg_Utilization_Ratio"].median() > 0.9


def test_the_changed_rule_changes_labels_alone() -> None:
    before, after = (sample_customers(3000, seed=6, drift=d) for d in (NO_DRIFT, CHANGED_RULE))
    assert_frame_equal(after.drop(columns="Attrition_Flag"), before.drop(columns="Attrition_Flag"))
    changed = attrited(before) != attrited(after)
    assert before.loc[changed, "Credit_Limit"].min() >= 10_000
    assert attrited(before).sum() == attrited(after).sum()


def test_the_changed_rule_beats_an_old_model_and_a_new_one_learns_it() -> None:
    old, new = sample_customers(6000, seed=7), sample_customers(2400, seed=8, drift=CHANGED_RULE)
    later = sample_customers(4000, seed=9, drift=CHANGED_RULE)
    mixture = pd.concat([sample_customers(10_000, seed=10), later])
    champion = fitted(old, trees=120)
    challenger = fitted(pd.concat([old, new]), trees=120)
    assert roc_auc(champion, later) < roc_auc(champion, sample_customers(4000, seed=11)) - 0.1
    assert roc_auc(challenger, later) > roc_auc(champion, later) + 0.08
    assert roc_auc(challenger, mixture) > roc_auc(champion, mixture) + 0.015


def test_masses_of_the_real_data_are_there() -> None:
    frame = sample_customers(20_000, seed=12)
    for name, value, share in (
        ("Total_Revolving_Bal", 0, 0.245),
        ("Total_Revolving_Bal", 2517, 0.050),
        ("Credit_Limit", 1438.3, 0.049),
        ("Credit_Limit", 34516, 0.050),
    ):
        assert (frame[name] == value).mean() == pytest.approx(share, abs=0.01)


def test_statistics_hold_no_customer_and_are_small() -> None:
    text = STATISTICS_FILE.read_text("utf-8")
    assert len(text) < 60_000
    tables = [t for part in load_statistics().segments for t in part.numeric.values()]
    assert max(len(table.share) for table in tables) < 100


def test_columns_are_distributed_and_depend_on_each_other_as_in_the_real_data(
    bank_churners: Path,
) -> None:
    real, sample = pd.read_csv(bank_churners), sample_customers(30_000, seed=13)
    assert list(real) == list(sample)
    names = (*SHIFTABLE, *DERIVED)
    assert max(ks_2samp(real[name], sample[name]).statistic for name in names) < 0.035
    ranks = [
        pd.DataFrame(CONTRACT.matrix(frame, CONTRACT.feature_names)).corr("spearman").to_numpy()
        for frame in (real, sample)
    ]
    assert np.abs(ranks[0] - ranks[1]).max() < 0.07


def test_a_model_trained_on_samples_knows_real_customers(bank_churners: Path) -> None:
    model = fitted(sample_customers(10_127, seed=15), trees=200)
    assert roc_auc(model, pd.read_csv(bank_churners)) >= 0.985


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sample_customers(0, seed=1), "rows must be at least 1, found 0"),
        (lambda: sample_customers(9, seed=-1), "seed must be 0 or more, found -1"),
        (lambda: sample_customers(10, seed=1, first_key=0), "keys must be from 1 to .* found 0 to"),
        (lambda: sample_customers(10, seed=1, first_key=2**53 - 9), "choose another first key"),
        (lambda: sample_customers(9, seed=1, attrited_share=NAN), "from 0 to 1, found nan"),
        (lambda: Drift(1.0, ()), "needs both a size and columns, found shift_sd 1 and 0 columns"),
        (lambda: Drift(0.0, ("Customer_Age",)), "give both or neither"),
        (lambda: Drift(NAN, ("Customer_Age",)), "from -10 to 10 standard deviations, found nan"),
        (lambda: Drift(1.0, ("Avg_Open_To_Buy",)), "Customer_Age, .* from limit and balance: shif"),
    ],
)
def test_impossible_requests_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_command_line_writes_the_frame_as_published(tmp_path: Path) -> None:
    out = tmp_path / "customers.csv"
    assert main(["sample", "--rows", "300", "--seed", "2", "--out", str(out)]) == 0
    assert_frame_equal(pd.read_csv(out), sample_customers(300, seed=2))
    assert ".0," not in out.read_text("utf-8")


def test_command_line_writes_to_stdout() -> None:
    command = f"{sys.executable} -m include.customers sample --rows 5 --seed 2 --out=-".split()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    written = pd.read_csv(io.StringIO(done.stdout))
    assert_frame_equal(written, sample_customers(5, seed=2), check_dtype=False)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("sample --rows 5 --out /absent/customers.csv", 1, "cannot write /absent/customers.csv"),
        ("", 2, "the following arguments are required: command"),
        ("sample --rows 0", 2, "rows must be at least 1, found 0"),
    ],
)
def test_command_line_refuses_bad_arguments(
    arguments: str, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended: object = main(arguments.split())
    except SystemExit as error:
        ended = error.code
    assert ended == code
    assert message in capsys.readouterr().err
