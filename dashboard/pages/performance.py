"""What came of the answers: realised performance by version and week, beside the estimates."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard import charts
from dashboard.components.chart_card import create_chart
from dashboard.components.performance_tables import (
    BRIER,
    RECALL,
    ROC_AUC,
    SLOPE,
    Measure,
    create_comparison,
    create_versions,
    create_weeks,
    interval_text,
)
from dashboard.components.shell import create_heading, create_section
from dashboard.components.states import create_empty, sentence
from dashboard.data.performance import (
    judged,
    judged_on,
    last_judged,
    shown_version,
    undecided,
    weeks_of,
)
from dashboard.data.sources import Sources
from dashboard.labels import counted, percent
from include.drift.performance import (
    Performance,
    Version,
    VersionWeek,
    days_that_decide,
    read_performance,
)
from include.params import load_params
from include.target import STATE

PATH = "/performance"
CHARTED = (ROC_AUC, RECALL, BRIER, SLOPE)


def create_page(sources: Sources, query: Mapping[str, str]) -> Component:
    """The verdict in a sentence, the figures behind it, and every version's weeks."""
    found = read_performance(sources.store)
    if found is None or not found.weeks:
        return html.Div(
            [create_heading("Performance"), _create_empty(found, _days_until_known(sources))]
        )
    version = shown_version(found)
    assert version is not None, "whatever has weeks has a version"
    latest = judged(found, version) or last_judged(found, but=version.version)
    return html.Div(
        [
            create_heading("Performance", _subtitle(found, version)),
            dmc.Paper(dmc.Text(verdict_text(found, version), size="lg"), mb="md"),
            *([_create_latest(found, latest)] if latest else []),
            create_section("Week by week", _create_charts(found, latest)),
            dmc.Paper(create_weeks(found), mt="md"),
            create_section("Versions", dmc.Paper(create_versions(found))),
            create_section("How to read this", _create_notes(found)),
        ]
    )


def verdict_text(found: Performance, version: Version) -> str:
    """Whether the version does what it promised, in a sentence that everybody understands."""
    name, week = f"Version {version.version}", judged(found, version)
    if week is None:
        return _too_early(found, version)
    realised = ROC_AUC.came(week)
    if realised is None or version.promised_roc_auc is None:
        told = f"week of {week.begins:%d %b %Y}: {sentence(week.explanation)}"
        if version.lost:
            lost = f"{name} does less than its probabilities promised"
            return f"{lost}, {told} {_what_follows(found)}"
        return f"{name}, {told}"
    promised = percent(version.promised_roc_auc, decimals=1)
    fact = (
        f"of a customer who left and one who stayed it ranked the leaver higher in "
        f"{percent(realised.value, decimals=1)} of cases ({percent(found.confidence)} interval "
        f"{100 * realised.low:.1f} to {percent(realised.high, decimals=1)}); {promised} were "
        f"promised. {_recall_text(version, week)}This is about the {week.ripe:,} customers of the "
        f"week of {week.begins:%d %b %Y}, whose outcome is known."
    )
    if version.lost:
        return f"{name} does less than it promised: {fact} {_what_follows(found)}"
    if realised.high >= version.promised_roc_auc:
        return f"{name} does what it promised: {fact}"
    expected = ROC_AUC.expected(week)
    least = min(version.promised_roc_auc, expected.low if expected else 1)
    alarm = percent(least - found.loss_min, decimals=1)
    does = "nearly what it promised"
    if version.promised_roc_auc - realised.value >= found.loss_min:
        does = "less than its hold-out promised"
    if expected and expected.high < version.promised_roc_auc:
        does = "less than its hold-out promised, as its probabilities expected of these customers"
    return f"{name} does {does}: {fact} The alarm begins at {alarm}, beyond chance."


def _recall_text(version: Version, week: VersionWeek) -> str:
    recall = RECALL.came(week)
    if recall is None:
        return ""
    promised = version.promised_recall
    than = "" if promised is None else f"; {percent(promised)} were promised"
    return f"Of those who left it flagged {percent(recall.value)}{than}. "


