"""The gate: whether a challenger replaces the champion, and when a person must look first.

Champion and challenger are scored on the same hold-out rows. The challenger is accepted when its
gain in ROC-AUC exceeds a margin and a paired interval on the gain excludes zero; guard rails on the
Brier score and on slices can still reject it. Where the data itself looks wrong, and where a better
challenger treats groups of customers too unlike each other, a person decides.

A model that says who will leave must also beat a naive rule, and see leavers as early as the
champion. What predicts something else is not compared: a person decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm, rankdata

from include.champion.fairness import Fairness
from include.champion.gate_decision import Decision, Outcome, SliceVerdict
from include.contract import Share
from include.params import GateRules
from include.target import STATE, Target
from include.training import early_guards
from include.training.early_guards import Apart, Early
from include.training.evaluation import Slice, is_judged, scores
from include.training.fairness import concerns

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Holdout:
    """The rows that judge: labels, slices, and raw features by name."""

    labels: "NDArray[np.int64]"
    slices: tuple[Slice, ...]
    numeric: "dict[str, NDArray[np.float64]]"
    categorical: "dict[str, NDArray[np.float64]]"


@dataclass(frozen=True)
class Contestant:
    """A model's answers on the hold-out, and the threshold at which it decides."""

    version: str
    probabilities: "NDArray[np.float64]"
    threshold: float
    age_days: float | None = None  # of a champion: since the customers that it learned from


@dataclass(frozen=True)
class _Comparison:
    """Under the names that the decision has for it."""

    challenger_metrics: dict[str, float]
    champion_metrics: dict[str, float] | None
    gain: float | None
    gain_interval: tuple[float, float] | None
    slices: tuple[SliceVerdict, ...]


def decide(
    holdout: Holdout,
    challenger: Contestant,
    champion: Contestant | None,
    *,
    rules: GateRules,
    attrited_share: Share,
    now: datetime,
    target: Target = STATE,
    early: Early | None = None,
    apart: Apart | None = None,
    doubts: Sequence[str] = (),
    fairness: tuple[Fairness, ...] = (),
) -> Decision:
    """Judge the challenger; without `champion` and `apart` nothing is in production yet.

    `early` is wanted where it says who will leave; a champion that is `apart` is not compared.
    `doubts` are what else is wrong with the data, `fairness` is how the challenger treats groups.
    """
    facts = _facts(holdout, challenger, champion, rules, now)
    facts |= {"target": target, "fairness": fairness}
    if apart:
        facts |= {"champion": apart.version}
    if early:
        facts |= {"early_warning": early.figures, "hindsight": early.hindsight}
    too_few = _too_few(holdout.labels, rules)
    if too_few:
        return Decision(outcome="needs_person", reasons=(too_few,), **facts)
    comparison = _compare(holdout, challenger, champion, rules)
    aucs = feature_aucs(holdout)
    strongest = max(aucs, key=lambda name: aucs[name])
    facts |= {"strongest_feature": strongest, "strongest_feature_auc": aucs[strongest]}
    losses, leak_rules = _losses(comparison, rules), rules.early_warning if early else rules
    alarms = _alarms(facts, attrited_share, comparison, rules, leak_rules.single_feature_auc_max)
    alarms += doubts
    merits = [] if apart else [_why_accepted(comparison)]
    if early:
        gain, interval = paired_gain(
            holdout.labels, challenger.probabilities, early.naive, confidence=rules.confidence
        )
        facts |= {"naive_gain": gain, "naive_gain_interval": interval}
        alarms += early_guards.hindsight_alarms(early, aucs, rules.early_warning)
        losses += early_guards.naive_loss(gain, interval, rules)
        losses += early_guards.early_losses(early.figures, rules)
        alarms += losses if alarms else []  # who is asked is told of both
        merits += [_gain_told(gain, interval, over=" over the naive rule")]
    questions = [*([apart.why] if apart else []), *concerns(fairness, rules)]
    outcome, reasons = _outcome(alarms, losses, questions, merits)
    return Decision(outcome=outcome, reasons=reasons, **facts, **vars(comparison))


