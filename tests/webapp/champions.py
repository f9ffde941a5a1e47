"""Champions for the API's tests and benchmark: whole, small, and promoted on request."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.champion import versions
from include.champion.onnx_scorer import Scorer
from include.champion.versions import Manifest, SelfCheck
from include.contract import load_contract
from include.customers.sample import sample_customers
from include.params import Params, load_params
from include.settings import Settings
from include.store import Store
from include.training import fit, onnx_export
from tests.include.bank_days import manifest_of, promote

MADE_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SELF_CHECK_ROWS = 8

Version = tuple[Manifest, dict[str, bytes]]


@cache
def make_version(
    version: str,
    *,
    trees: int = 40,
    family: str = "xgboost",
    columns: tuple[str, ...] | None = None,
    seed: int = 1,
    rows: int = 1500,
) -> Version:
    """A whole version; another seed gives a model with other answers."""
    params = _params(trees, family, columns, seed)
    contract = load_contract()
    frame = sample_customers(rows, seed=seed)
    prepared = fit.prepare(fit.with_split(frame, contract, params.split), contract, params)
    fitted = fit.fit(prepared, params.model)
    matrix = contract.matrix(frame, fitted.columns)
    model = onnx_export.export(fitted, matrix[:100])
    files = {
        versions.MODEL_FILE: model,
        versions.TREES_FILE: fit.native_trees(fitted.trees),
        versions.SELF_CHECK_FILE: _self_check(fitted.columns, matrix, model).to_bytes(),
        versions.CARD_FILE: b"# A champion of the tests\n",
    }
    return _manifest(version, params, fitted, files), files


def publish(store: Store, version: Version) -> None:
    """Write a version and put it into production."""
    promote(store, *version, at=datetime.now(UTC))


def records(rows: int, *, seed: int = 7, columns: tuple[str, ...] | None = None) -> list[Any]:
    """Customers as a client would send them."""
    return [dict(record) for record in _records(rows, seed, columns or _feature_names())]


def model_input(manifest: Manifest, rows: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Records as a version's graph takes them."""
    columns = [manifest.contract.column(name) for name in manifest.columns]
    matrix = [[column.number(row[column.name]) for column in columns] for row in rows]
    return np.array(matrix, dtype=np.float64)


def expected(version: Version, rows: list[dict[str, Any]]) -> list[float]:
    """What a version's graph says of records."""
    manifest, files = version
    scorer = Scorer(files[versions.MODEL_FILE])
    return scorer.score(model_input(manifest, rows)).tolist()


@cache
def _records(rows: int, seed: int, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sample_customers(rows, seed=seed)[list(columns)].to_dict(
        "records"
    )
    return found


@cache
def _feature_names() -> tuple[str, ...]:
    return tuple(load_contract().feature_names)


def _params(trees: int, family: str, columns: tuple[str, ...] | None, seed: int) -> Params:
    document = load_params(Settings().params_file).model_dump()
    document["model"] |= {"family": family, "seed": seed, "columns": columns or "all"}
    document["model"][family]["n_estimators"] = trees
    return Params.model_validate(document)


def _self_check(columns: tuple[str, ...], matrix: Any, model: bytes) -> SelfCheck:
    rows = np.round(matrix[:SELF_CHECK_ROWS], 6)
    answers = Scorer(model).score(rows)
    return SelfCheck(
        columns=columns,
        rows=tuple(tuple(row) for row in rows.tolist()),
        probabilities=tuple(answers.tolist()),
    )


def _manifest(
    version: str, params: Params, fitted: fit.Fitted, files: dict[str, bytes]
) -> Manifest:
    return manifest_of(
        version,
        fitted.columns,
        files,
        created_at=MADE_AT,
        model_family=params.model.family,
        engineered=fitted.feature_names[len(fitted.columns) :],
        threshold=params.model.threshold,
        calibration=fitted.calibration,
        scaler_mean=tuple(fitted.scaler.mean_.tolist()),
        scaler_scale=tuple(fitted.scaler.scale_.tolist()),
        metrics={"roc_auc": 0.97},
    )
