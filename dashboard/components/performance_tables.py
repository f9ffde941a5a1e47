"""What came of a version's answers beside what was promised: by figure, by version, by week."""

from collections.abc import Callable
from dataclasses import dataclass

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard.components.states import sentence
from dashboard.components.tables import create_table
from dashboard.data.performance import judged, judged_on, undecided, weeks_of
from dashboard.labels import counted
from include.drift.performance import Estimate, Figure, Performance, Realised, Version, VersionWeek

NONE = "–"
VERDICTS = {"kept": "✓ kept", "lost": "✕ lost"}


@dataclass(frozen=True)
class Measure:
    """A figure of performance: its name, what it says, and where the document has it."""

    name: str
    meaning: str
    realised: Callable[[Realised], Figure | None]
    estimated: Callable[[Estimate], Figure | None]
    promised: Callable[[Version], float | None]
    exact: float | None = None  # what would be right at any time

    def came(self, week: VersionWeek | None) -> Figure | None:
        """What came of the week's answers; None while nobody is ripe."""
        return self.realised(week.realised) if week and week.realised else None

    def expected(self, week: VersionWeek) -> Figure | None:
        """The estimate of those customers whose outcome is known."""
        return self.estimated(week.estimate_of_ripe) if week.estimate_of_ripe else None


ROC_AUC = Measure(
    "ROC-AUC",
    "how often a customer who leaves is ranked above one who stays",
    lambda found: found.roc_auc,
    lambda found: found.roc_auc,
    lambda version: version.promised_roc_auc,
)
RECALL = Measure(
    "Recall",
    "the share of those who leave that the model flags",
    lambda found: found.recall,
    lambda found: found.recall,
    lambda version: version.promised_recall,
)
BRIER = Measure(
    "Brier score",
    "the mean squared error of the probabilities; less is better",
    lambda found: found.brier,
    lambda found: found.brier,
    lambda version: version.promised_brier,
)
SLOPE = Measure(
    "Calibration slope",
    "1 is right; less means that the answers are too sure",
    lambda found: found.calibration_slope,
    lambda found: None,
    lambda version: None,
    exact=1.0,
)
LEFT_SHARE = Measure(
    "Share that left",
    "of all customers, against the mean of the probabilities",
    lambda found: found.left_share,
    lambda found: found.left_share,
    lambda version: None,
)


def interval_text(figure: Figure | None) -> str:
    """A figure and its interval."""
    if figure is None:
        return NONE
    return f"{figure.value:.3f} ({figure.low:.3f}–{figure.high:.3f})"


def create_comparison(version: Version, week: VersionWeek) -> Component:
    """Each figure of a judged week: promised, estimated of the same customers, and realised."""
    names = ("Figure", "Promised", "Estimate", "Realised", "What it says")
    rows = [
        (
            each.name,
            _number(each.promised(version) if each.exact is None else each.exact),
            interval_text(each.expected(week)),
            interval_text(each.came(week)),
            sentence(each.meaning),
        )
        for each in (ROC_AUC, RECALL, BRIER, SLOPE, LEFT_SHARE)
    ]
    return create_table(names, rows, "Promised, estimated and realised")


def create_versions(found: Performance) -> Component:
    """Every version that has weeks, the newest first."""
    names = (
        "Version",
        "Says who",
        "Asked about, summed over weeks",
        "Ripe, summed over weeks",
        "Promised ROC-AUC",
        "Realised, latest week",
        "Verdict",
    )
    rows = [_version_row(found, each) for each in reversed(found.versions)]
    return create_table(names, rows, "Versions")


def create_weeks(found: Performance) -> Component:
    """Every week of every version, the newest first; shut, because a phone's page would be long."""
    names = (
        *("Week of", "Version", "Verdict", "Ripe", "ROC-AUC", "its estimate"),
        *("Recall", "Brier score", "Slope"),
    )
    rows = [_week_row(each) for each in reversed(found.weeks)]
    shut = html.Summary(f"{counted(len(rows), 'week')} in figures")
    return html.Details([shut, create_table(names, rows, "Weeks")])


def _version_row(found: Performance, version: Version) -> tuple[object, ...]:
    weeks, latest = weeks_of(found, version.version), judged(found, version)
    serving = [" ", dmc.Badge("serving", size="sm", className="badge")] if version.champion else []
    return (
        [version.version, *serving],
        str(version.target),
        f"{sum(each.customers for each in weeks):,}",
        f"{sum(each.ripe for each in weeks):,}",
        _number(version.promised_roc_auc),
        interval_text(ROC_AUC.came(latest)),
        _version_verdict(found, version, latest),
    )


def _version_verdict(found: Performance, version: Version, latest: VersionWeek | None) -> str:
    if latest:
        return f"{VERDICTS[latest.verdict]}, week of {latest.begins:%d %b %Y}"
    day = judged_on(found, version.version)
    if day:
        return f"from {day:%d %b %Y}"
    week = undecided(found, version.version)
    return sentence(week.explanation) if week else "too few customers"


def _week_row(week: VersionWeek) -> tuple[object, ...]:
    return (
        f"{week.begins:%d %b %Y}",
        week.version,
        _week_verdict(week),
        f"{week.ripe:,} of {week.customers:,}",
        interval_text(ROC_AUC.came(week)),
        interval_text(ROC_AUC.expected(week) or week.estimate.roc_auc),
        *(interval_text(each.came(week)) for each in (RECALL, BRIER, SLOPE)),
    )


def _week_verdict(week: VersionWeek) -> str:
    if week.verdict == "unripe":
        return f"from {week.ripe_on:%d %b %Y}"
    if week.verdict == "too_few_ripe":
        return sentence(week.explanation)
    return VERDICTS[week.verdict]


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
