"""A champion without a registry, and nights over a customer table."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from include.champion import versions
from include.champion.onnx_scorer import Scorer
from include.contract import Contract
from include.features import engineered_for
from include.params import Params
from include.scoring import score_range, summarise_scores
from include.scoring.score_range import Night, Portion, Scored
from include.store import Store
from include.training import fit, onnx_export
from tests.webapp.champions import make_version, publish

DAY = date(2026, 11, 22)
MADE_UP_ROWS = 16


def fitted_on(frame: pd.DataFrame, contract: Contract, params: Params) -> fit.Fitted:
    """A model of the customers."""
    return fit.fit(
        fit.prepare(fit.with_split(frame, contract, params.split), contract, params), params.model
    )


def put_champion(
    store: Store, fitted: fit.Fitted, contract: Contract, params: Params, *, version: str
) -> versions.Manifest:
    """Write a version made of a fitted model and put it into production."""
    rows = np.random.default_rng(1).normal(fitted.scaler.mean_[: len(fitted.columns)], 0.1)
    made_up = np.repeat(rows[None, :], MADE_UP_ROWS, axis=0)
    model = onnx_export.export(fitted, made_up)
    check = versions.SelfCheck(
        columns=fitted.columns,
        rows=tuple(map(tuple, made_up.tolist())),
        probabilities=tuple(Scorer(model).score(made_up).tolist()),
    )
    files = {
        versions.MODEL_FILE: model,
        versions.TREES_FILE: fit.native_trees(fitted.trees),
        versions.SELF_CHECK_FILE: check.to_bytes(),
    }
    manifest = make_version("1")[0].model_copy(
        update={
            "version": version,
            "columns": fitted.columns,
            "engineered": tuple(feature.name for feature in engineered_for(fitted.columns)),
            "model_family": params.model.family,
            "calibration": fitted.calibration,
            "scaler_mean": tuple(fitted.scaler.mean_.tolist()),
            "scaler_scale": tuple(fitted.scaler.scale_.tolist()),
            "contract": contract,
            "files": versions.file_entries(files),
        }
    )
    publish(store, (manifest, files))
    return manifest


def night_of(store: Store, engine: Engine, params: Params, **rules: Any) -> Night:
    """A night whose rules differ from the project's where named."""
    changed = params.scoring.model_copy(update=rules)
    return Night("scheduled__2026-11-22", store, engine, changed, rejected_share_max=0.05)


def plan(night: Night, *, day: date = DAY) -> list[Portion]:
    """The first stage."""
    since = timedelta(days=(day - DAY).days)
    return score_range.plan_ranges(night, day=day, now=datetime.now(UTC) + since)


def whole_night(night: Night, *, day: date = DAY) -> summarise_scores.ScoreSummary:
    """All three stages."""
    portions = plan(night, day=day)
    return summarise_scores.summarise_scores(night, portions, scored(night, portions))


def scored(night: Night, portions: list[Portion]) -> list[Scored]:
    """The mapped stage, range after range."""
    return [score_range.score_range(night, replace(portion)) for portion in portions]
