"""What the stack says of itself: stack.json, and the last lines of `make run`."""

import json
import logging
import os
import shlex
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from include.champion.early_warning import LeadTimes
from include.champion.versions import (
    SELF_CHECK_FILE,
    Manifest,
    SelfCheck,
    read_evaluation,
    read_files,
    read_production_manifest,
)
from include.errors import ChurnError
from include.settings import Settings
from include.store import open_store
from infra.airflow.login import ROLES, USER
from infra.local.directory import data_of
from infra.local.services import Layout

logger = logging.getLogger(__name__)

FIGURES = {
    "roc_auc": "ROC-AUC",
    "brier": "Brier score",
    "f1": "F1",
    "calibration_error": "calibration error",
}
DECIMALS = 2


def champion(settings: Settings) -> Manifest | None:
    """The manifest of the version in production, if there is one."""
    return read_production_manifest(open_store(settings.resolved_store_uri))


def describe(
    places: Layout, settings: Settings, manifest: Manifest | None, *, failure: str | None
) -> dict[str, Any]:
    """stack.json: it is there exactly while the stack is up."""
    keys = {"variable": "CHURN_API_KEYS"} if settings.api_keys else None
    password = {"variable": "CHURN_DASHBOARD_PASSWORD"} if settings.dashboard_password else keys
    if settings.oidc_issuer:
        password = {"provider": settings.oidc_issuer}
    return {
        "state": "failed" if failure else "ready" if manifest else "no champion",
        "failure": failure,
        "pid": os.getpid(),
        "ready_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "urls": places.urls,
        "passwords": {
            "airflow": {"user": USER, "users": list(ROLES), "file": str(places.passwords)},
            "api": keys,
            "mlflow": None,
            "dashboard": password,
        },
        "champion": manifest and {"version": manifest.version, "metrics": manifest.metrics},
        "logs": str(places.log("*").parent),
        "data": data_of(settings),
    }


def summary(
    places: Layout,
    settings: Settings,
    manifest: Manifest | None,
    *,
    failure: str | None,
    down: Collection[str] = (),
) -> list[str]:
    """The last lines of a start: where all is but `down`, who the champion is, what to try."""
    keys = "one of CHURN_API_KEYS" if settings.api_keys else "no key needed"
    sign_in = "with an API key" if settings.api_keys else "no login"
    if settings.dashboard_password:
        sign_in = "with CHURN_DASHBOARD_PASSWORD"
    if settings.oidc_issuer:
        sign_in = f"with an account of {settings.oidc_issuer}"
    users = f"users {', '.join(ROLES)}; passwords in {places.passwords}"
    lines = {
        "api": f"API       {places.api.url}  ({keys}; {places.api.url}/docs explains it)",
        "dashboard": f"dashboard {places.dashboard.url}  ({sign_in})",
        "airflow": f"Airflow   {places.airflow.url}  ({users})",
        "mlflow": f"MLflow    {places.mlflow.url}  (no login)",
    }
    return [
        "",
        *(line for name, line in lines.items() if name not in down),
        f"logs      {places.log('*').parent}",
        "",
        *_news(places, settings, manifest, failure),
        "",
        "Ctrl-C stops everything.",
    ]


def _news(
    places: Layout, settings: Settings, manifest: Manifest | None, failure: str | None
) -> list[str]:
    if failure:
        return [failure, "the stack stays up, so that you can look and mend it"]
    if manifest is None:
        return [
            "there is no champion: the training run promoted none, for the reasons above, or waits "
            "for the answer that it asks for there"
        ]
    return [
        f"champion  version {manifest.version}: {figures(manifest)}",
        *_how_early(settings, manifest),
        "",
        "Will this made-up customer leave?",
        f"  {example_call(settings, manifest, places.api.url)}",
    ]


def figures(manifest: Manifest) -> str:
    """The hold-out figures in one line."""
    known = [
        f"{label} {value:.4f}"
        for name, label in FIGURES.items()
        if (value := manifest.metrics.get(name)) is not None
        # Few leave within the horizon, hardly one as likely as not: F1 at one half says nothing.
        and not (name == "f1" and manifest.target.is_early_warning)
    ]
    return ", ".join(known) or "no figures in its manifest"


def _how_early(settings: Settings, manifest: Manifest) -> list[str]:
    """Of a version that warns early: what it says, and which leavers its list would have had."""
    if not manifest.target.is_early_warning:
        return []
    try:
        found = read_evaluation(open_store(settings.resolved_store_uri), manifest).early_warning
    except ChurnError as error:  # the stack is up: these lines are not worth its end
        logger.warning("how early version %s warns is unknown: %s", manifest.version, error)
        return []
    if found is None:
        return []
    return [
        f"          warns early: it says who {found.target}; judged on {found.as_of}",
        f"          of those who left {', '.join(found.model.recall)} days after, its list of "
        f"{found.list_share:.0%} had {_recall(found.model)}; the naive rule's had "
        f"{_recall(found.baseline)}",
    ]


def _recall(times: LeadTimes) -> str:
    return ", ".join("none left" if r is None else f"{r:.0%}" for r in times.recall.values())


def example_call(settings: Settings, manifest: Manifest, url: str) -> str:
    """A command line that asks the API for one prediction."""
    # A made-up customer: the first of the champion's self-check rows.
    files = read_files(open_store(settings.resolved_store_uri), manifest, [SELF_CHECK_FILE])
    check = SelfCheck.model_validate_json(files[SELF_CHECK_FILE])
    row = zip(check.columns, check.rows[0], strict=True)
    record = shlex.quote(json.dumps({name: _as_sent(manifest, name, each) for name, each in row}))
    key = """ -H "X-API-Key: $KEY" """ if settings.api_keys else " "
    return f"curl -s {url}/predict -H 'Content-Type: application/json'{key}-d {record}"


def _as_sent(manifest: Manifest, name: str, value: float) -> Any:
    column = manifest.contract.column(name)
    if column.categories:
        return column.categories[int(value)]
    return int(value) if column.type == "integer" else round(value, DECIMALS)
