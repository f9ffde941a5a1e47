"""The gate on early warning: what it refuses, and when it asks a person."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from include.champion.early_warning import EarlyWarning, Hindsight, LeadTimes, OlderMonth
from include.champion.gate_decision import Decision
from include.contract import Share
from include.params import GateRules, load_params
from include.settings import Settings
from include.target import Target
from include.training.early_guards import Apart, Early
from include.training.gate import Contestant, Holdout, decide

ROWS = 3000
LABELS = (np.random.default_rng(3).uniform(size=ROWS) < 0.1).astype(np.int64)
TARGET = Target(kind="horizon", gap_days=14, horizon_days=90)
RULES: GateRules = load_params(Settings().params_file).gate


def answers(noise: float, seed: int = 0) -> np.ndarray:
    """Probabilities, the worse the more noise."""
    margin = LABELS * 2 - 3 + np.random.default_rng(seed).normal(0, noise, ROWS)
    return 1 / (1 + np.exp(-margin))


GOOD, WORSE, NAIVE = answers(1.0), answers(2.5, seed=1), answers(8.0, seed=2)


def times(lift: float, recall: float) -> LeadTimes:
    return LeadTimes(roc_auc=0.8, top_decile_lift=lift, recall={"15–30": recall, "31–60": None})


def older(day: int, model: float, champion: float | None, leavers: int = 100) -> OlderMonth:
    return OlderMonth(
        as_of=date(2026, 1, day),
        rows=1000,
        leavers=leavers,
        model=model,
        baseline=0.6,
        champion=champion,
    )


BAND = Share(minimum=0.01, maximum=0.6)


def figures(**parts: Any) -> EarlyWarning:
    facts: dict[str, Any] = {
        "target": TARGET,
        "as_of": date(2026, 2, 1),
        "rows": ROWS,
        "leavers": {"15–30": 100, "31–60": 0},
        "list_share": 0.1,
        "listed": 300,
        "model": times(4, 0.6),
        "baseline": times(2, 0.3),
        "champion": times(4, 0.6),
    }
    return EarlyWarning(**facts | parts)


def judged(
    new: np.ndarray = GOOD,
    old: np.ndarray | None = WORSE,
    *,
    naive: np.ndarray = NAIVE,
    hindsight: tuple[Hindsight, ...] = (),
    apart: Apart | None = None,
    numeric: np.ndarray | None = None,
    share: Share = BAND,
    doubts: tuple[str, ...] = (),
    **parts: Any,
) -> Decision:
    values = np.random.default_rng(9).normal(size=ROWS) if numeric is None else numeric
    early = Early(figures(**parts), naive, {"feature": 0.2}, hindsight)
    return decide(
        Holdout(LABELS, (), {"feature": values}, {}),
        Contestant("2", new, 0.5),
        None if old is None else Contestant("1", old, 0.5),
        rules=RULES,
        attrited_share=share,
        now=datetime(2026, 3, 1, tzinfo=UTC),
        target=TARGET,
        early=early,
        apart=apart,
        doubts=doubts,
    )


def test_accepts_what_is_better_and_says_what_it_adds_to_the_naive_rule() -> None:
    decision = judged()
    assert decision.outcome == "accepted" and decision.target == TARGET
    assert "ROC-AUC over the naive rule is +0." in decision.reasons[1]
    assert decision.naive_gain_interval is not None and decision.naive_gain_interval[0] > 0
    assert decision.early_warning == figures()


@pytest.mark.parametrize("old", [None, WORSE])
def test_the_naive_rule_must_be_beaten_with_a_champion_or_without(old: np.ndarray | None) -> None:
    decision = judged(old=old, naive=GOOD)
    assert decision.outcome == "rejected"
    assert "the naive rule (months inactive and the fall in" in decision.reasons[0]


LOSSES: dict[str, tuple[dict[str, Any], str]] = {
    "lift": ({"model": times(3.5, 0.6)}, "lift falls from 4.00 to 3.50, allowed is a loss of 10%"),
    "recall": ({"model": times(4, 0.5)}, "of 100 who left 15–30 days ahead, 50.0% are on the list"),
    "older": (
        {"older": (older(1, 0.7, 0.8), older(2, 0.75, 0.8), older(3, 0.79, 0.8))},
        "on customers of 2026-01-02 ROC-AUC falls from 0.8000 to 0.7500",
    ),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_better_ranking_is_refused_where_it_warns_worse(loss: str) -> None:
    parts, expected = LOSSES[loss]
    decision = judged(**parts)
    assert decision.outcome == "rejected" and len(decision.reasons) == 1
    assert expected in decision.reasons[0]


@pytest.mark.parametrize(
    "parts",
    [
        {"model": times(3.7, 0.56)},
        {"model": times(4, 0.1), "leavers": {"15–30": 49, "31–60": 0}},
        {"older": (older(1, 0.7, 0.8), older(2, 0.79, 0.8), older(3, 0.9, 0.8))},
        {"older": (older(2, 0.7, 0.8, leavers=19), older(3, 0.9, 0.8))},
        {"older": (older(2, 0.7, None),), "champion": None},
    ],
)
def test_small_losses_and_few_leavers_decide_nothing(parts: dict[str, Any]) -> None:
    assert judged(**parts).outcome == "accepted"


def test_what_predicts_something_else_is_not_compared_and_asks_a_person() -> None:
    decision = judged(old=None, champion=None, apart=Apart("1", "it says who has left"))
    assert decision.outcome == "needs_person" and decision.champion == "1"
    assert decision.gain is None and decision.champion_metrics is None
    assert decision.reasons[0] == "it says who has left"
    assert "no champion" not in " ".join(decision.reasons)


def test_nobody_is_asked_about_another_target_that_loses_to_the_naive_rule() -> None:
    decision = judged(old=None, naive=GOOD, champion=None, apart=Apart("1", "another target"))
    assert decision.outcome == "rejected" and "naive rule" in decision.reasons[0]


def test_a_person_is_asked_about_who_loses_where_the_data_looks_wrong() -> None:
    decision = judged(old=None, naive=GOOD, champion=None, doubts=("a thin month",))
    assert decision.outcome == "needs_person" and decision.reasons[0] == "a thin month"
    assert "naive rule" in decision.reasons[1]


def test_a_small_least_share_is_told_as_it_is() -> None:
    quarter = Share(minimum=0.01 * 90 / 365, maximum=LABELS.mean() / 2)
    assert "expects 0.247% to " in judged(share=quarter).reasons[0]


def signal(noise: float) -> np.ndarray:
    return LABELS + np.random.default_rng(4).normal(0, noise, ROWS)


def test_a_feature_that_knows_the_future_asks_a_person() -> None:
    decision = judged(numeric=signal(0.5))
    assert (
        decision.strongest_feature_auc is not None and 0.9 < decision.strongest_feature_auc < 0.97
    )
    assert decision.outcome == "needs_person" and "feature alone has ROC-AUC" in decision.reasons[0]
    assert judged(numeric=signal(0.8)).outcome == "accepted"


def test_who_is_asked_about_the_data_is_told_what_speaks_against_the_model_too() -> None:
    decision = judged(numeric=signal(0.5), naive=GOOD)
    assert decision.outcome == "needs_person"
    assert "feature alone" in decision.reasons[0] and "naive rule" in decision.reasons[1]


@pytest.mark.parametrize(
    ("found", "noise", "expected"),
    [
        ({"moved": 0.4, "kept": 0.0}, 9, "moved by 0.40 since the month that judges"),
        ({"moved": 0.1, "kept": 0.95}, 0.8, "95% of those who left later had the value already"),
        ({"moved": 0.1, "kept": 0.95}, 9, None),  # one that hardly moves, and says little
        ({"moved": 0.2, "kept": 0.5}, 0.8, None),
        ({"moved": None, "kept": None}, 0.8, None),
    ],
)
def test_a_history_that_knows_what_came_after_asks_a_person(
    found: dict[str, Any], noise: float, expected: str | None
) -> None:
    each = Hindsight(feature="feature", **found)
    decision = judged(numeric=signal(noise), hindsight=(each,))
    assert decision.hindsight == (each,)
    assert decision.outcome == ("needs_person" if expected else "accepted")
    assert expected is None or expected in decision.reasons[0]