def _outcome(
    alarms: list[str], losses: list[str], questions: list[str], merits: list[str]
) -> tuple[Outcome, tuple[str, ...]]:
    """What follows; unless the data itself looks wrong, nobody is asked about who loses."""
    if alarms:
        return "needs_person", (*alarms, *questions)
    if losses:
        return "rejected", tuple(losses)
    return "needs_person" if questions else "accepted", (*questions, *merits)


def paired_gain(
    labels: "NDArray[np.int64]",
    challenger: "NDArray[np.float64]",
    champion: "NDArray[np.float64]",
    *,
    confidence: float,
) -> tuple[float, tuple[float, float]]:
    """The gain in ROC-AUC and its interval, for two models on the same rows.

    DeLong, DeLong and Clarke-Pearson 1988, by the mid-ranks of Sun and Xu 2014.
    """
    positive, negative = placements(labels, challenger)
    positive_old, negative_old = placements(labels, champion)
    return _interval(positive - positive_old, negative - negative_old, confidence)


def auc_interval(
    labels: "NDArray[np.int64]", answers: "NDArray[np.float64]", *, confidence: float
) -> tuple[float, tuple[float, float]]:
    """ROC-AUC and its interval, by the same; needs two rows of each class."""
    auc, (low, high) = _interval(*placements(labels, answers), confidence)
    return auc, (max(low, 0.0), min(high, 1.0))


def _interval(
    leavers: "NDArray[np.float64]", stayers: "NDArray[np.float64]", confidence: float
) -> tuple[float, tuple[float, float]]:
    middle = float(leavers.mean())
    variance = leavers.var(ddof=1) / len(leavers) + stayers.var(ddof=1) / len(stayers)
    half = float(norm.ppf((1 + confidence) / 2) * np.sqrt(variance))
    return middle, (middle - half, middle + half)


