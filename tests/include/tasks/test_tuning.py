"""What a person may ask of a search, wherever they ask."""

from typing import Any

import pytest

from include.errors import ConfigurationError
from include.params import TuningRules, load_params
from include.settings import Settings
from include.tasks.tuning import within_budget


@pytest.fixture
def rules() -> TuningRules:
    found = load_params(Settings().params_file).tuning
    assert found is not None
    return found


def test_the_runs_own_budget_wins_and_what_it_leaves_open_is_as_in_params_yaml(
    rules: TuningRules,
) -> None:
    found = within_budget(rules, {"trials": 7, "minutes": None})
    assert found == rules.model_copy(update={"trials": 7})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"trials": 0}, "trials: .* greater than or equal to 1, found 0"),
        ({"trials": "many"}, "trials: .* found 'many'"),
        ({"minutes": 1e300}, "minutes: .* less than or equal to 10080"),
        ({"workers": 65, "minutes": -1}, "minutes: .*; workers: "),
    ],
)
def test_a_budget_that_cannot_be_used_is_named(
    rules: TuningRules, given: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"the run's parameters cannot be used: {why}"):
        within_budget(rules, given)
