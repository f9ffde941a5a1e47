"""What a person may ask of a search, wherever they ask."""

import pytest

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
