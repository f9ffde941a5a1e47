"""The model in production: how good it is, what it looks at, and how it came to be."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from dashboard import charts
from dashboard.components import versions
from dashboard.components.campaign_outcomes import create_campaigns
from dashboard.components.chart_card import create_chart
from dashboard.components.early_warning import create_kind, create_lead_times
from dashboard.components.fairness import create_fairness
from dashboard.components.production_history import MOVES_SHOWN, create_production_history
from dashboard.components.shell import create_heading, create_section
from dashboard.components.states import create_empty, create_or_explain
from dashboard.components.tables import create_figures, create_head, create_table
from dashboard.data.champions import (
    Champion,
    early_warning_of,
    read_gates,
    read_versions,
)
from dashboard.data.ml_test_score import read_ml_test_score, score_text
from dashboard.data.rules import CallRules
from dashboard.data.sources import Sources
from dashboard.labels import percent
from include.champion.early_warning import EarlyWarning
from include.champion.versions import (
    CARD_FILE,
    Evaluation,
    Manifest,
    read_evaluation,
    read_files,
)

PATH = "/model"
CARD_FIGURES = {
    "roc_auc": ("ROC-AUC", 4),
    "average_precision": ("Average precision", 3),
    "brier": ("Brier score", 4),
    "f1": ("F1", 3),
    "calibration_error": ("Calibration error", 4),
}


def create_page(sources: Sources, query: Mapping[str, str]) -> Component:
    """The champion, its curves, the campaigns' outcome and the history."""
    champion = sources.champion()
    if champion is None:
        return html.Div(
            [
                create_heading("Model"),
                create_empty(
                    "No champion yet",
                    "Nothing was promoted so far. Start churn_training in Airflow: the first model "
                    "that passes the gate appears here.",
                ),
                *_create_decisions(sources),
            ]
        )
    rules = CallRules.from_values(dict(query))
    manifests = read_versions(sources.store)
    return html.Div(
        [
            create_heading("Model", _subtitle(champion)),
            create_kind(champion.manifest),
            create_or_explain(_create_evaluation, sources, champion, rules),
            create_section("Did the calls help?", create_or_explain(create_campaigns, sources)),
            create_section(
                "Which version served when",
                create_or_explain(_create_moves, sources, champion, manifests),
            ),
            create_section("Versions", _create_history(sources, champion, manifests)),
            create_section("Model card", _create_card(sources, champion)),
            create_section("ML Test Score", _create_test_score()),
        ]
    )


def _subtitle(champion: Champion) -> str:
    manifest, pointer = champion.manifest, champion.pointer
    since = f"{pointer.promoted_at:%d %b %Y %H:%M} UTC"
    family = manifest.model_family.replace("_", " ")
    return (
        f"Version {manifest.version} ({family}, {len(manifest.columns)} columns), in production "
        f"since {since} ({pointer.reason or 'no reason given'})."
    )


def _create_evaluation(sources: Sources, champion: Champion, rules: CallRules) -> Component:
    found = read_evaluation(sources.store, champion.manifest)
    early = early_warning_of(champion.manifest, found)
    fairness = create_fairness(
        found.fairness,
        target=champion.manifest.target,
        rules=champion.manifest.gate.get("rules", {}),
    )
    fair = create_section("Does it treat groups of customers alike?", fairness)
    shown = evaluation_charts(found, rules, typical_revenue(sources, champion))
    figures = html.Div(
        [
            _create_figures(found),
            dmc.SimpleGrid(
                [
                    *(create_chart(each, in_row=True) for each in shown),
                    create_confusion(found),
                ],
                cols={"base": 1, "sm": 2, "xl": 3},
                mb="md",
            ),
            create_chart(charts.importance(found.importance), height=380),
        ]
    )
    if early is None:
        return html.Div([figures, fair])
    return html.Div(
        [
            create_section("How early it sees who leaves", _create_lead_times(champion, early)),
            create_section("How well it ranks, and how right its chances are", figures),
            fair,
        ]
    )


def _create_lead_times(champion: Champion, found: EarlyWarning) -> Component:
    before = champion.manifest.gate.get("champion")
    return create_lead_times(found, before=str(before) if before else None)


def typical_revenue(sources: Sources, champion: Champion) -> float:
    """What the typical customer brings in a year, as the first page reckons it."""
    typical, settings = sources.references.summary(champion.manifest).typical, sources.settings
    weights = {
        "Total_Trans_Amt": settings.revenue_per_spend,
        "Total_Revolving_Bal": settings.revenue_per_balance,
    }
    known = {name: float(typical[name].value) for name in weights if name in typical}
    return sum(weights[name] * value for name, value in known.items())


