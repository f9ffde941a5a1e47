"""What the version in production says of a customer, and how early it sees who leaves."""

import calendar
from collections.abc import Iterator, Sequence
from datetime import date
from statistics import fmean
from typing import Any

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard import charts
from dashboard.components.chart_card import create_chart
from dashboard.components.states import sentence
from dashboard.components.tables import create_figures, create_table
from dashboard.labels import percent
from include.champion.early_warning import EarlyWarning, LeadTimes, LeavingMonth, OlderMonth
from include.champion.versions import Manifest
from include.target import Target

MODEL, NAIVE = "Model", "Naive rule"
ABOUT_NAIVE = "The naive rule ranks by months inactive and by how far transactions fell."


def create_kind(manifest: Manifest) -> Component:
    """Which of the two kinds of model it is, and why."""
    parts = [
        dmc.Title(f"It says who {manifest.target}", order=2, size="h5"),
        dmc.Text(kind_text(manifest.target), size="sm"),
    ]
    if manifest.target_reason:
        asked = "why" if manifest.target.is_early_warning else "why no early warning"
        why = sentence(f"{asked}: {manifest.target_reason}")
        parts.append(dmc.Text(why, size="sm", c="dimmed"))
    return dmc.Paper(parts, mb="md")


def kind_text(target: Target) -> str:
    """What a probability of this kind means."""
    if target.is_early_warning:
        return (
            f"Early warning: a probability is the chance that a customer of today leaves between "
            f"{target.gap_days + 1} and {target.last_day} days from now. Who leaves sooner would "
            "be too late to call, and counts neither way."
        )
    return (
        "A probability says how much a customer of today looks like those who had left already. "
        "It recognises more than it warns: it says nothing of when."
    )


def create_lead_times(found: EarlyWarning, *, before: str | None) -> Component:
    """How early leavers are on the list; `before` is the version that the gate compared with."""
    shown = [_spans(found, before), *_by_month(found.months)]
    if found.older:
        shown.append(_older(found.older, before))
    cards = [create_chart(each, in_row=True) for each in shown]
    if found.months or found.older:
        cards.append(_create_months(found, before))
    figures = [create_figures(_figures(found)), _create_comparison(found, before)]
    grid = dmc.SimpleGrid(cards, cols={"base": 1, "sm": 2, "xl": 3})
    return html.Div([dmc.Paper(figures, mb="md"), grid])


def _figures(found: EarlyWarning) -> Iterator[tuple[str, str]]:
    yield "Judged as of", f"{found.as_of:%d %b %Y}"
    yield "Customers", f"{found.rows:,}"
    first, last = found.target.gap_days + 1, found.target.last_day
    yield f"Left {first}–{last} days later", f"{sum(found.leavers.values()):,}"
    yield f"On the list, {percent(found.list_share)}", f"{found.listed:,}"
    yield "Top-decile lift", _lift(found.model.top_decile_lift)


def _rankings(found: EarlyWarning, before: str | None) -> dict[str, LeadTimes]:
    """What there is to compare, by name, the model first."""
    own = {MODEL: found.model, NAIVE: found.baseline}
    return own | ({_version_before(before): found.champion} if found.champion else {})


def _version_before(before: str | None) -> str:
    return f"Version {before}, before" if before else "The version before"


def _create_comparison(found: EarlyWarning, before: str | None) -> Component:
    shown = _rankings(found, before)
    everybody = f"{sum(found.leavers.values()):,}"
    rows: list[tuple[str, ...]] = [
        ("ROC-AUC", everybody, *(f"{each.roc_auc:.3f}" for each in shown.values())),
        ("Top-decile lift", everybody, *(_lift(each.top_decile_lift) for each in shown.values())),
    ]
    for span, leavers in found.leavers.items():
        recall = (percent(each.recall.get(span)) for each in shown.values())
        rows.append((f"Seen {span} days ahead", f"{leavers:,}", *recall))
    told = (
        "Customers whom no tree saw. Seen is who was among the likeliest "
        f"{percent(found.list_share)}, the list, so many days before leaving. {ABOUT_NAIVE}"
    )
    table = create_table(("Figure", "Leavers", *shown), rows, "How early leavers are seen")
    return html.Div([table, dmc.Text(told, size="sm", c="dimmed", mt="xs")])


