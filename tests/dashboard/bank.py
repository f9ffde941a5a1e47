"""A small bank for the dashboard: customers, a champion that really scored them, and drift days."""

import json
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from include.champion import versions
from include.champion.onnx_scorer import Scorer
from include.contract import load_contract
from include.customers import contacts
from include.customers.sample import sample_customers
from include.drift import findings
from include.drift.findings import DriftDay, GroupDrift, Guard, Retraining, Verdict, day_key
from include.handover import frame_bytes
from include.params import HistoryRules, load_params
from include.scoring import bulk, comparisons
from include.scoring import table as score_table
from include.scoring.earlier import EarlierNight, EarlierScores, with_rises
from include.scoring.flags import settle_flags, with_flags
from include.scoring.list_columns import Revenue, with_list_columns
from include.settings import Settings
from include.store import LocalStore, open_store
from include.target import STATE, Target
from include.training import evaluation
from include.training.fairness import compare_groups
from tests.include.banks import bank_of
from tests.webapp.champions import Version, make_version, publish

ROWS = 4000
REVENUE = Revenue(per_spend=0.015, per_balance=0.18)
# The week before, another version was in production.
EARLIER = (
    EarlierNight("night", date(2026, 11, 25), "1"),
    EarlierNight("week", date(2026, 11, 19), "0"),
)
WARNING = Target(kind="horizon", gap_days=14, horizon_days=90)
REASONS = str(
    [{"feature": name, "contribution": 1.2345} for name in load_contract().feature_names[:3]]
).replace("'", '"')


@cache
def people(rows: int = ROWS) -> pd.DataFrame:
    """Sample customers; every tenth has no label yet."""
    frame = sample_customers(rows, seed=3)
    target = load_contract().target.name
    frame.loc[::10, target] = None
    return frame


@cache
def whole_version(version: str = "1") -> Version:
    """A champion with everything that the dashboard reads: evaluation and reference too."""
    manifest, files = make_version(version)
    frame = sample_customers(3000, seed=11)
    contract = manifest.contract
    answers = Scorer(files[versions.MODEL_FILE]).score(contract.matrix(frame, manifest.columns))
    labels = contract.labels(frame)
    metrics = evaluation.scores(labels, answers, threshold=manifest.threshold)
    rules = load_params(Settings().params_file).gate
    slices = evaluation.slice_scores(
        labels,
        answers,
        evaluation.slices(frame, rules.fairness.columns),
        threshold=manifest.threshold,
        selected=(answers >= manifest.threshold).astype(float),
    )
    fairness = compare_groups(slices, rules, rules.fairness.columns)
    shares = np.linspace(len(manifest.columns), 1, len(manifest.columns))
    report = {
        "threshold": manifest.threshold,
        "holdout_rows": len(frame),
        "metrics": metrics,
        "curves": evaluation.curves(labels, answers, threshold=manifest.threshold),
        "slices": slices,
        "fairness": [each.model_dump(mode="json") for each in fairness],
        "importance": dict(zip(manifest.columns, (shares / shares.sum()).tolist(), strict=True)),
    }
    reference = frame[[*contract.feature_names, contract.target.name]]
    files = {
        **files,
        versions.EVALUATION_FILE: json.dumps(report).encode(),
        versions.REFERENCE_FILE: frame_bytes(reference.assign(split="train", probability=answers)),
    }
    reasons, told = ["no version was in production before"], rules.model_dump(mode="json")
    gate = {"outcome": "accepted", "reasons": reasons, "gain": None, "rules": told}
    update = {"files": versions.file_entries(files), "gate": gate, "metrics": metrics}
    return manifest.model_copy(update=update), files


def open_bank(
    settings: Settings, *, rows: int = ROWS, scored: bool = True, target: Target = STATE
) -> None:
    """Fill the database and the store that the settings name."""
    manifest, files = whole_version()
    whole = manifest.model_copy(update={"target": target})
    publish(open_store(settings.resolved_store_uri), (whole, files))
    engine = bank_of(settings.resolved_database_url, people(rows))
    if scored:
        score_everybody(engine, people(rows), target=target)
    engine.dispose()


