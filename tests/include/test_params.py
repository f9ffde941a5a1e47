import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.contract import Contract
from include.errors import ConfigurationError
from include.features import engineered_for
from include.params import load_params
from include.settings import Settings
from research.customers import EIGHT_COLUMNS

FILE = Settings().params_file


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the project's parameters with one value changed, or taken out (None)."""

    def write(place: str, value: object) -> Path:
        document: dict[str, Any] = copy.deepcopy(yaml.safe_load(FILE.read_text()))
        *rooms, name = place.split(".")
        inner = document
        for room in rooms:
            inner = inner[room]
        if value is None:
            del inner[name]
        else:
            inner[name] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return write


def test_the_projects_own_parameters_are_right(contract: Contract) -> None:
    params = load_params(FILE)
    assert contract.chosen(params.model.columns) == contract.feature_names
    assert params.model.threshold == 0.5
    assert params.gate.gain_min == 0.001
    assert params.promotion == "auto"


@pytest.mark.parametrize(
    ("resampling", "rows", "expected"),
    [
        ("smotenc", 1000, ("smotenc", "none")),
        ("smotenc", 1001, ("none", "balanced")),
        ("smote", 1001, ("none", "balanced")),
        ("none", 1001, ("none", "none")),
    ],
)
def test_more_rows_than_the_limit_are_weighted_and_not_resampled(
    resampling: str, rows: int, expected: tuple[str, str]
) -> None:
    limited = {"resampling": resampling, "resampling_rows_max": 1000}
    found = load_params(FILE).model.model_copy(update=limited).for_rows(rows)
    assert (found.resampling, found.class_weight) == expected


@pytest.mark.parametrize(
    ("resampling", "class_weight", "rows", "expected"),
    [
        (("none", "smote"), ("none",), 1000, (("none", "smote"), ("none",))),
        (("none", "smote"), ("none",), 1001, (("none",), ("none", "balanced"))),
        (("none", "smote"), ("balanced", "none"), 1001, (("none",), ("balanced", "none"))),
        (("smotenc",), ("none",), 1001, (("none",), ("balanced",))),
        (("none",), ("none",), 1001, (("none",), ("none",))),
    ],
)
def test_a_search_on_more_rows_than_the_limit_offers_what_they_are_fitted_with(
    resampling: tuple[str, ...],
    class_weight: tuple[str, ...],
    rows: int,
    expected: tuple[tuple[str, ...], tuple[str, ...]],
) -> None:
    rules = load_params(FILE).tuning
    assert rules is not None
    rules = rules.model_copy(update={"resampling": resampling, "class_weight": class_weight})
    found = rules.for_rows(rows, rows_max=1000)
    assert (found.resampling, found.class_weight) == expected


def test_parameters_of_a_release_without_the_limit_have_the_same_one(
    write: Callable[..., Path],
) -> None:
    assert load_params(write("model.resampling_rows_max", None)) == load_params(FILE)


def test_the_eight_columns_are_a_change_of_one_line(
    write: Callable[..., Path], contract: Contract
) -> None:
    columns = contract.chosen(
        load_params(write("model.columns", list(EIGHT_COLUMNS))).model.columns
    )
    assert columns == EIGHT_COLUMNS
    assert len(engineered_for(columns)) == 2


def test_the_line_in_the_file_gives_the_same_eight(tmp_path: Path) -> None:
    text = FILE.read_text().replace("  columns: all", "  # columns: all", 1)
    (tmp_path / "params.yaml").write_text(text.replace("  # columns: [", "  columns: [", 1))
    assert list(load_params(tmp_path / "params.yaml").model.columns) == list(EIGHT_COLUMNS)


@pytest.mark.parametrize("family", ["xgboost", "random_forest"])
def test_each_family_has_its_own_hyperparameters(family: str, write: Callable[..., Path]) -> None:
    model = load_params(write("model.family", family)).model
    assert model.hyperparameters == getattr(model, family).model_dump()


def test_the_hash_names_the_values_and_not_the_file(write: Callable[..., Path]) -> None:
    params = load_params(FILE)
    assert load_params(write("promotion", "auto")).sha256() == params.sha256()
    assert load_params(write("promotion", "manual")).sha256() != params.sha256()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("model.family", "svm", "model.family: Input should be 'xgboost' or 'random_forest'"),
        ("model.columns", [], "model.columns"),
        ("gate.fairness.ratio_min", 80, "gate.fairness.ratio_min: .*less than or equal to 1"),
        ("model.threshold", 1.0, "model.threshold: .*less than 1, found 1.0"),
        ("model.xgboost.learning_rate", "fast", "model.xgboost.learning_rate: .*found 'fast'"),
        ("model.xgboost.max_depth", 2.5, "model.xgboost.max_depth"),
        ("model.xgboost.max_deep", 3, "model.xgboost.max_deep: Extra inputs are not permitted"),
        ("split.holdout_share", 0.95, "split: .*leave rows to train on"),
        ("gate.confidence", 95, "gate.confidence: .*less than 1, found 95"),
        ("campaigns.outcome_days", 0, "campaigns.outcome_days: .*greater than 0, found 0"),
        ("campaigns.listed_customers", "out", "listed_customers: Input should be 'left_out' or"),
        ("drift.cooldown_days", math.inf, "drift.cooldown_days: .*finite number, found inf"),
        ("history.loaded_days_max", 9_999_999, "loaded_days_max: .*less than or equal to 36500"),
        ("history.months_max", 4, "history.months_max is 4: expected at least .* 6, and 5"),
        ("promote", "auto", "promote: Extra inputs are not permitted"),
        ("model", None, "model: Field required"),
    ],
)
def test_a_value_that_cannot_work_is_named(
    place: str, value: object, message: str, write: Callable[..., Path]
) -> None:
    with pytest.raises(ConfigurationError, match=f"params.yaml: .*{message}"):
        load_params(write(place, value))


def test_a_file_of_an_earlier_release_cuts_a_day_into_the_same_parts(
    write: Callable[..., Path],
) -> None:
    earlier = load_params(write("drift.part_mebibytes", None))
    assert earlier == load_params(FILE)


def test_a_file_of_an_earlier_release_leaves_listed_customers_out(
    write: Callable[..., Path],
) -> None:
    assert load_params(write("campaigns", None)).campaigns == load_params(FILE).campaigns


def test_a_value_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("promotion: manual\n" + FILE.read_text())
    with pytest.raises(ConfigurationError, match=r"(?s)params.yaml: .*found promotion again.*line"):
        load_params(path)


def test_every_value_at_fault_is_named(write: Callable[..., Path]) -> None:
    path = write("model.threshold", 2)
    path.write_text(path.read_text().replace("promotion: auto", "promotion: never"))
    with pytest.raises(ConfigurationError, match="model.threshold.*promotion"):
        load_params(path)


@pytest.mark.parametrize(
    "put",
    [
        lambda path: path.write_text("model: [1"),
        lambda path: path.write_text(""),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.mkdir(),
        lambda path: None,
    ],
    ids=["no yaml", "empty", "no text", "directory", "absent"],
)
def test_a_file_that_cannot_be_used_is_named(put: Callable[[Path], object], tmp_path: Path) -> None:
    put(tmp_path / "params.yaml")
    with pytest.raises(ConfigurationError, match="cannot (use|read) .*params.yaml: "):
        load_params(tmp_path / "params.yaml")
