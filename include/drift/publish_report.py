"""The drift report: Evidently's plots of a bounded sample, under the verdicts of drift.json.

Evidently would test its sample by its own rules and could contradict drift.json. Its one test here
answers what drift.json says.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.contract import Column
from include.drift import findings
from include.drift.collect_predictions import PRIORITY
from include.drift.detect_drift import Detected
from include.drift.findings import GroupDrift, Mix
from include.drift.reference import Reference, read_reference
from include.drift.run import DriftRun
from include.params import DriftRules

if TYPE_CHECKING:
    from evidently.legacy.calculations.stattests import StatTest

logger = logging.getLogger(__name__)

TEST_NAME = "drift_json"
SEED = 20  # the same day gives the same report


def publish_report(run: DriftRun, detected: Detected) -> str | None:
    """Draw the report of the day's most telling version; None where nothing was tested."""
    version = detected.report_version
    if version is None:
        logger.info("nothing was tested, so there is nothing to report")
        return None
    day = findings.read_day(run.store, run.day)
    group = next(g for g in day.groups if g.version == version)
    reference = read_reference(run.store, version)
    page, figures = draw(
        reference=sample_reference(reference, group.reference or "all", run.rules),
        current=run.read_frame(detected.report_sample or "").drop(columns=PRIORITY),
        columns=reference.columns,
        group=group,
    )
    run.store.write(findings.day_key(run.day, findings.REPORT_FILE), figures)
    run.store.write(findings.day_key(run.day, findings.REPORT_PAGE), page)
    return day.report_uri


def sample_reference(reference: Reference, mix: Mix, rules: DriftRules) -> pd.DataFrame:
    """As many rows of each feature's reference as the report shows; columns drawn by themselves."""
    random = np.random.default_rng(SEED)
    drawn = {}
    for name, values in reference.values.items():
        chosen = values if mix == "all" else values[reference.existing[name]]
        drawn[name] = random.choice(chosen, rules.report_rows)
    return pd.DataFrame(drawn)


def draw(
    *,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: Sequence[Column],
    group: GroupDrift,
) -> tuple[bytes, bytes]:
    """One version's traffic as a page that needs nothing else, and as JSON.

    Categories come as the contract's ordinals.
    """
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    categorical = [column.name for column in columns if column.categories]
    definition = DataDefinition(
        numerical_columns=[name for name in current.columns if name not in categorical],
        categorical_columns=categorical,
    )
    sides = [
        Dataset.from_pandas(_named(frame, columns), data_definition=definition)
        for frame in (current, reference)
    ]
    preset = DataDriftPreset(
        columns=[verdict.feature for verdict in group.verdicts],
        method=_register(group),
        per_column_threshold={v.feature: v.effect_floor for v in group.verdicts},
        drift_share=_drift_share(group),
    )
    facts = group.model_dump(include={"version", "status", "reference", "reference_rows"})
    facts["customers"] = group.rows
    made = Report([preset], metadata=facts, include_tests=True).run(*sides)
    return made.get_html_str(as_iframe=False).encode(), made.json().encode()


def _register(group: GroupDrift) -> "StatTest":
    """Teach Evidently a test that answers with these verdicts."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    found = {verdict.feature: verdict for verdict in group.verdicts}
    left_out = f", {group.repeated_rows:,} repeated rows left out" if group.repeated_rows else ""

    def answer(reference: Any, current: Any, kind: Any, threshold: float) -> tuple[float, bool]:
        verdict = found[str(current.name)]
        return verdict.effect, verdict.drifted

    test = StatTest(
        name=TEST_NAME,
        display_name=f"difference, as a share of {group.rows:,} customers{left_out} (drift.json)",
        allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
    )
    register_stattest(test, default_impl=answer)
    return test


def _drift_share(group: GroupDrift) -> float:
    """The share from which Evidently calls the whole drifted, set so that it says what we say."""
    if group.status == "drifted":
        return len(group.drifted_features) / len(group.verdicts)
    return 1.0 if len(group.drifted_features) < len(group.verdicts) else 1.1


def _named(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """Ordinals as the categories that people know."""
    named = frame.copy()
    for column in columns:
        if column.categories:
            ordinals = frame[column.name].to_numpy(dtype=np.int64)
            named[column.name] = np.array(column.categories)[ordinals]
    return named
