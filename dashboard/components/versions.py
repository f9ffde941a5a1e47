"""The history of versions, and what the gate decided on each and why."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard.components.tables import create_table
from include.champion.gate_decision import Decision
from include.champion.versions import Manifest

OUTCOMES = {
    "accepted": "✓ accepted",
    "rejected": "✕ rejected",
    "needs_person": "? needs a person",
}


def create_versions(manifests: Sequence[Manifest], *, champion: str, mlflow_url: str) -> Component:
    """Every version that the store keeps, the newest first."""
    rows = [_version_row(each, champion, mlflow_url) for each in manifests]
    names = ("Version", "Made (UTC)", "Says who", "ROC-AUC", "Brier score", "Gate", "Why", "MLflow")
    return create_table(names, rows, "Versions")


def _version_row(manifest: Manifest, champion: str, mlflow_url: str) -> tuple[Any, ...]:
    gate = manifest.gate
    serving = (
        [" ", dmc.Badge("serving", size="sm", className="badge")]
        if manifest.version == champion
        else []
    )
    link = html.A(
        "run",
        href=f"{mlflow_url.rstrip('/')}/#/runs/{manifest.run_id}",
        target="_blank",
        rel="noopener noreferrer",
        **{"aria-label": f"MLflow run of version {manifest.version}"},
    )
    return (
        [manifest.version, *serving],
        f"{manifest.created_at:%Y-%m-%d %H:%M}",
        str(manifest.target),
        _figure(manifest.metrics.get("roc_auc")),
        _figure(manifest.metrics.get("brier")),
        _outcome(str(gate.get("outcome", ""))),
        "; ".join(map(str, gate.get("reasons", ()))),
        link,
    )


def create_decisions(gates: Sequence[Decision]) -> Component:
    """The latest candidates, those that were refused too."""
    rows = [
        (
            each.challenger,
            f"{each.decided_at:%Y-%m-%d %H:%M}",
            str(each.target),
            "–" if each.champion is None else f"against version {each.champion}",
            _figure(each.challenger_metrics.get("roc_auc")),
            "–" if each.gain is None else f"{each.gain:+.4f}",
            _outcome(each.outcome),
            "; ".join(each.reasons),
        )
        for each in gates
    ]
    names = ("Candidate", "Decided (UTC)", "Says who", "Judged", "ROC-AUC", "Gain", "Gate", "Why")
    return create_table(names, rows, "Decisions of the gate")


def _outcome(outcome: str) -> str:
    return OUTCOMES.get(outcome, outcome or "–")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