def _too_early(found: Performance, version: Version) -> str:
    before = last_judged(found, but=version.version)
    told = (
        f"Too early to say whether version {version.version} does what it promised: "
        f"{_why_early(found, version)}."
    )
    if before is None:
        return told
    verdict = "did less than it promised" if before.verdict == "lost" else "did what it promised"
    return f"{told} Version {before.version}, the last one judged, {verdict}."


def _why_early(found: Performance, version: Version) -> str:
    week = undecided(found, version.version)
    if week:
        return f"of the week of {week.begins:%d %b %Y}, {week.explanation}"
    day = judged_on(found, version.version)
    if day:
        return f"the outcomes of its first week are known on {day:%d %b %Y}"
    unlabelled = sum(each.unlabelled for each in weeks_of(found, version.version))
    if unlabelled >= found.ripe_min:
        return f"the table has no label of {unlabelled:,} of its customers (summed over weeks)"
    return f"no week of it has the {found.ripe_min:,} customers that a verdict needs"


def _what_follows(found: Performance) -> str:
    if found.retrains:
        return "A training run on newer labels starts by itself unless a guard stops it."
    return "Train on newer labels: start churn_training in Airflow."


def _subtitle(found: Performance, version: Version) -> str:
    return (
        f"What customers did after the model's answers, as of {found.as_of:%d %b %Y %H:%M} UTC. "
        f"Version {version.version} says who {version.target}: the outcomes of its week are known "
        f"{found.days_until_known(version):g} days after it."
    )


def _days_until_known(sources: Sources) -> float:
    """How long it will take until something is, by the version that serves now."""
    champion = sources.champion()
    target = champion.manifest.target if champion else STATE
    rules = load_params(sources.settings.params_file).drift
    return days_that_decide(target, rules.outcome_days) + rules.performance.label_days


def _create_empty(found: Performance | None, days: float) -> Component:
    if found is None:
        return create_empty(
            "Nothing measured yet",
            "Each night measure_outcomes, a task of churn_drift, compares the answers with what "
            "customers did since. The estimate appears after the first night, and what came of "
            f"the answers {days:g} days after the week in which customers were first asked about.",
        )
    if found.rows_without_customer:
        return create_empty(
            "No answer belongs to a known customer",
            f"{counted(found.rows_without_customer, 'answer')} came without a customer_id, so that "
            "no outcome can be joined. Whoever asks the API must send it with each record.",
        )
    return create_empty(
        "Nobody was asked about",
        f"Up to {found.day:%d %b %Y} the log has no answer about a customer whose outcome could "
        "be known. The estimate appears the night after the first one, what came of it "
        f"{days:g} days after its week.",
    )


def _create_latest(found: Performance, week: VersionWeek) -> Component:
    version = next(each for each in found.versions if each.version == week.version)
    title = f"Version {week.version}, week of {week.begins:%d %b %Y}: {week.ripe:,} ripe customers"
    return dmc.Paper(
        [
            dmc.Title(title, order=2, size="h5", mb="xs"),
            create_comparison(version, week),
            dmc.Text(sentence(week.explanation), size="sm", c="dimmed", mt="xs"),
        ]
    )


def _create_charts(found: Performance, latest: VersionWeek | None) -> Component:
    shown = [_chart(found, each) for each in CHARTED]
    if latest and latest.realised:
        groups = latest.realised.calibration_groups
        curve = {
            "predicted": [each.probability for each in groups],
            "observed": [each.left_share for each in groups],
        }
        title = f"Calibration, version {latest.version}, week of {latest.begins:%d %b}"
        shown.append(replace(charts.calibration(curve, None), title=title))
        shown.append(charts.agreement(_agreement_text(found), found.weeks))
    return dmc.SimpleGrid(
        [create_chart(each, in_row=True) for each in shown], cols={"base": 1, "sm": 2, "xl": 3}
    )