def score_everybody(engine: sa.Engine, frame: pd.DataFrame, *, target: Target = STATE) -> None:
    """What the nightly run leaves in the database."""
    manifest, files = whole_version()
    matrix = manifest.contract.matrix(frame, manifest.columns)
    answers = Scorer(files[versions.MODEL_FILE]).score(matrix)
    now = datetime.now(UTC)
    contacts.create_contacts(engine)
    score_table.stage(engine, now)
    rows = list_rows(frame, answers, now=now, target=target)
    score_table.write_scores(engine, score_table.table_of(engine, now), rows)
    settle_flags(engine, now, target=target, rules=HistoryRules())
    comparisons.write(engine, now, EARLIER)
    score_table.publish(engine, now)


def list_rows(
    frame: pd.DataFrame, answers: Any, *, now: datetime, target: Target = STATE
) -> pa.Table:
    """Rows of `churn_scores`, by version 1, each for the same reasons.

    The night before, every third had no score, and the others' risk was another one. Those have
    been on the list of early warning for 0 to 24 days, if they are on it.
    """
    keys = frame[load_contract().key.name].to_numpy()
    others = np.arange(len(keys)) % 3 > 0
    before = np.random.default_rng(5).uniform(0, 1, int(others.sum()))
    order = np.argsort(keys[others])
    night = EarlierScores(keys[others][order], before[order])
    scores = bulk.score_rows(
        answers,
        pa.repeat(REASONS, len(frame)),
        keys=keys,
        bands=load_params(Settings().params_file).scoring.bands,
        model_version="1",
        scored_at=now,
    )
    listed = with_list_columns(scores, frame, REVENUE)
    today = (now.date() - date(1970, 1, 1)).days
    since = EarlierScores(night.customers, today - np.floor(25 * night.values))
    flagged = with_flags(listed, frame, since, target=target, rules=HistoryRules())
    return with_rises(flagged, {"night": night})


def write_drift_days(store: LocalStore, *, days: int = 10) -> date:
    """Quiet days and a last one that drifted, with its report; the last day."""
    last = date(2026, 11, 20)
    for back in range(days):
        day = last - timedelta(days=back)
        store.write(day_key(day, findings.DRIFT_FILE), _day(day, back == 0).to_bytes())
    page = b"<!doctype html><title>Report</title><p id=report>Evidently's page</p>"
    store.write(day_key(last, findings.REPORT_PAGE), page)
    return last


def _day(day: date, drifted: bool) -> DriftDay:
    names = load_contract().feature_names
    verdicts = tuple(
        _verdict(name, (place + day.day) % 9, drifted=drifted and place < 2)
        for place, name in enumerate(names)
    )
    changed = tuple(each.feature for each in verdicts if each.drifted)
    status: Any = "drifted" if drifted else "quiet"
    group = GroupDrift(
        version="1",
        status=status,
        rows=2400,
        repeated_rows=0,
        rows_at_fault=0,
        faults={},
        reference="all",
        reference_rows=3000,
        score_reference_rows=600,
        verdicts=verdicts,
        drifted_features=changed,
    )
    rules = load_params(Settings().params_file).drift
    guard = Guard(name="few_new_labels", passed=False, explanation="12 customers were labelled")
    return DriftDay(
        date=day,
        status=status,
        explanation=findings.explain(status, (group,), rules),
        drifted=drifted,
        drifted_features=changed,
        num_drifted_features=len(changed),
        threshold=rules.rule.threshold,
        rows=2400,
        rows_of_other_sources=0,
        rows_without_version=0,
        unreadable_objects=(),
        groups=(group,),
        retraining=Retraining(
            triggered=False,
            reason=guard.name if drifted else "no_drift",
            explanation=f"drift, and no training: {guard.explanation}" if drifted else "no drift",
            guards=(guard,) if drifted else (),
            run_id=None,
            decided_at=None,
            conf=None,
        ),
        started_runs=(),
        report_uri=None,
        rules=rules.model_dump(mode="json"),
    )


def _verdict(feature: str, noise: int, *, drifted: bool) -> Verdict:
    return Verdict(
        feature=feature,
        kind="numeric",
        test="ks",
        statistic=0.31 if drifted else 0.01,
        p_value=0.0001 if drifted else 0.6,
        q_value=0.0001 if drifted else 0.6,
        effect=0.31 if drifted else 0.01 + 0.002 * noise,
        effect_floor=0.1,
        psi=0.0,
        significant=drifted,
        drifted=drifted,
    )
