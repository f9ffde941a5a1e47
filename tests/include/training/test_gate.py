"""The gate's decisions, on answers whose quality is known."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from include.champion.fairness import Fairness
from include.champion.gate_decision import Decision
from include.contract import Share
from include.params import GateRules
from include.training.evaluation import Slice
from include.training.gate import Contestant, Holdout, decide, feature_aucs, paired_gain

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BAND = Share(minimum=0.01, maximum=0.6)
ROWS = 2000
RULES = GateRules(
    gain_min=0.001,
    confidence=0.95,
    brier_loss_max=0.002,
    slice_loss_max=0.02,
    slice_rows_min=100,
    slice_class_rows_min=20,
    holdout_rows_min=100,
    champion_auc_min=0.6,
    single_feature_auc_max=0.95,
)


def answers(labels: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    """Calibrated-looking probabilities, the worse the more noise."""
    random = np.random.default_rng(seed)
    margin = (labels - 0.5) * 4 + random.normal(0, noise, len(labels))
    return 1 / (1 + np.exp(-margin))


def holdout(labels: np.ndarray, **numeric: np.ndarray) -> Holdout:
    random = np.random.default_rng(9)
    half = np.arange(len(labels)) % 2 == 0
    parts = (Slice("even", half), Slice("odd", ~half))
    noise = {"noise": random.normal(size=len(labels)), **numeric}
    return Holdout(labels, parts, noise, {"letter": random.integers(0, 3, len(labels)) * 1.0})


def judged(
    labels: np.ndarray,
    new: np.ndarray,
    old: np.ndarray | None,
    *,
    doubts: tuple[str, ...] = (),
    fairness: tuple[Fairness, ...] = (),
    **numeric: Any,
) -> Decision:
    rival = None if old is None else Contestant("1", old, 0.5)
    return decide(
        holdout(labels, **numeric),
        Contestant("2", new, 0.5),
        rival,
        rules=RULES,
        attrited_share=BAND,
        now=NOW,
        doubts=doubts,
        fairness=fairness,
    )


@pytest.fixture
def labels() -> np.ndarray:
    return (np.random.default_rng(3).uniform(size=ROWS) < 0.2).astype(np.int64)


def test_accepts_the_first_model(labels: np.ndarray) -> None:
    decision = judged(labels, answers(labels, 2), None)
    assert (decision.outcome, decision.reasons) == (
        "accepted",
        ("no version was in production before",),
    )


def test_accepts_a_clearly_better_challenger(labels: np.ndarray) -> None:
    decision = judged(labels, answers(labels, 1.0), answers(labels, 3.0, seed=1))
    assert decision.outcome == "accepted"
    assert decision.gain_interval is not None and decision.gain_interval[0] > 0


def test_rejects_the_same_model(labels: np.ndarray) -> None:
    same = answers(labels, 2)
    decision = judged(labels, same, same)
    assert (decision.outcome, decision.gain, decision.gain_interval) == ("rejected", 0, (0, 0))


def test_rejects_a_gain_below_the_margin(labels: np.ndarray) -> None:
    old = answers(labels, 1.0)
    decision = judged(labels, old + 1e-9 * labels, old)
    assert decision.outcome == "rejected"
    assert "wanted is more than 0.001" in decision.reasons[0]


def test_rejects_a_gain_that_may_be_chance() -> None:
    few = (np.arange(150) % 5 == 0).astype(np.int64)
    found = [judged(few, answers(few, 2.0, seed=s), answers(few, 2.05, seed=99)) for s in range(20)]
    lucky = [d for d in found if d.gain is not None and 0.001 < d.gain < 0.02]
    assert lucky and all(d.outcome == "rejected" for d in lucky)
    assert all("does not exclude zero" in " ".join(d.reasons) for d in lucky)


def test_guards_the_brier_score(labels: np.ndarray) -> None:
    better = answers(labels, 1.0)
    decision = judged(labels, better * 0.05, answers(labels, 2.0, seed=1))
    assert decision.outcome == "rejected"
    assert "Brier score worsens" in " ".join(decision.reasons)


def test_guards_each_slice(labels: np.ndarray) -> None:
    new, old = answers(labels, 0.5), answers(labels, 2.5, seed=1)
    hurt = np.arange(ROWS) % 2 == 1
    new[hurt] = np.random.default_rng(5).permutation(old[hurt])
    decision = judged(labels, np.where(hurt, new * 0.5, new), old)
    assert decision.outcome == "rejected"
    assert "odd falls from ROC-AUC" in " ".join(decision.reasons)


def test_who_is_better_on_each_slice_is_accepted(labels: np.ndarray) -> None:
    decision = judged(labels, answers(labels, 1.0), answers(labels, 3.0, seed=1))
    assert decision.outcome == "accepted" and len(decision.slices) == 2
    for each in decision.slices:
        assert each.judged and each.challenger_auc is not None and each.champion_auc is not None
        assert each.challenger_auc > each.champion_auc


def test_small_slices_are_not_judged() -> None:
    labels = (np.arange(150) % 5 == 0).astype(np.int64)
    decision = judged(labels, answers(labels, 1.0), answers(labels, 1.0))
    assert [verdict.judged for verdict in decision.slices] == [False, False]


@pytest.mark.parametrize(("share", "band"), [(0.9, "1% to 60%"), (0.005, "1% to 60%")])
def test_asks_a_person_about_odd_labels(share: float, band: str) -> None:
    labels = (np.random.default_rng(3).uniform(size=20_000) < share).astype(np.int64)
    decision = judged(labels, answers(labels, 1), None)
    assert decision.outcome == "needs_person" and band in decision.reasons[0]


def test_asks_a_person_about_what_else_is_doubted(labels: np.ndarray) -> None:
    doubts = ("half the customers are missing",)
    decision = judged(labels, answers(labels, 1), None, doubts=doubts)
    assert (decision.outcome, decision.reasons) == ("needs_person", doubts)


def test_asks_a_person_when_the_champion_collapses(labels: np.ndarray) -> None:
    decision = judged(labels, answers(labels, 1), answers(1 - labels, 1))
    assert decision.outcome == "needs_person"
    assert "changed their meaning" in decision.reasons[0]


@pytest.mark.parametrize("sign", [1, -1])
def test_asks_a_person_about_a_feature_that_gives_the_answer_away(
    labels: np.ndarray, sign: int
) -> None:
    leak = sign * (labels + np.random.default_rng(1).normal(0, 0.01, ROWS))
    decision = judged(labels, answers(labels, 1), None, leaky=leak)
    assert decision.outcome == "needs_person" and "leaky alone" in decision.reasons[0]


def test_a_leaking_category_is_found_whatever_its_order(labels: np.ndarray) -> None:
    letters = np.where(labels == 1, 1.0, np.where(np.arange(ROWS) % 2, 0.0, 2.0))
    assert feature_aucs(Holdout(labels, (), {}, {"letter": letters})) == {"letter": 1.0}


def test_decides_nothing_on_too_few_rows() -> None:
    labels = np.array([0, 1] * 5)
    decision = judged(labels, answers(labels, 1), None)
    assert decision.outcome == "needs_person" and "the hold-out has 10 rows" in decision.reasons[0]


def test_the_decision_is_json_that_its_schema_accepts(labels: np.ndarray) -> None:
    import json

    import jsonschema

    decision = judged(labels, answers(labels, 1.0), answers(labels, 3.0, seed=1))
    jsonschema.validate(json.loads(decision.to_bytes()), Decision.model_json_schema())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(8, 60), st.booleans())
def test_the_gain_is_that_of_scikit_learn(seed: int, rows: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    labels = np.resize([0, 1, 0, 1, 0], rows)
    new, old = random.uniform(size=(2, rows))
    if ties:
        new, old = new.round(1), old.round(1)
    gain, (low, high) = paired_gain(labels, new, old, confidence=0.95)
    assert gain == pytest.approx(roc_auc_score(labels, new) - roc_auc_score(labels, old))
    assert low <= gain <= high


def test_the_interval_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        labels = np.repeat([0, 1], [160, 40])
        shared = labels * 1.0 + random.normal(size=200)
        new, old = shared + random.normal(size=(2, 200))
        low, high = paired_gain(labels, new, old, confidence=0.9)[1]
        covered += low <= 0 <= high
    assert 0.85 <= covered / 400 <= 0.95
