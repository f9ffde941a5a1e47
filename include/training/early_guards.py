"""What the gate asks of a model that says who will leave, on top of what it asks of any model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.champion.early_warning import EarlyWarning, Hindsight, OlderMonth
from include.params import EarlyWarningRules, GateRules

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OLDER_MONTHS = 2  # newest ones before the hold-out in which nothing may be lost


@dataclass(frozen=True)
class Early:
    """What is known beside answers and labels of the hold-out; `naive` has the rule's answers."""

    figures: EarlyWarning
    naive: "NDArray[np.float64]"
    importance: Mapping[str, float]
    hindsight: tuple[Hindsight, ...]


@dataclass(frozen=True)
class Apart:
    """A champion that is not compared with the challenger, and why."""

    version: str
    why: str


def hindsight_alarms(
    early: Early, aucs: Mapping[str, float], rules: EarlyWarningRules
) -> list[str]:
    """Features from which the model gains, and which seem to know what came after their month."""
    alarms = []
    for each in early.hindsight:
        gain, auc = early.importance.get(each.feature, 0.0), aucs[each.feature]
        if gain < rules.gain_share_min:
            continue
        if each.moved is not None and each.moved > rules.moved_max:
            alarms.append(
                f"{each.feature}, {gain:.0%} of the trees' gain, moved by {each.moved:.2f} since "
                f"the month that judges, for customers who stayed; expected is at most "
                f"{rules.moved_max}: history and table of customers may not mean the same by it"
            )
        if each.kept is not None and each.kept > rules.kept_share_max and auc > rules.kept_auc_max:
            alarms.append(
                f"{each.feature} alone has ROC-AUC {auc:.4f}, and {each.kept:.0%} of those who "
                f"left later had the value already that they left with; expected is at most "
                f"{rules.kept_share_max:.0%}: the history may have been filled afterwards"
            )
    return alarms


def naive_loss(gain: float, interval: tuple[float, float], rules: GateRules) -> list[str]:
    """Whether the naive rule is as good: with or without a champion, a model must beat it."""
    if interval[0] > 0:
        return []
    return [
        f"the naive rule (months inactive and the fall in transactions) is not beaten: the gain in "
        f"ROC-AUC over it is {gain:+.4f}, {rules.confidence:.0%} interval {interval[0]:+.4f} to "
        f"{interval[1]:+.4f}"
    ]


def early_losses(found: EarlyWarning, rules: GateRules) -> list[str]:
    """What the list would lose to the champion; nothing where it is not compared."""
    old, new, early = found.champion, found.model, rules.early_warning
    if old is None:
        return []
    losses = []
    if new.top_decile_lift < old.top_decile_lift * (1 - early.lift_loss_max):
        losses.append(
            f"the top decile's lift falls from {old.top_decile_lift:.2f} to "
            f"{new.top_decile_lift:.2f}, allowed is a loss of {early.lift_loss_max:.0%}"
        )
    for span, leavers in found.leavers.items():
        before, after = old.recall[span], new.recall[span]
        if before is None or after is None or leavers < early.span_leavers_min:
            continue
        if before - after > early.recall_loss_max:
            losses.append(
                f"of {leavers} who left {span} days ahead, {after:.1%} are on the list and "
                f"{before:.1%} were, allowed is a loss of {early.recall_loss_max:.0%}"
            )
    return losses + [_told(month, early) for month in _lost(found.older, rules)]


def _lost(older: Sequence[OlderMonth], rules: GateRules) -> list[OlderMonth]:
    """The newest older months, with leavers enough, in which the champion was clearly better."""
    return [
        month
        for month in older[-OLDER_MONTHS:]
        if month.champion is not None
        and month.leavers >= rules.slice_class_rows_min
        and month.champion - month.model > rules.early_warning.older_loss_max
    ]


def _told(month: OlderMonth, rules: EarlyWarningRules) -> str:
    return (
        f"on customers of {month.as_of} ROC-AUC falls from {month.champion:.4f} to "
        f"{month.model:.4f}, allowed is a loss of {rules.older_loss_max}"
    )
