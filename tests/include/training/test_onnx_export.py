from dataclasses import replace

import numpy as np
import onnx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from include.champion.onnx_scorer import Scorer
from include.contract import load_contract
from include.customers.sample import sample_customers
from include.errors import ChampionError
from include.params import load_params
from include.settings import Settings
from include.training import onnx_export
from include.training.fit import Fitted
from research.customers import EIGHT_COLUMNS
from tests.include.nights import fitted_on

CONTRACT = load_contract()
Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def fitted(family: str, columns: object, *, trees: int) -> Fitted:
    rules = load_params(Settings().params_file)
    sized = getattr(rules.model, family).model_copy(update={"n_estimators": trees})
    changes = {"family": family, "columns": columns, family: sized}
    rules = rules.model_copy(update={"model": rules.model.model_copy(update=changes)})
    return fitted_on(sample_customers(1500, seed=5), CONTRACT, rules)


@pytest.fixture(
    scope="module",
    params=[
        ("xgboost", "all", 80),
        ("random_forest", "all", 30),
        ("xgboost", EIGHT_COLUMNS, 80),
        ("random_forest", EIGHT_COLUMNS, 30),
    ],
    ids=["xgboost", "random_forest", "xgboost-8", "random_forest-8"],
)
def model(request: pytest.FixtureRequest) -> Fitted:
    """A model of either family on all columns or the eight."""
    family, columns, trees = request.param
    return fitted(family, columns, trees=trees)


@pytest.fixture(scope="module")
def small() -> Fitted:
    """A model of few trees, for what does not depend on them."""
    return fitted("xgboost", "all", trees=5)


@pytest.fixture(scope="module")
def scorer(model: Fitted) -> Scorer:
    return Scorer(onnx_export.build_graph(model).SerializeToString())


def rows_of(model: Fitted, people: pd.DataFrame) -> Matrix:
    matrix: Matrix = CONTRACT.matrix(people, model.columns)
    return matrix


def assert_agree(model: Fitted, scorer: Scorer, rows: Matrix) -> None:
    difference = np.abs(scorer.score(rows) - model.probabilities(rows))
    assert difference.max() <= 1e-5


def test_the_graph_is_the_pipeline(model: Fitted, scorer: Scorer, people: pd.DataFrame) -> None:
    assert_agree(model, scorer, rows_of(model, people))


def test_the_graph_is_the_pipeline_on_real_customers(
    model: Fitted, scorer: Scorer, bank_churners: str
) -> None:
    assert_agree(model, scorer, rows_of(model, pd.read_csv(bank_churners)))


@pytest.mark.parametrize("value", [0.0, 5e-324, 1e-30, 1.0, 1e7])
@pytest.mark.parametrize(
    "name", ["Total_Trans_Amt", "Credit_Limit", "Total_Revolving_Bal", "Total_Trans_Ct"]
)
def test_the_graph_is_the_pipeline_at_the_edges(
    name: str, value: float, model: Fitted, scorer: Scorer, people: pd.DataFrame
) -> None:
    rows = rows_of(model, people[:50])
    rows[:, model.columns.index(name)] = min(value, CONTRACT.column(name).maximum or value)
    assert_agree(model, scorer, rows)


@given(data=st.data())
def test_the_graph_is_the_pipeline_anywhere_in_the_contract(
    data: st.DataObject, model: Fitted, scorer: Scorer
) -> None:
    columns = [CONTRACT.column(name) for name in model.columns]
    values = [
        st.integers(0, len(c.categories) - 1)
        if c.categories
        else st.floats(c.minimum, c.maximum)
        if c.type == "float"
        else st.integers(int(c.minimum or 0), int(c.maximum or 0))
        for c in columns
    ]
    rows = np.array(data.draw(st.lists(st.tuples(*values), min_size=1, max_size=5)), np.float64)
    assert_agree(model, scorer, rows)


def test_a_row_gets_the_same_answer_alone_and_in_company(
    model: Fitted, scorer: Scorer, people: pd.DataFrame
) -> None:
    rows = rows_of(model, people[:100])
    alone = np.concatenate([scorer.score(rows[place : place + 1]) for place in range(100)])
    np.testing.assert_array_equal(scorer.score(rows), alone)


def test_no_rows_get_no_answers(model: Fitted, scorer: Scorer) -> None:
    assert scorer.score(np.empty((0, len(model.columns)))).shape == (0,)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_without_a_number_is_refused_whichever_column_it_is(
    small: Fitted, people: pd.DataFrame, value: float
) -> None:
    scorer = Scorer(onnx_export.build_graph(small).SerializeToString())
    for place in range(len(small.columns)):
        rows = rows_of(small, people[:3])
        rows[1, place] = value
        with pytest.raises(InvalidArgument, match="NaN_and_infinity_are_refused"):
            scorer.score(rows)


def test_the_graph_takes_raw_columns_and_gives_a_probability(small: Fitted) -> None:
    built = onnx_export.build_graph(small)
    assert Scorer(built.SerializeToString()).width == len(small.columns)
    assert [value.name for value in built.graph.input] == ["columns"]
    assert [value.name for value in built.graph.output] == ["probability"]


def test_the_graph_carries_nothing_but_itself(small: Fitted) -> None:
    built = onnx_export.build_graph(small)
    onnx.checker.check_model(built, full_check=True)
    assert {node.domain for node in built.graph.node} <= {"", "ai.onnx.ml"}
    assert not any(constant.external_data for constant in built.graph.initializer)


# --- refusals


def test_an_export_that_disagrees_is_refused(
    small: Fitted, people: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    steeper = small.calibration.model_copy(update={"slope": small.calibration.slope * 1.01})
    wrong = onnx_export.build_graph(replace(small, calibration=steeper))
    monkeypatch.setattr(onnx_export, "build_graph", lambda _: wrong)
    with pytest.raises(ChampionError, match=r"differs from the fitted .* export is refused"):
        onnx_export.export(small, rows_of(small, people))


def test_an_export_that_answers_no_number_is_refused(
    small: Fitted, people: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scorer, "score", lambda self, rows: np.full(len(rows), np.nan))
    with pytest.raises(ChampionError, match="the export is refused"):
        onnx_export.export(small, rows_of(small, people[:5]))


@pytest.mark.parametrize(
    "data", [b"", b"no graph", b"\x80\x04K\x01."], ids=["empty", "text", "pickle"]
)
def test_bytes_that_are_no_graph_are_refused(data: bytes) -> None:
    with pytest.raises(ChampionError, match="model.onnx cannot be loaded by ONNX Runtime"):
        Scorer(data)


def test_a_graph_with_other_ends_is_refused(small: Fitted) -> None:
    built = onnx_export.build_graph(small)
    built.graph.output[0].name = "margin"
    with pytest.raises(ChampionError, match="must take 'columns' and give 'probability', found"):
        Scorer(built.SerializeToString())
