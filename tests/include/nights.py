"""A champion without a registry, and nights over a customer table."""

import io
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sqlalchemy import Engine, text

from include.champion import versions
from include.champion.onnx_scorer import Scorer
from include.champion.versions import Manifest
from include.contract import Contract
from include.features import engineered_for
from include.params import Params, load_params
from include.scoring.list_columns import Revenue
from include.scoring.plan_ranges import Portion, plan_ranges
from include.scoring.run import ScoringRun, day_prefix
from include.scoring.score_range import Scored, score_range
from include.scoring.summarise_scores import summarise_scores
from include.scoring.summary import ScoreSummary
from include.settings import Settings
from include.store import Store
from include.training import fit, onnx_export
from tests.include.bank_days import manifest_of, promote
from tests.include.handing_on import handed_on

DAY = date(2026, 11, 22)
REVENUE = Revenue(per_spend=0.015, per_balance=0.18)
RULES = load_params(Settings().params_file).scoring
MADE_UP_ROWS = 16
PEOPLE = 1000
RANGES = {"range_rows": 300, "chunk_rows": 110}  # four ranges of several chunks

Version = tuple[Manifest, dict[str, bytes]]


def fitted_on(frame: pd.DataFrame, contract: Contract, params: Params) -> fit.Fitted:
    """A model of the customers."""
    return fit.fit(
        fit.prepare(fit.with_split(frame, contract, params.split), contract, params), params.model
    )


def version_of(fitted: fit.Fitted, contract: Contract, params: Params, *, version: str) -> Version:
    """What a training run would make of a fitted model, as far as scoring reads it."""
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
    manifest = manifest_of(
        version,
        fitted.columns,
        files,
        engineered=tuple(feature.name for feature in engineered_for(fitted.columns)),
        model_family=params.model.family,
        calibration=fitted.calibration,
        scaler_mean=tuple(fitted.scaler.mean_.tolist()),
        scaler_scale=tuple(fitted.scaler.scale_.tolist()),
        contract=contract,
    )
    return manifest, files


def put_champion(
    store: Store, fitted: fit.Fitted, contract: Contract, params: Params, *, version: str
) -> None:
    """Write a version made of a fitted model and put it into production."""
    promote(store, *version_of(fitted, contract, params, version=version))


def night_of(store: Store, engine: Engine, **rules: Any) -> ScoringRun:
    """A night whose rules differ from the project's where named."""
    return ScoringRun(
        dag_run_id="scheduled__2026-11-22",
        store=store,
        engine=engine,
        rules=RULES.model_copy(update=rules),
        rejected_share_max=0.05,
        revenue=REVENUE,
        day=DAY,
        now=datetime.now(UTC),
    )


def begun(night: ScoringRun, day: date = DAY) -> ScoringRun:
    """The same night begun now, or as long before or after as its day is."""
    return replace(night, day=day, now=datetime.now(UTC) + (day - DAY))


def plan(night: ScoringRun) -> list[Portion]:
    """The first task."""
    return handed_on_each(plan_ranges(begun(night)))


def scored(night: ScoringRun, planned: list[Portion]) -> list[Scored]:
    """The mapped task, range after range."""
    return handed_on_each([score_range(night, portion) for portion in planned])


def whole_night(night: ScoringRun, *, day: date = DAY) -> ScoreSummary:
    """All three tasks."""
    tonight = begun(night, day)
    planned = plan_ranges(tonight)
    return summarise_scores(tonight, planned, scored(tonight, planned))


def handed_on_each(answers: list[Any]) -> list[Any]:
    """Answers after their way through JSON."""
    return [handed_on(answer) for answer in answers]


def sql(engine: Engine, statement: str) -> None:
    """Change the database."""
    with engine.begin() as connection:
        connection.execute(text(statement))


def table_of(night: ScoringRun) -> pd.DataFrame:
    """`churn_scores`, by customer."""
    query = "SELECT * FROM churn_scores ORDER BY customer"
    with night.engine.connect() as connection:
        return pd.read_sql(text(query), connection)


def parts_of(night: ScoringRun) -> pd.DataFrame:
    """The rows of all the day's parts, by customer."""
    listed = [info.key for info in night.store.list(day_prefix(night.day))]
    keys = [key for key in listed if key.endswith(".parquet")]
    found = [pq.read_table(io.BytesIO(night.store.read(key).data)) for key in keys]
    return pd.concat([part.to_pandas() for part in found]).sort_values("customer")
