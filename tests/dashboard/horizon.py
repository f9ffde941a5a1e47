"""A made-up version that says who will leave: what its evaluation and the gate say of it."""

import json
from typing import Any

from include.champion import versions
from tests.dashboard.bank import whole_version
from tests.include.champion.early_warning_example import COMPARED, EARLY, TARGET
from tests.webapp.champions import Version


def horizon_version(version: str = "2", *, champion: str | None = "1") -> Version:
    """The bank's champion again, as if it said who will leave."""
    manifest, files = whole_version(version)
    report: dict[str, Any] = json.loads(files[versions.EVALUATION_FILE])
    report["early_warning"] = EARLY.model_dump(mode="json")
    files = {**files, versions.EVALUATION_FILE: json.dumps(report).encode()}
    compared = COMPARED if champion else COMPARED.model_copy(update={"champion": None})
    gate = {
        "outcome": "accepted",
        "reasons": ["ROC-AUC is higher by 0.0130"],
        "champion": champion,
        "early_warning": compared.model_dump(mode="json"),
    }
    update = {
        "files": versions.file_entries(files),
        "gate": gate,
        "target": TARGET,
        "target_reason": "12 closed months, the last as of 2026-06-01",
    }
    return manifest.model_copy(update=update), files
