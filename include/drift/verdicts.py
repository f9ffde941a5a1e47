"""What each version promised, and whether its weeks kept it."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from include.champion import versions
from include.champion.early_warning import EarlyWarning
from include.champion.versions import Manifest
from include.drift.performance import Figure, Version, VersionWeek, WeekVerdict
from include.errors import ChampionError, ChurnError
from include.params import PerformanceRules
from include.store import Store
from include.target import STATE, Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)


class Promises:
    """What versions found on their own hold-outs, as their manifests say; each is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._manifests: dict[str, Manifest | None] = {}
        self._early: dict[str, EarlyWarning | None] = {}

    def target(self, version: str) -> Target:
        """What the version says of a customer: who has left, where its manifest is gone."""
        manifest = self._manifest(version)
        return manifest.target if manifest else STATE

    def threshold(self, version: str) -> float | None:
        """From which probability the version says that a customer leaves."""
        manifest = self._manifest(version)
        return manifest.threshold if manifest else None

    def flagged_from(self, version: str, answers: "NDArray[np.float64]") -> float | None:
        """From which probability a week's customers count as found.

        That is the threshold; of early warning, where hardly a probability reaches it, what the
        list of the likeliest ends with.
        """
        early = self._early_warning(version)
        if early is None:
            return self.threshold(version)
        return float(np.quantile(answers, 1 - early.list_share, method="higher"))

    def promised(self, version: str, metric: str) -> float | None:
        """A metric of the hold-out; None where it is unknown."""
        early = self._early_warning(version)
        if metric == "recall" and early:
            return early.found_share
        manifest = self._manifest(version)
        return manifest.metrics.get(metric) if manifest else None

    def summary(self, version: str, champion: str | None, weeks: Sequence[VersionWeek]) -> Version:
        """The version with the verdict of its latest judged week; all weeks by time."""
        own = [week for week in weeks if week.version == version]
        latest = next((week for week in reversed(own) if week.verdict in {"kept", "lost"}), None)
        return Version(
            version=version,
            champion=version == champion,
            target=self.target(version),
            threshold=self.threshold(version),
            promised_roc_auc=self.promised(version, "roc_auc"),
            promised_recall=self.promised(version, "recall"),
            promised_brier=self.promised(version, "brier"),
            judged_week=latest.week if latest else None,
            lost=latest is not None and latest.verdict == "lost",
        )

    def _early_warning(self, version: str) -> EarlyWarning | None:
        """What the version found on the month that judged it; None of one that knows no days."""
        if version not in self._early:
            manifest = self._manifest(version)
            self._early[version] = None
            if manifest and manifest.target.is_early_warning:
                try:
                    evaluation = versions.read_evaluation(self._store, manifest)
                    self._early[version] = evaluation.early_warning
                except ChurnError as error:
                    logger.warning("how early version %s found leavers: %s", version, error)
        return self._early[version]

    def _manifest(self, version: str) -> Manifest | None:
        if version not in self._manifests:
            try:
                self._manifests[version] = versions.read_version(self._store, version)[0]
            except ChampionError as error:
                logger.warning("what version %s promised is unknown: %s", version, error)
                self._manifests[version] = None
        return self._manifests[version]


def judged(week: VersionWeek, promised: float | None, rules: PerformanceRules) -> VersionWeek:
    """The week with its verdict; `promised` is the hold-out's ROC-AUC, where it is known.

    It is lost where all of the interval lies below both promises: the hold-out's, whose customers
    were others, and the least that the probabilities expect of these very customers. Only ROC-AUC
    decides, as in the gate: the share of leavers, and with it Brier score and calibration, also
    moves with the time that customers were given to leave.
    """
    verdict, explanation = _verdict(week, promised, rules)
    return week.model_copy(update={"verdict": verdict, "explanation": explanation})


def _verdict(
    week: VersionWeek, promised: float | None, rules: PerformanceRules
) -> tuple[WeekVerdict, str]:
    if not week.settled:
        return "unripe", f"outcomes are known from {week.ripe_on} on"
    realised = week.realised
    left = realised.left if realised else 0
    rarest = min(left, week.ripe - left)
    if week.ripe < rules.ripe_min or rarest < rules.leavers_min:
        return "too_few_ripe", (
            f"{week.ripe:,} customers are ripe, {left:,} of them left; a verdict needs "
            f"{rules.ripe_min:,}, and {rules.leavers_min:,} who left and as many who stayed "
            "(drift.performance)"
        )
    expected = week.estimate_of_ripe.roc_auc if week.estimate_of_ripe else None
    found = realised.roc_auc if realised else None
    if found is None or expected is None:
        return "too_few_ripe", "nobody was expected to leave, or nobody to stay"
    promise = expected.low if promised is None else min(expected.low, promised)
    lost = found.high < promise and promise - found.value >= rules.loss_min
    holdout = "unknown" if promised is None else f"{promised:.3f}"
    return "lost" if lost else "kept", (
        f"ROC-AUC {_told(found)} of {week.ripe:,} ripe customers; their probabilities promised "
        f"{_told(expected)}, the hold-out {holdout}; a loss is {rules.loss_min:g} at least"
    )


def _told(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