def _chart(found: Performance, measure: Measure) -> charts.Chart:
    tracks = [_track(measure, each, weeks_of(found, each.version)) for each in found.versions]
    known = [each for each in found.weeks if measure.came(each)]
    told = sentence(measure.meaning)
    if known:
        last, value = known[-1], interval_text(measure.came(known[-1]))
        told += f" Latest, week of {last.begins:%d %b}, version {last.version}: {value}."
    else:
        told += " No week is ripe yet."
    return charts.over_time(measure.name, told, tracks, exact=measure.exact)


def _track(measure: Measure, version: Version, weeks: Sequence[VersionWeek]) -> charts.Track:
    return charts.Track(
        version=version.version,
        weeks=[each.begins for each in weeks],
        realised=[measure.came(each) for each in weeks],
        estimated=[measure.estimated(each.estimate) for each in weeks],
        promised=measure.promised(version),
    )


def _agreement_text(found: Performance) -> str:
    judged_weeks = [each for each in found.weeks if each.verdict in {"kept", "lost"}]
    pairs = [(ROC_AUC.expected(each), ROC_AUC.came(each)) for each in judged_weeks]
    known = [(estimate, realised) for estimate, realised in pairs if estimate and realised]
    missed = sum(realised.high < estimate.low for estimate, realised in known)
    return (
        f"On the line the estimate was right. In {missed:,} of {len(known):,} judged weeks what "
        f"came was worse than the estimate, beyond both intervals: estimates are {found.caution}."
    )


def _create_notes(found: Performance) -> Component:
    notes = [
        f"Promised is what a version scored on its own hold-out. Realised is what came of its "
        f"answers, with {percent(found.confidence)} intervals. The estimate needs no outcome: it "
        "is what the probabilities promise if each of them is right. So it follows a change of "
        f"the customers, and is {found.caution}: if customers of the same kind begin to leave for "
        "other reasons, only outcomes show it.",
        f"A week is judged from {found.ripe_min:,} ripe customers on, with {found.leavers_min:,} "
        "or more on either side. It is lost when its whole interval lies below what the hold-out "
        "promised and the estimate expected at least, and its ROC-AUC by "
        f"{found.loss_min:g} or more.",
    ]
    if any(each.target.is_early_warning for each in found.versions):
        notes.append(
            "A version that says who will leave flags by rank: its recall is the share of leavers "
            "among the likeliest of a week's customers, as many of a hundred as its list has."
        )
    notes += _left_out_notes(found)
    if found.rows_without_customer:
        notes.append(
            f"{counted(found.rows_without_customer, 'answer')} of the last week came without a "
            "customer_id; no outcome can be joined."
        )
    if found.unreadable_objects:
        notes.append(f"Objects of the log that cannot be read: {len(found.unreadable_objects):,}.")
    return dmc.Paper([dmc.Text(each, size="sm", mb="xs") for each in notes])


def _left_out_notes(found: Performance) -> list[str]:
    """Whom the judged weeks leave out, and why; sums over weeks."""
    called, unlabelled, gone, too_late, involuntary = (
        sum(getattr(each, name) for each in found.weeks)
        for name in ("called", "unlabelled", "gone_before", "too_late", "involuntary")
    )
    notes = []
    if called:
        notes.append(
            f"{called:,} customers (summed over weeks) are left out because an analyst listed or "
            "called them: the model may have been right, and the call too. Whoever left before a "
            "call stays in, so what came looks a little better than it was (docs/models.md)."
        )
    if unlabelled:
        notes.append(
            f"{unlabelled:,} customers of ripe weeks (summed over weeks) have no label in the "
            "table and are left out; where labels come later than that, raise "
            "drift.performance.label_days."
        )
    if gone:
        notes.append(
            f"{gone:,} customers (summed over weeks) are left out who had left before they were "
            "asked about."
        )
    if too_late or involuntary:
        notes.append(
            f"{too_late:,} customers (summed over weeks) are left out who left too soon to be "
            f"called, and {involuntary:,} whom the bank had leave: a version that says who will "
            "leave was not trained on such either."
        )
    return notes
