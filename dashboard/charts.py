"""Charts as plain Plotly figures, each with its sentence; the page gives them their colours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboard.data.rules import CallRules
from dashboard.labels import feature_label, money, percent
from dashboard.theme import BLUE, FIGURE_LAYOUT, GREY, ORANGE
from include.drift import performance

Figure = dict[str, Any]
Values = Sequence[float] | NDArray[Any]
CLEAR_TICKS = {"ticks": "outside", "ticklen": 5, "tickcolor": "rgba(0,0,0,0)"}
SHARE_AXIS = {
    **CLEAR_TICKS,  # two axes' labels of nought would touch
    "tickformat": ".0%",
    "rangemode": "tozero",
    "zeroline": False,
    "nticks": 6,
    "automargin": True,
}

WEEK = timedelta(days=7)
RANKINGS = (BLUE, GREY, ORANGE)  # the model, the naive rule, the version before


@dataclass(frozen=True)
class Chart:
    """A figure, what it is called, and what it says."""

    title: str
    sentence: str
    figure: Figure


@dataclass(frozen=True)
class Track:
    """One figure of a version by the week of its predictions; None where there is none."""

    version: str
    weeks: Sequence[date]
    realised: Sequence[performance.Figure | None]
    estimated: Sequence[performance.Figure | None]
    promised: float | None


@dataclass(frozen=True)
class Ranking:
    """One ranking's values by place or month; None where there is none."""

    name: str
    values: Sequence[float | None]


def roc(curve: Mapping[str, Sequence[float]], auc: float) -> Chart:
    """The ROC curve with the diagonal of chance."""
    told = (
        f"Of a customer who leaves and one who stays, the model ranks the leaver higher in "
        f"{percent(auc, decimals=1)} of cases; guessing would do so in half."
    )
    model = _line(curve["false_positive_rate"], curve["true_positive_rate"])
    figure = _figure([model, _chance("Guessing")], "Stayers called in vain", "Leavers found")
    return Chart(f"ROC curve, area {auc:.3f}", told, figure)


def precision_recall(curve: Mapping[str, Sequence[float]], share: float) -> Chart:
    """Precision against recall, with the share that anybody would find."""
    recall, precision = np.array(curve["recall"]), np.array(curve["precision"])
    half = float(precision[np.argmin(np.abs(recall - 0.5))])
    told = (
        f"To find half of the leavers, {percent(half)} of those flagged really leave; picked at "
        f"random it would be {percent(share)}."
    )
    lines = [_line(recall, precision), _chance("At random", ends=(share, share))]
    figure = _figure(lines, "Leavers found", "Right among flagged")
    return Chart("Precision and recall", told, figure)


def calibration(curve: Mapping[str, Sequence[float]], error: float | None) -> Chart:
    """Predicted against observed, by tenths."""
    told = "On the line, ten customers at 30% would mean three leavers."
    if error is not None:
        told += f" On average the answers are {100 * error:.1f} percentage points off."
    top = max(*curve["predicted"], *curve["observed"], 0.01)
    model = _line(curve["predicted"], curve["observed"], mode="lines+markers")
    lines = [model, _chance("Exact", to=top, ends=(0.0, top))]
    return Chart("Calibration", told, _figure(lines, "Predicted risk", "Share that left"))


def gains(curve: Mapping[str, Sequence[float]]) -> Chart:
    """Leavers found by the share of customers called."""
    contacted, found = curve["contacted_share"], curve["found_share"]
    fifth = float(np.interp(0.2, contacted, found))
    told = f"Calling the riskiest fifth reaches {percent(fifth)} of all who leave."
    lines = [_line(contacted, found), _chance("At random")]
    return Chart("Gains", told, _figure(lines, "Customers called", "Leavers found"))


def profit(
    curve: Mapping[str, Sequence[float]], rules: CallRules, *, share: float, value: float
) -> Chart:
    """Profit for each thousand customers by the share called; `value` is a leaver's at stake."""
    contacted = np.array(curve["contacted_share"])
    kept = 1000 * share * np.array(curve["found_share"]) * rules.success * value
    earned = kept - 1000 * contacted * rules.cost
    best = int(np.argmax(earned))
    told = (
        f"Per 1,000 customers it pays most to call {percent(float(contacted[best]))}: "
        f"{money(float(earned[best]))}. Calling everybody brings {money(float(earned[-1]))}."
    )
    spot = _line(contacted[[best]], earned[[best]], "Best", mode="markers", colour=ORANGE)
    lines = [_line(contacted, earned, "Profit"), spot]
    figure = _figure(lines, "Customers called", "Profit per 1,000 customers")
    figure["layout"]["yaxis"] |= {"tickformat": "$,.0f", "rangemode": "normal"}
    figure["data"][1]["marker"]["size"] = 11
    return Chart("Profit", told, figure)


