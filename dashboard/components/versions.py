"""The history of versions, and what the gate decided on each and why."""

from collections.abc import Sequence

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard.champions import GateRecord
from include.champion import Manifest

OUTCOMES = {
    "accepted": "✓ accepted",
    "rejected": "✕ rejected",
    "needs_person": "? needs a person",
}


def create_versions(manifests: Sequence[Manifest], *, champion: str, mlflow_url: str) -> Component:
    """Every version that the store keeps, the newest first."""
    rows = [_version_row(each, champion, mlflow_url) for each in manifests]
    names = ("Version", "Made", "ROC-AUC", "Brier score", "Gate", "Why", "MLflow")
    return _table(names, rows, "Versions")


def _version_row(manifest: Manifest, champion: str, mlflow_url: str) -> Component:
    gate = manifest.gate
    serving = [" ", dmc.Badge("serving", size="sm")] if manifest.version == champion else []
    link = html.A(
        "run",
        href=f"{mlflow_url.rstrip('/')}/#/runs/{manifest.run_id}",
        target="_blank",
        rel="noopener noreferrer",
        **{"aria-label": f"MLflow run of version {manifest.version}"},
    )
    return html.Tr(
        [
            html.Th([manifest.version, *serving], scope="row"),
            html.Td(f"{manifest.created_at:%d %b %Y %H:%M}"),
            html.Td(_figure(manifest.metrics.get("roc_auc"))),
            html.Td(_figure(manifest.metrics.get("brier"))),
            html.Td(_outcome(str(gate.get("outcome", "")))),
            html.Td("; ".join(map(str, gate.get("reasons", ())))),
            html.Td(link),
        ]
    )


def create_decisions(gates: Sequence[GateRecord]) -> Component:
    """The latest candidates, those that were refused too."""
    rows = [
        html.Tr(
            [
                html.Th(each.challenger, scope="row"),
                html.Td(each.decided_at[:16].replace("T", " ")),
                html.Td("–" if each.champion is None else f"against version {each.champion}"),
                html.Td(_figure(each.challenger_metrics.get("roc_auc"))),
                html.Td("–" if each.gain is None else f"{each.gain:+.4f}"),
                html.Td(_outcome(each.outcome)),
                html.Td("; ".join(each.reasons)),
            ]
        )
        for each in gates
    ]
    names = ("Candidate", "Decided (UTC)", "Judged", "ROC-AUC", "Gain", "Gate", "Why")
    return _table(names, rows, "Decisions of the gate")


def _outcome(outcome: str) -> str:
    return OUTCOMES.get(outcome, outcome or "–")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _table(names: Sequence[str], rows: Sequence[Component], label: str) -> Component:
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in names]))
    table = html.Table([head, html.Tbody(rows)], className="plain")
    return html.Div(table, className="scroll", tabIndex=0, role="region", **{"aria-label": label})