def placements(
    labels: "NDArray[np.int64]", answers: "NDArray[np.float64]"
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """For each leaver the share of stayers ranked below, for each stayer that of leavers above."""
    leavers, stayers = answers[labels == 1], answers[labels == 0]
    ranks = rankdata(np.concatenate([leavers, stayers]))
    m, n = len(leavers), len(stayers)
    below = (ranks[:m] - rankdata(leavers)) / n
    above = 1 - (ranks[m:] - rankdata(stayers)) / m
    return below, above


def feature_aucs(holdout: Holdout) -> dict[str, float]:
    """How well each feature by itself separates the classes: its ROC-AUC in either direction.

    A category stands for its share of leavers, so that the order of the categories does not matter.
    """
    labels = holdout.labels
    found = {name: _auc(labels, values) for name, values in holdout.numeric.items()}
    for name, values in holdout.categorical.items():
        _, group = np.unique(values, return_inverse=True)
        leavers = np.bincount(group, weights=labels) / np.bincount(group)
        found[name] = _auc(labels, leavers[group])
    return {name: max(auc, 1 - auc) for name, auc in found.items()}


def _auc(labels: "NDArray[np.int64]", answers: "NDArray[np.float64]") -> float:
    """Mann and Whitney's statistic as a share, from ranks with ties in their middle."""
    leavers = rankdata(answers)[labels == 1]
    return float((leavers.mean() - (len(leavers) + 1) / 2) / (len(labels) - len(leavers)))


def _too_few(labels: "NDArray[np.int64]", rules: GateRules) -> str | None:
    rarest = int(np.bincount(labels, minlength=2).min())
    if len(labels) >= rules.holdout_rows_min and rarest >= rules.slice_class_rows_min:
        return None
    return (
        f"the hold-out has {len(labels)} rows, {rarest} of the rarer class; the gate needs "
        f"{rules.holdout_rows_min} and {rules.slice_class_rows_min} to decide anything"
    )


def _facts(
    holdout: Holdout,
    challenger: Contestant,
    champion: Contestant | None,
    rules: GateRules,
    now: datetime,
) -> dict[str, Any]:
    """What every decision says, even one that could not be made."""
    labels = holdout.labels
    return {
        "decided_at": now,
        "challenger": challenger.version,
        "champion": champion.version if champion else None,
        "champion_age_days": champion.age_days if champion else None,
        "holdout_rows": len(labels),
        "holdout_attrited_share": float(labels.mean()) if len(labels) else 0.0,
        "rules": rules.model_dump(mode="json"),
    }


def _compare(
    holdout: Holdout, challenger: Contestant, champion: Contestant | None, rules: GateRules
) -> _Comparison:
    labels = holdout.labels
    new = scores(labels, challenger.probabilities, threshold=challenger.threshold)
    verdicts = tuple(
        _verdict(holdout, part, challenger, champion, rules) for part in holdout.slices
    )
    if champion is None:
        return _Comparison(new, None, None, None, verdicts)
    old = scores(labels, champion.probabilities, threshold=champion.threshold)
    gain, interval = paired_gain(
        labels, challenger.probabilities, champion.probabilities, confidence=rules.confidence
    )
    return _Comparison(new, old, gain, interval, verdicts)


def _alarms(
    facts: Mapping[str, Any],
    band: Share,
    comparison: _Comparison,
    rules: GateRules,
    leak_max: float,
) -> list[str]:
    """What makes the data itself look wrong; of the future a single feature knows less."""
    found = []
    share, auc = facts["holdout_attrited_share"], facts["strongest_feature_auc"]
    if share not in band:
        found.append(
            f"{share:.1%} of the hold-out customers left, the contract expects "
            f"{100 * band.minimum:.3g}% to {100 * band.maximum:.3g}%: check where the labels "
            "come from"
        )
    if auc > leak_max:
        found.append(
            f"{facts['strongest_feature']} alone has ROC-AUC {auc:.4f}, above {leak_max}: "
            "it seems to give the answer away; find out when and how it is filled"
        )
    champion = comparison.champion_metrics
    if champion is not None and champion["roc_auc"] < rules.champion_auc_min:
        found.append(
            f"the champion's ROC-AUC on the new hold-out is {champion['roc_auc']:.3f}, below "
            f"{rules.champion_auc_min}: labels or columns probably changed their meaning"
        )
    return found


def _losses(comparison: _Comparison, rules: GateRules) -> list[str]:
    """What speaks against the challenger; nothing does where there is no champion."""
    old, new = comparison.champion_metrics, comparison.challenger_metrics
    gain, interval = comparison.gain, comparison.gain_interval
    if old is None or gain is None or interval is None:
        return []
    found = []
    if gain <= rules.gain_min:
        found.append(f"the gain in ROC-AUC is {gain:+.4f}, wanted is more than {rules.gain_min}")
    if interval[0] <= 0:
        found.append(
            f"the {rules.confidence:.0%} interval on the gain, {interval[0]:+.4f} to "
            f"{interval[1]:+.4f}, does not exclude zero"
        )
    if new["brier"] - old["brier"] > rules.brier_loss_max:
        found.append(
            f"the Brier score worsens from {old['brier']:.4f} to {new['brier']:.4f}, "
            f"allowed is {rules.brier_loss_max}"
        )
    return found + _slice_losses(comparison.slices, rules)


def _slice_losses(verdicts: tuple[SliceVerdict, ...], rules: GateRules) -> list[str]:
    return [
        f"{verdict.name} falls from ROC-AUC {verdict.champion_auc:.4f} to "
        f"{verdict.challenger_auc:.4f}, allowed is a loss of {rules.slice_loss_max}"
        for verdict in verdicts
        if verdict.champion_auc is not None
        and verdict.challenger_auc is not None
        and verdict.champion_auc - verdict.challenger_auc > rules.slice_loss_max
    ]


def _verdict(
    holdout: Holdout,
    part: Slice,
    challenger: Contestant,
    champion: Contestant | None,
    rules: GateRules,
) -> SliceVerdict:
    labels = holdout.labels[part.rows]
    judged = is_judged(rows=len(labels), leavers=int(labels.sum()), rules=rules)
    new = _auc(labels, challenger.probabilities[part.rows]) if judged else None
    old = _auc(labels, champion.probabilities[part.rows]) if judged and champion else None
    return SliceVerdict(
        name=part.name, rows=len(labels), judged=judged, challenger_auc=new, champion_auc=old
    )


def _why_accepted(comparison: _Comparison) -> str:
    if comparison.gain is None or comparison.gain_interval is None:
        return "no version was in production before"
    return _gain_told(comparison.gain, comparison.gain_interval)


def _gain_told(gain: float, interval: tuple[float, float], *, over: str = "") -> str:
    low, high = interval
    return f"the gain in ROC-AUC{over} is {gain:+.4f}, interval {low:+.4f} to {high:+.4f}"