def importance(shares: Mapping[str, float], *, most: int = 12) -> Chart:
    """What the trees look at, by share of their total gain."""
    top = sorted(shares.items(), key=lambda item: -item[1])[:most]
    names = [feature_label(name) for name, _ in top]
    told = f"{names[0]} counts most, with {percent(top[0][1])} of the trees' gain." if top else ""
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [share for _, share in top][::-1],
        "y": names[::-1],
        "marker": {"color": BLUE},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    figure = _figure([bars], "Gain", "")
    figure["layout"]["yaxis"] = {**CLEAR_TICKS, "automargin": True, "tickfont": {"size": 12}}
    figure["layout"]["xaxis"] |= {"nticks": 3, "tickangle": 0}  # beside long names on a phone
    return Chart("What the model looks at", told, figure)


def distribution(
    feature: str,
    places: Sequence[Any],
    reference: Sequence[float],
    current: Sequence[float],
    *,
    sentence: str,
) -> Chart:
    """A column's distribution on a day against the reference."""
    if len(places) == len(reference) + 1:
        edges = np.asarray(places, dtype=float)
        x: list[Any] = ((edges[:-1] + edges[1:]) / 2).tolist()
    else:
        x = [str(place) for place in places]
    bars = [
        {
            "type": "bar",
            "x": x,
            "y": list(shares),
            "name": name,
            "marker": {"color": colour},
            "opacity": 0.85,
            "hovertemplate": f"{name}: %{{y:.1%}} at %{{x}}<extra></extra>",
        }
        for shares, name, colour in (
            (reference, "Training customers", BLUE),
            (current, "This day", ORANGE),
        )
        if shares
    ]
    figure = _figure(bars, feature_label(feature), "Share of customers")
    figure["layout"]["xaxis"] = {"title": {"text": feature_label(feature)}, "automargin": True}
    figure["layout"] |= {"barmode": "group", "bargap": 0.08}
    return Chart(feature_label(feature), sentence, figure)


def over_time(title: str, told: str, tracks: Sequence[Track], *, exact: float | None) -> Chart:
    """A figure's realised values with intervals, and beside them what was estimated and promised.

    `exact` is what would be right at any time, where there is such a value.
    """
    shown = [line for track in tracks for line in _track_lines(track, exact)]
    for place, line in enumerate(shown):  # a name stands in the legend once
        first = line["name"] not in [each["name"] for each in shown[:place]]
        line |= {"legendgroup": line["name"], "showlegend": first}
    figure = _figure(shown, "", "")
    axis = {**CLEAR_TICKS, "automargin": True, "zeroline": False, "nticks": 6}
    weeks = {"text": "Week of the answers"}
    figure["layout"] |= {
        "xaxis": {**axis, "title": weeks, "type": "date", "tickformat": "%d %b"},
        "yaxis": {**axis, "tickformat": ".3~f"},
        "annotations": [_version_sign(track) for track in tracks],
        "legend": {**FIGURE_LAYOUT["legend"], "y": 1.14},  # above the versions' signs
    }
    return Chart(title, told, figure)


def _track_lines(track: Track, exact: float | None) -> list[Figure]:
    """A version's lines, those left out that have no value."""
    realised = _points(track.weeks, track.realised, "Realised")
    estimated = _points(track.weeks, track.estimated, "Estimate", intervals=False)
    estimated |= {"line": {"color": ORANGE, "width": 2, "dash": "dash"}}
    estimated |= {"marker": {"color": ORANGE, "size": 5}}
    lines = [realised, estimated]
    level = track.promised if exact is None else exact
    if level is not None:
        flat = _chance("Promised" if exact is None else "Exact", ends=(level, level))
        # To the end of the last week: from one week to itself there would be no line.
        ends = track.weeks[0], track.weeks[-1] + WEEK
        lines.append({**flat, "x": [end.isoformat() for end in ends]})
    return [each for each in lines if any(value is not None for value in each["y"])]


def side_by_side(
    title: str, told: str, places: Sequence[str], groups: Sequence[Ranking], *, axis: str
) -> Chart:
    """Shares of several rankings beside each other, the model's own first."""
    bars = [
        {
            "type": "bar",
            "x": list(places),
            "y": list(group.values),
            "name": group.name,
            "marker": {"color": colour},
            "hovertemplate": "%{x}: %{y:.1%}",
        }
        for group, colour in zip(groups, RANKINGS, strict=False)
    ]
    figure = _figure(bars, axis, "")
    figure["layout"]["xaxis"] = {"title": {"text": axis}, "type": "category", "automargin": True}
    figure["layout"]["yaxis"] |= {"range": [0, 1]}
    figure["layout"] |= {"barmode": "group", "bargap": 0.3}
    return Chart(title, told, figure)


