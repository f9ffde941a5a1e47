"""Which version was in production when, who put it there, and why: drawn, and in words."""

import html as markup
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard.charts import Chart, Figure
from dashboard.components.chart_card import create_chart
from dashboard.components.tables import create_table
from dashboard.labels import counted
from dashboard.theme import BLUE, FIGURE_LAYOUT, GREY, ORANGE
from include.champion.history import UNKNOWN, History, Move, Term
from include.champion.versions import version_order
from include.target import Target

MOVES_SHOWN, ROWS_OPEN = 50, 10
NAMES = ("Version", "Says who", "From (UTC)", "To (UTC)", "Served", "Moved by", "Why")
HOVER_CHARACTERS, HOVER_LINE = 240, 60
LANE_PIXELS, HEIGHTS = 26, (220, 460)
BY_TRAINING, BY_PERSON, BY_NOBODY = (
    *("Moved by a training run", "Moved by a person", "By whom is not recorded"),
)
COLOURS = {BY_TRAINING: BLUE, BY_PERSON: ORANGE, BY_NOBODY: GREY}


def create_production_history(
    history: History, *, serving: str, targets: Mapping[str, Target], now: datetime
) -> Component:
    """The chart over the table that says the same; the pointer names the version `serving`.

    `targets` says of each version that the store keeps what it predicts.
    """
    lanes = len({move.to for move in history.moves})
    low, high = HEIGHTS
    height = min(max(low, 120 + LANE_PIXELS * lanes), high)
    rows = [_row(term, targets, now) for term in reversed(history.terms)]
    parts = [create_table(NAMES, rows[:ROWS_OPEN], "Which version served when, the latest first")]
    if older := rows[ROWS_OPEN:]:
        table = create_table(NAMES, older, "Which version served when, before that")
        parts.append(html.Details([html.Summary(f"{len(older)} before that"), table]))
    return html.Div(
        [
            create_chart(
                production_chart(history, serving=serving, targets=targets, now=now),
                height=height,
            ),
            dmc.Paper(parts, mt="md"),
        ]
    )


def production_chart(
    history: History, *, serving: str, targets: Mapping[str, Target], now: datetime
) -> Chart:
    """A lane for each version, a bar for each of its times in production.

    A line marks each move to a version that says something else of a customer.
    """
    changes = list(_changes(history, targets))
    terms = history.terms
    lanes = sorted({term.move.to for term in terms}, key=version_order)
    kinds = [kind for kind in COLOURS if any(_kind(term.move) == kind for term in terms)]
    bars = [_bars([t for t in terms if _kind(t.move) == kind], kind, now) for kind in kinds]
    layout = {
        **FIGURE_LAYOUT,
        "xaxis": {
            "type": "date",
            "title": {"text": "Time (UTC)"},
            "nticks": 4,  # more would stand aslant on a phone
            "automargin": True,
        },
        "yaxis": {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": lanes,
            "title": {"text": "Version", "standoff": 8},
            "automargin": True,
        },
        "showlegend": True,
        "shapes": [_change_line(move) for move, _ in changes],
        "annotations": [_change_sign(move, target) for move, target in changes],
    }
    if changes:
        layout["legend"] = {**FIGURE_LAYOUT["legend"], "y": 1.16}  # above their signs
    figure = {"data": [_steps(terms, now), *bars], "layout": layout}
    told = history_text(history, serving=serving)
    return Chart("In production", f"{told} {_changes_text(changes)}".strip(), figure)