def evaluation_charts(found: Evaluation, rules: CallRules, revenue: float) -> list[charts.Chart]:
    """Every curve that the evaluation holds."""
    share, curves, value = attrited_share(found), found.curves, rules.years * revenue
    return [
        charts.roc(curves["roc"], found.metrics["roc_auc"]),
        charts.precision_recall(curves["precision_recall"], share),
        charts.calibration(curves["calibration"], found.metrics.get("calibration_error")),
        charts.gains(curves["gains"]),
        charts.profit(curves["gains"], rules, share=share, value=value),
    ]


def attrited_share(found: Evaluation) -> float:
    """The share of leavers on the hold-out."""
    stayed, left = (sum(row) for row in found.curves["confusion"])
    return float(left / max(stayed + left, 1))


def _create_figures(found: Evaluation) -> Component:
    (_, false_alarm), (_, right_leave) = found.curves["confusion"]
    untold = {"f1"} if not false_alarm + right_leave else set()
    shown = [
        (label, f"{found.metrics[name]:.{decimals}f}")
        for name, (label, decimals) in CARD_FIGURES.items()
        if name in found.metrics.keys() - untold
    ]
    shown.append(("Hold-out customers", f"{found.holdout_rows:,}"))
    return dmc.Paper(create_figures(shown), mb="md")


def create_confusion(found: Evaluation) -> Component:
    """The confusion matrix at the threshold, as a table with its sentence."""
    (right_stay, false_alarm), (missed, right_leave) = found.curves["confusion"]
    flagged = false_alarm + right_leave
    told = (
        f"Nobody's probability reaches the threshold {found.threshold:g}: who is to be called goes "
        "by rank alone."
    )
    if flagged:
        told = (
            f"At the threshold {found.threshold:g} the model flags {flagged:,} of "
            f"{found.holdout_rows:,} customers; {percent(right_leave / flagged)} of them really "
            f"left, and {missed:,} leavers were missed."
        )
    rows = [("Stayed", right_stay, false_alarm), ("Left", missed, right_leave)]
    head = create_head(("", "Predicted to stay", "Predicted to leave"))
    body = [
        html.Tr([html.Th(name, scope="row"), html.Td(f"{stay:,}"), html.Td(f"{leave:,}")])
        for name, stay, leave in rows
    ]
    return dmc.Paper(
        [
            dmc.Title("Confusion matrix", order=3, size="h5"),
            dmc.Text(told, size="sm", c="dimmed", mb="xs"),
            html.Table([head, html.Tbody(body)], className="plain"),
        ]
    )


def _create_moves(sources: Sources, champion: Champion, manifests: Sequence[Manifest]) -> Component:
    return create_production_history(
        sources.history.latest(MOVES_SHOWN, pointer=champion.pointer),
        serving=champion.pointer.version,
        targets={each.version: each.target for each in manifests},
        now=datetime.now(UTC),
    )


def _create_history(
    sources: Sources, champion: Champion, manifests: Sequence[Manifest]
) -> Component:
    url = sources.settings.mlflow_public_url or sources.settings.tracking_uri
    table = versions.create_versions(manifests, champion=champion.manifest.version, mlflow_url=url)
    return dmc.Paper([table, *_create_decisions(sources)])


def _create_decisions(sources: Sources) -> list[Component]:
    """Which candidates came, also before any was good enough; nothing where none did."""
    gates = read_gates(sources.store)
    if not gates:
        return []
    title = dmc.Title("Latest decisions of the gate", order=3, size="h5", mt="lg", mb="xs")
    note = "Candidates are counted by themselves; an accepted one becomes the next version."
    told = dmc.Text(note, size="sm", c="dimmed", mb="xs")
    return [title, told, versions.create_decisions(gates)]


def _create_test_score() -> Component:
    """How well the system around any version is tested: in a line and, shut, test by test."""
    found = read_ml_test_score()
    rows = [
        (f"{name.capitalize()} {place}", test.asks, test.met.replace("`", ""), f"{test.points:g}")
        for name, tests in found.sections.items()
        for place, test in enumerate(tests, 1)
    ]
    told = (
        f"{score_text(found)}, by the project's own marks: how well the system around any version "
        "is tested, by the rubric of Breck et al. (2017)."
    )
    names = ("Test", "Asks", "How it is met", "Points of 1")
    table = create_table(names, rows, "ML Test Score, test by test")
    summary = html.Summary(f"All {len(rows)} tests: what each asks, and how it is met")
    return dmc.Paper([dmc.Text(told, size="sm", mb="xs"), html.Details([summary, table])])


def _create_card(sources: Sources, champion: Champion) -> Component:
    if CARD_FILE not in champion.manifest.files:
        return dmc.Text("This version has no model card.", c="dimmed")
    card = read_files(sources.store, champion.manifest, [CARD_FILE])[CARD_FILE]
    text = card.decode("utf-8", "replace")
    return dmc.Paper(dcc.Markdown(text, link_target="_blank", className="card scroll"))