def by_month(
    title: str,
    told: str,
    months: Sequence[date],
    groups: Sequence[Ranking],
    *,
    axis: str,
    shares: bool = True,
) -> Chart:
    """The same over months, as lines; those are left out that have no value."""
    lines = [
        {
            **_line([], [], group.name, mode="lines+markers", colour=colour),
            "x": [month.isoformat() for month in months],
            "y": list(group.values),
        }
        for group, colour in zip(groups, RANKINGS, strict=False)
        if any(value is not None for value in group.values)
    ]
    figure = _figure(lines, axis, "")
    figure["layout"]["xaxis"] = {
        **CLEAR_TICKS,
        "title": {"text": axis},
        "type": "date",
        "tickformat": "%b %y",
        "nticks": 6,
        "automargin": True,
    }
    figure["layout"]["yaxis"] |= (
        {"range": [0, 1]} if shares else {"tickformat": ".2f", "rangemode": "normal"}
    )
    return Chart(title, told, figure)


def agreement(told: str, weeks: Sequence[performance.VersionWeek]) -> Chart:
    """Each judged week's realised ROC-AUC against the estimate of the same customers."""
    shown: list[Figure] = []
    known: list[float] = []
    for verdict, colour in (("kept", BLUE), ("lost", ORANGE)):
        found = [
            (each, each.estimate_of_ripe.roc_auc, each.realised.roc_auc)
            for each in weeks
            if each.verdict == verdict and each.realised and each.estimate_of_ripe
        ]
        pairs = [(week, e, r) for week, e, r in found if e and r]
        if not pairs:
            continue
        values = [estimate.value for _, estimate, _ in pairs]
        points = _points(values, [r for *_, r in pairs], verdict.capitalize(), colour=colour)
        points |= {
            "mode": "markers",
            "text": [f"version {week.version}, {week.begins:%d %b %Y}" for week, *_ in pairs],
            "hovertemplate": "%{text}: realised %{y:.3f}, estimate %{x:.3f}<extra></extra>",
        }
        shown.append(points)
        known += values
    ends = [min(known, default=0) - 0.005, max(known, default=1) + 0.005]
    exact = {**_chance("Exact", ends=(ends[0], ends[1])), "x": ends}
    figure = _figure([*shown, exact], "Estimate of the same customers", "Realised")
    figure["layout"]["xaxis"] |= {"tickformat": ".3f", "range": ends, "nticks": 4}
    figure["layout"]["yaxis"] |= {"tickformat": ".2f", "rangemode": "normal"}
    return Chart("Estimate against realised, ROC-AUC", told, figure)


def _points(
    x: Sequence[Any],
    found: Sequence[performance.Figure | None],
    name: str,
    *,
    colour: str = BLUE,
    intervals: bool = True,
) -> Figure:
    """Values by number or day, with their intervals; None leaves a gap."""
    points = _line([], [], name, mode="lines+markers", colour=colour)
    points["x"] = [each.isoformat() if isinstance(each, date) else each for each in x]
    points["y"] = [each.value if each else None for each in found]
    if intervals:
        points["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [each.high - each.value if each else None for each in found],
            "arrayminus": [each.value - each.low if each else None for each in found],
            "color": colour,
            "thickness": 1.5,
            "width": 0,
        }
    return points


def _version_sign(track: Track) -> Figure:
    """Where a version's weeks begin."""
    place = {"x": track.weeks[0].isoformat(), "xanchor": "left", "yref": "paper", "y": 1}
    text = {"text": f"v{track.version}", "showarrow": False, "yanchor": "bottom"}
    return {**place, **text, "bgcolor": "rgba(138,146,156,.18)", "borderpad": 2}


def _line(
    x: Values, y: Values, name: str = "Model", *, mode: str = "lines", colour: str = BLUE
) -> Figure:
    return {
        "type": "scatter",
        "mode": mode,
        "x": np.asarray(x).tolist(),
        "y": np.asarray(y).tolist(),
        "name": name,
        "line": {"color": colour, "width": 2.5},
        "marker": {"color": colour, "size": 7},
        "hoverlabel": {"namelength": -1},
    }


def _chance(name: str, *, to: float = 1.0, ends: tuple[float, float] = (0.0, 1.0)) -> Figure:
    """A dotted straight line to compare with."""
    found = _line([0, to], ends, name, colour=GREY)
    return {**found, "line": {"color": GREY, "width": 1.5, "dash": "dot"}}


def _figure(data: list[Figure], x_title: str, y_title: str) -> Figure:
    layout = {
        **FIGURE_LAYOUT,
        "xaxis": {"title": {"text": x_title}, **SHARE_AXIS},
        "yaxis": {"title": {"text": y_title, "standoff": 8}, **SHARE_AXIS},
        "showlegend": len(data) > 1,
    }
    return {"data": data, "layout": layout}