def history_text(history: History, *, serving: str) -> str:
    """What serves, how often that changed, and what is not known."""
    latest = history.moves[-1]
    since = f"since {latest.moved_at.astimezone(UTC):%d %b %Y %H:%M} UTC"
    told = [
        f"Version {serving} serves {since}"
        if serving == latest.to
        else f"Version {serving} serves, by a pointer that somebody set back behind the latest move"
    ]
    count, back = len(history.moves), sum(move.is_back for move in history.moves)
    moves = counted(count, "move")
    if history.earlier:
        told.append(f"the latest {moves} are shown, {history.earlier:,} more are recorded")
    elif count > 1:
        told.append(f"{moves} are recorded")
    if back:
        told.append(f"{back} of them went back to an earlier version")
    first = history.moves[0]
    if first.before is not None and not history.earlier:
        told.append(f"before the first move version {first.before} served, since when is not known")
    if not all(term.is_exact for term in history.terms):
        told.append("moves in between are missing: what ended by a moment may have ended earlier")
    return "; ".join(told) + "."


def _changes(history: History, targets: Mapping[str, Target]) -> Iterator[tuple[Move, Target]]:
    """The moves after which something else was predicted, and what."""
    for move in history.moves:
        before, after = targets.get(move.before or ""), targets.get(move.to)
        if before and after and before != after:
            yield move, after


def _changes_text(changes: Sequence[tuple[Move, Target]]) -> str:
    if not changes:
        return ""
    move, target = changes[-1]
    return f"Since {_short(move.moved_at)} UTC it is predicted who {target}."


def _change_line(move: Move) -> Figure:
    at = _moment(move.moved_at)
    line = {"color": GREY, "width": 1.5, "dash": "dot"}
    return {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _change_sign(move: Move, target: Target) -> Figure:
    text = "early warning" if target.is_early_warning else "who has left"
    place = {"x": _moment(move.moved_at), "yref": "paper", "y": 1, "yanchor": "bottom"}
    return {**place, "xanchor": "left", "text": text, "showarrow": False, "font": {"size": 12}}


def _kind(move: Move) -> str:
    if move.is_by_training:
        return BY_TRAINING
    return BY_NOBODY if move.who == UNKNOWN else BY_PERSON


def _steps(terms: Sequence[Term], now: datetime) -> Figure:
    """From one version to the next, so that a short term is seen too."""
    moves = [term.move for term in terms]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*(_moment(move.moved_at) for move in moves), _moment(now)],
        "y": [*(move.to for move in moves), moves[-1].to],
        "line": {"color": GREY, "width": 1, "shape": "hv"},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _bars(terms: Sequence[Term], kind: str, now: datetime) -> Figure:
    x, y, texts, sizes = list[Any](), list[Any](), list[str](), list[int]()
    for term in terms:
        x += [_moment(term.move.moved_at), _moment(term.until or now), None]
        y += [term.move.to, term.move.to, None]
        texts += [_hover(term)] * 3
        sizes += [11, 0, 0]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": x,
        "y": y,
        "name": kind,
        "line": {"color": COLOURS[kind], "width": 9},
        # Plotly outlines markers of several sizes: in the legend that is a lone ring.
        "marker": {"color": COLOURS[kind], "size": sizes, "opacity": 1, "line": {"width": 0}},
        "text": texts,
        "hoverinfo": "text",
    }


def _hover(term: Term) -> str:
    move = term.move
    told = textwrap.shorten(move.told, HOVER_CHARACTERS, placeholder=" …")
    lines = [f"Version {move.to}, {_span(term)}", *textwrap.wrap(told, HOVER_LINE)]
    return "<br>".join(markup.escape(line) for line in lines)


def _span(term: Term) -> str:
    since = _short(term.move.moved_at)
    return f"since {since}" if term.until is None else f"{since} to {_short(term.until)}"


def _row(term: Term, targets: Mapping[str, Target], now: datetime) -> tuple[str, ...]:
    move = term.move
    bound = "" if term.is_exact else "at most "
    return (
        move.to,
        str(targets[move.to]) if move.to in targets else "–",
        _short(move.moved_at),
        f"{'' if term.is_exact else 'by '}{_short(term.until)}" if term.until else "serves now",
        f"{bound}{_lasted((term.until or now) - move.moved_at)}",
        move.who,
        move.why or "–",
    )


def _lasted(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    if minutes < 1:
        return "under 1 min"
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // (24 * 60):,} days"


def _short(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
