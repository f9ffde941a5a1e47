"""The ML Test Score: each of the 28 is bound to what proves it, and each automated one goes red.

Breck et al., "The ML Test Score: A Rubric for ML Production Readiness and Technical Debt Reduction"
(IEEE Big Data 2017). The table is include/config/ml_test_score.yaml; `python -m
tests.test_ml_test_score` prints it as docs/ml-test-score.md has it. Where the test that is named
plants no fault by itself, one is planted here.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from dashboard.data.ml_test_score import Test, read_ml_test_score, score_text
from include import features
from include.champion.contributions import Leaves
from include.champion.onnx_scorer import Scorer
from include.contract import Column, Contract, load_contract
from include.customers.sample import sample_customers
from include.errors import DataError
from include.params import Params, load_params
from include.settings import PROJECT, Settings
from include.training import fit, onnx_export
from tests.include import test_features
from tests.include.champion import test_contributions
from tests.include.conftest import WEAK, changed
from tests.include.nights import fitted_on
from tests.include.training import test_fit
from tests.infra.test_project_files import anchors

SCORE = read_ml_test_score()
TESTS = {
    f"{section} {number}": test
    for section, tests in SCORE.sections.items()
    for number, test in enumerate(tests, 1)
}
AUTOMATED = {name: test for name, test in TESTS.items() if test.proof}
NODES = sorted({node for test in AUTOMATED.values() for node in (test.proof, test.fault) if node})
PAGE = PROJECT / "docs" / "ml-test-score.md"
FEE = Column(name="Fee", type="float", minimum=0, maximum=100, meaning="A new feature")


def table() -> str:
    """The table as the page has it."""
    lines = []
    for section, tests in SCORE.sections.items():
        lines += [f"## {section.capitalize()}: {SCORE.points[section]:g} of 7", ""]
        lines += ["| | asks | how it is met | points | shown by |", "|---|---|---|---|---|"]
        lines += [
            f"| {number} | {t.asks} | {t.met} | {t.points:g} | {_shown_by(t)} |"
            for number, t in enumerate(tests, 1)
        ]
        lines.append("")
    return "\n".join(lines)


def _shown_by(test: Test) -> str:
    if test.fault and test.plants:
        file, _, name = test.fault.partition("::")
        return f"`{file.rpartition('/')[2]}::{name}`: {test.plants[0].lower()}{test.plants[1:]}"
    return f"[{test.document}](../{test.document})" if test.document else "–"


# --- the binding


@pytest.mark.parametrize("node", NODES)
def test_each_named_test_is_one_that_pytest_collects_and_never_skips(node: str) -> None:
    assert unsound(node) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def test_b(): ...", "expected one such test"),
        ("class A:\n    def test_a(): ...", "expected one such test"),
        ("@pytest.mark.skipif(True)\ndef test_a(): ...", "need not run or pass"),
        ("pytestmark = [pytest.mark.xfail]\ndef test_a(): ...", "need not run or pass"),
    ],
)
def test_a_name_that_proves_nothing_shows(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "test_x.py").write_text(text)
    assert why in unsound("test_x.py::test_a", root=tmp_path)


def unsound(node: str, *, root: Path = PROJECT) -> str:
    """Why a named test proves nothing; by reading, because to collect them all takes half a minute.

    What is collected follows from the names: pytest's own rules hold in tests/, without exception.
    """
    file, _, name = node.partition("::")
    path = root / file
    body = ast.parse(path.read_text()).body if path.exists() else []
    found = [each for each in body if isinstance(each, ast.FunctionDef) and each.name == name]
    if len(found) != 1 or not name.startswith("test_") or not path.name.startswith("test_"):
        return f"{node}: expected one such test; name another in ml_test_score.yaml"
    marks = [ast.unparse(each) for each in found[0].decorator_list]
    marks += [m for each in body if (m := ast.unparse(each)).startswith("pytestmark")]
    skipped = any("skip" in mark or "xfail" in mark for mark in marks)
    return f"{node} need not run or pass" if skipped else ""


@pytest.mark.parametrize("name", [name for name, test in TESTS.items() if test.document])
def test_each_named_page_has_the_section(name: str) -> None:
    path, _, anchor = str(TESTS[name].document).partition("#")
    assert not anchor or anchor in anchors(PROJECT / path)


def test_at_least_twenty_are_automated_and_the_score_is_the_least_sum() -> None:
    assert len(TESTS) == 28 and len(AUTOMATED) >= 20
    sums = [sum(test.points for test in tests) for tests in SCORE.sections.values()]
    assert SCORE.score == min(sums) and list(SCORE.points.values()) == sums


@pytest.mark.parametrize("parts", [{"proof": "a"}, {"proof": "a", "fault": "b"}, {"plants": "c"}])
def test_no_point_without_a_planted_fault(parts: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="give proof, fault and plants"):
        Test(asks="x", met="y", **parts)


def test_the_page_has_the_table_and_the_score() -> None:
    page = PAGE.read_text()
    again = "`python -m tests.test_ml_test_score` prints what belongs there"
    assert table() in page and score_text(SCORE) in page, again


def test_whoever_tells_the_score_tells_this_one() -> None:
    pages = PAGE.read_text() + (PROJECT / "README.md").read_text()
    told = re.findall(r"ML Test Score\D{0,80}([\d.]+) of 7", pages)
    assert set(told) == {f"{SCORE.score:g}"}


# --- planted faults


@cache
def people() -> pd.DataFrame:
    return sample_customers(1500, seed=1)


@cache
def contract() -> Contract:
    return load_contract()


@pytest.fixture
def params() -> Params:
    """Few trees, and no customers made up."""
    found = changed(load_params(Settings().params_file), {"n_estimators": 60, "max_depth": 4})
    model = found.model.model_copy(update={"resampling": "none"})
    return found.model_copy(update={"model": model})


def learns_from_the_fee(params: Params, columns: tuple[str, ...]) -> bool:
    """Whether a model of these columns answers otherwise where the new column differs."""
    old, random = contract(), np.random.default_rng(0)
    columns_and_fee = (*old.columns, FEE)
    wider = Contract(version=1, attrited_share=old.attrited_share, columns=columns_and_fee)
    fee = 30 * wider.labels(people()) + random.uniform(0, 60, len(people()))
    frame = people().assign(Fee=fee)
    model = params.model.model_copy(update={"columns": columns})
    fitted = fitted_on(frame, wider, params.model_copy(update={"model": model}))
    rows = wider.matrix(frame.head(200), fitted.columns)
    scorer = Scorer(onnx_export.export(fitted, rows))
    other = wider.matrix(frame.head(200).assign(Fee=0.0), fitted.columns)
    return not np.allclose(scorer.score(rows), scorer.score(other))


def test_a_new_feature_takes_a_line_of_the_contract(params: Params) -> None:
    assert learns_from_the_fee(params, (*contract().feature_names, FEE.name))


def test_a_feature_that_does_not_reach_the_model_shows(params: Params) -> None:
    assert not learns_from_the_fee(params, contract().feature_names)


def test_a_wrong_formula_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = features.ENGINEERED
    wrong = (replace(first, divisor="Total_Revolving_Bal"), *others)
    monkeypatch.setattr(features, "ENGINEERED", wrong)
    with pytest.raises(AssertionError):
        test_features.test_activity_growth_and_customer_value_follow_the_raw_columns()


def beats_a_simpler_model(params: Params) -> bool:
    """Whether the configured trees rank hold-out customers better than logistic regression."""
    customers = fit.with_split(people(), contract(), params.split)
    prepared = fit.prepare(customers, contract(), params)
    model = fit.fit(prepared, params.model)
    held = customers[customers[fit.SPLIT] == "holdout"]
    raw = fit.raw_features(held, contract(), prepared.columns)
    (rows,) = prepared.training
    simple = LogisticRegression(max_iter=1000).fit(rows.features, rows.labels)
    given = simple.predict_proba(prepared.scaler.transform(raw))[:, 1]
    labels = contract().labels(held)
    own = model.probabilities(contract().matrix(held, model.columns))
    return bool(roc_auc_score(labels, own) > roc_auc_score(labels, given) + 0.01)


def test_a_simpler_model_is_not_better(params: Params) -> None:
    assert beats_a_simpler_model(params)


def test_a_model_no_better_than_a_simpler_one_shows(params: Params) -> None:
    assert not beats_a_simpler_model(changed(params, WEAK))


def spoiled_fit(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[list[Any], Any], tuple[list[Any], Any]]
) -> None:
    """Trees that grow on other rows, or by other parameters, than they are given."""
    grow = fit.fit_trees
    monkeypatch.setattr(fit, "fit_trees", lambda parts, model: grow(*spoil(list(parts), model)))


def test_a_seed_that_moves_shows(monkeypatch: pytest.MonkeyPatch, params: Params) -> None:
    seeds: Iterator[int] = iter(range(100))
    spoiled_fit(
        monkeypatch, lambda rows, model: (rows, model.model_copy(update={"seed": next(seeds)}))
    )
    with pytest.raises(AssertionError):
        test_fit.test_the_same_data_gives_the_same_bytes("xgboost", people(), contract(), params)


def test_trees_that_learn_nothing_show(monkeypatch: pytest.MonkeyPatch, params: Params) -> None:
    random = np.random.default_rng(0)
    spoiled_fit(
        monkeypatch,
        lambda rows, model: (
            [replace(part, labels=random.permutation(part.labels)) for part in rows],
            model,
        ),
    )
    with pytest.raises((AssertionError, DataError)):
        test_fit.test_a_model_tells_who_leaves("xgboost", "none", people(), contract(), params)


def test_contributions_of_other_features_show(
    monkeypatch: pytest.MonkeyPatch, params: Params
) -> None:
    right = Leaves.contributions
    monkeypatch.setattr(Leaves, "contributions", lambda self, rows: right(self, rows)[:, ::-1])
    fitted = fitted_on(people(), contract(), params)
    with pytest.raises(AssertionError):
        test_contributions.test_contributions_are_those_of_xgboost_and_add_up(
            fitted, people(), contract()
        )


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