def _spans(found: EarlyWarning, before: str | None) -> charts.Chart:
    bars = [
        charts.Ranking(name, [each.recall.get(span) for span in found.leavers])
        for name, each in _rankings(found, before).items()
    ]
    told = "Nobody left on the hold-out."
    known = [span for span in found.leavers if found.model.recall.get(span) is not None]
    if known:
        last = known[-1]
        told = (
            f"Of those who left {last} days later, {percent(found.model.recall[last])} were on the "
            f"list already; by the naive rule {percent(found.baseline.recall.get(last))}."
        )
    title, axis = "Leavers on the list, by days ahead", "Days from the list to leaving"
    return charts.side_by_side(title, told, list(found.leavers), bars, axis=axis)


def _by_month(months: Sequence[LeavingMonth]) -> Iterator[charts.Chart]:
    """A chart for each number of days before."""
    for days in dict.fromkeys(days for month in months for days in month.model):
        known = [month for month in months if month.model.get(days) is not None]
        if not known:
            continue
        leavers, last = [month.leavers for month in known], known[-1]
        model = fmean([month.model[days] or 0 for month in known], leavers)
        naive = fmean([month.baseline.get(days) or 0 for month in known], leavers)
        told = (
            f"Of {sum(leavers):,} leavers of {len(known)} months, {percent(model)} were on the "
            f"list {days} days before; by the naive rule {percent(naive)}. In "
            f"{_name(last.month)} it was {percent(last.model[days])}."
        )
        shown = [
            charts.Ranking(MODEL, [month.model.get(days) for month in months]),
            charts.Ranking(NAIVE, [month.baseline.get(days) for month in months]),
        ]
        at = [date.fromisoformat(f"{month.month}-01") for month in months]
        title = f"On the list {days} days before leaving"
        yield charts.by_month(title, told, at, shown, axis="Month of leaving")


def _older(months: Sequence[OlderMonth], before: str | None) -> charts.Chart:
    shown = [
        charts.Ranking(MODEL, [month.model for month in months]),
        charts.Ranking(NAIVE, [month.baseline for month in months]),
        charts.Ranking(_version_before(before), [month.champion for month in months]),
    ]
    beaten = sum(month.model > month.baseline for month in months)
    told = (
        f"Hold-out customers of {len(months)} older months, some of which other customers taught. "
        f"The model ranks better than the naive rule in {beaten} of them."
    )
    at = [month.as_of for month in months]
    return charts.by_month("ROC-AUC in older months", told, at, shown, axis="As of", shares=False)


def _create_months(found: EarlyWarning, before: str | None) -> Component:
    """The charts' figures; shut, because a phone's page would be long."""
    parts: list[Any] = [dmc.Title("In figures", order=3, size="h5", mb="xs")]
    if found.months:
        days = [*dict.fromkeys(days for month in found.months for days in month.model)]
        names = ("Left in", "Leavers", *(f"{each} days before (naive rule)" for each in days))
        rows = [
            (
                _name(month.month),
                f"{month.leavers:,}",
                *(
                    f"{percent(month.model.get(d))} ({percent(month.baseline.get(d))})"
                    for d in days
                ),
            )
            for month in reversed(found.months)
        ]
        table = create_table(names, rows, "Leavers on the list, by month of leaving")
        parts.append(html.Details([html.Summary(f"All {len(rows)} months of leaving"), table]))
    if found.older:
        names = ("As of", "Customers", "Left", MODEL, NAIVE, _version_before(before))
        rows = [
            (
                f"{month.as_of:%d %b %Y}",
                f"{month.rows:,}",
                f"{month.leavers:,}",
                f"{month.model:.3f}",
                f"{month.baseline:.3f}",
                "–" if month.champion is None else f"{month.champion:.3f}",
            )
            for month in reversed(found.older)
        ]
        table = create_table(names, rows, "ROC-AUC in older months")
        parts.append(html.Details([html.Summary(f"All {len(rows)} older months"), table]))
    return dmc.Paper(parts)


def _lift(value: float) -> str:
    return f"{value:.1f}×"


def _name(month: str) -> str:
    year, number = month.split("-")
    return f"{calendar.month_abbr[int(number)]} {year}"
