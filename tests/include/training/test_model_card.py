"""The model card's words: what it counts, and what a table of it shows."""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from include.champion.fairness import Fairness
from include.champion.versions import Evaluation
from include.contract import Contract
from include.customers.treatment import CALLED
from include.errors import DataError
from include.params import Params
from include.target import STATE, Target
from include.training.ingest_data import KEPT, READ, Called, Ingested, _called
from include.training.model_card import METRIC_NAMES, model_card

SLICE = {"slice": "Gender F", "rows": 9, "attrited_share": 0.1, "found_share": 0.25}
FAIR = Fairness(by="Gender", why_not="nobody is selected")
HORIZON = Target(kind="horizon", gap_days=14, horizon_days=90)


@pytest.fixture
def card(contract: Contract, params: Params) -> Callable[[Target], str]:
    run: Any = SimpleNamespace(columns=contract.feature_names, params=params)
    sides = {"training_rows": 500, "calibration_rows": 100, "holdout_rows": 300}
    made: Any = SimpleNamespace(**sides, training_attrited_share=0.1)
    facts: dict[str, Any] = {"unlabelled_rows": 0, "snapshot_at": "2026-06-01"}
    facts |= {"mlflow_run_id": "1", "called": Called(7, 2, 1)}
    report = Evaluation(
        threshold=0.5,
        holdout_rows=300,
        metrics=dict.fromkeys((*METRIC_NAMES, "roc_auc_low", "roc_auc_high"), 0.5),
        curves={},
        slices=[SLICE],
        importance={},
        fairness=(FAIR,),
    )
    return lambda target: model_card(
        run, Ingested("key", 900, target=target, **facts), made, report, reference_rows=900
    )


def test_a_horizon_counts_rows_and_shows_whom_its_list_selects(
    card: Callable[[Target], str],
) -> None:
    told = card(HORIZON)
    assert "7 rows of customers who were listed" in told and "reach into the 104 days" in told
    assert "all 900 rows" in told and "among the rows above" in told
    assert "recall" not in told and "| Gender F | 9 | 10.0% | – | – | – | 25.0% |\n" in told
    assert "Selected is who is on the list; found is" in told


def test_a_state_counts_customers_and_shows_whom_its_threshold_selects(
    card: Callable[[Target], str],
) -> None:
    told = card(STATE)
    assert "7 customers who were listed" in told and "their label is from within" in told
    assert "all 900 customers" in told and "who is at or above the threshold; found is" in told
    assert "- By gender not judged: nobody is selected\n" in told
    assert "500 for training, of whom 10.0% left, 100 for calibration" in told
    assert "| ROC-AUC | 0.5000 (interval 0.5000 to 0.5000) |\n" in told


def test_where_every_row_is_left_out_the_message_says_of_what() -> None:
    with pytest.raises(DataError, match="all 8 rows of history are left out, 3 of them"):
        _called(Counter({READ: 8, KEPT: 0, CALLED: 3, "too late": 5}), HORIZON)
