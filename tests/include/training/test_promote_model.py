"""Promoting on a real MLflow server."""

from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument
from sqlalchemy import Engine

from include.champion import versions
from include.champion.history import HistoryReader, Move
from include.champion.onnx_scorer import Scorer
from include.champion.registry import CHAMPION, PRODUCTION, Registry
from include.customers import loading
from include.params import Params
from include.store import Store
from include.training.run import TrainingRun
from tests.include.conftest import (
    Judged,
    MakeRun,
    changed,
    evaluate,
    lineage_of,
    promote,
    promote_judged,
    sql,
)
from tests.include.training.production import assert_whole

pytestmark = pytest.mark.slow  # a training run or two for each test


def moves(store: Store) -> tuple[Move, ...]:
    """The moves of the pointer that are recorded."""
    return HistoryReader(store).latest(100, pointer=None).moves


def production_versions(registry: Registry) -> int:
    return len(registry._client.search_model_versions(f"name = '{PRODUCTION}'"))


@pytest.mark.usefixtures("weak_champion")
def test_a_better_challenger_takes_over_and_names_its_predecessor(
    make_run: MakeRun, registry: Registry
) -> None:
    run = make_run("strong")
    assert promote(run).version == "2"
    assert_whole(run.store, registry, "2")
    found = versions.read_pointer(run.store)
    assert found is not None and found[0].previous == "1"
    latest = moves(run.store)[-1]
    assert (latest.before, latest.to) == ("1", "2")
    assert (latest.who, latest.why) == (f"training run {run.dag_run_id}", found[0].reason)


@pytest.mark.usefixtures("champion")
def test_the_same_model_again_is_rejected_and_changes_nothing(
    make_run: MakeRun, registry: Registry
) -> None:
    run = make_run("again")
    promoted = promote(run)
    assert (promoted.outcome, promoted.moved) == ("rejected", False)
    assert_whole(run.store, registry, "1")
    assert production_versions(registry) == 1


def test_a_run_that_was_cleared_after_its_table_changed_registers_what_it_serves(
    make_run: MakeRun, registry: Registry, tmp_path: Path, engine: Engine
) -> None:
    import mlflow

    run = make_run("first")
    lineage_of(run)
    sql(engine, "DELETE FROM churners WHERE CLIENTNUM % 10 = 0")
    promote(run)
    folder = mlflow.artifacts.download_artifacts(
        f"models:/{PRODUCTION}@{CHAMPION}", dst_path=str(tmp_path)
    )
    stored = run.store.read("champion/versions/1/model.onnx").data
    assert (Path(folder) / "model.onnx").read_bytes() == stored


def test_a_run_that_is_cleared_after_its_data_was_corrected_promotes_what_then_wins(
    make_run: MakeRun, registry: Registry, engine: Engine, people: pd.DataFrame
) -> None:
    run = make_run("first")
    noise = "Total_Trans_Ct = 60 + CLIENTNUM % 2, Total_Trans_Amt = 4000 + CLIENTNUM % 2"
    sql(engine, f"UPDATE churners SET {noise}")
    assert promote(run).version == "1"
    loading.load_customers(engine, people, now=datetime.now(UTC))
    lineage = lineage_of(run)
    evaluated = evaluate(run, lineage)
    assert evaluated.outcome == "accepted"
    for _ in range(2):  # the second time as if it had been killed behind the pointer
        promoted = promote_judged(run, lineage, evaluated)
        assert (promoted.outcome, promoted.version, promoted.moved) == ("accepted", "2", True)
        assert_whole(run.store, registry, "2")
    found = versions.read_pointer(run.store)
    assert found is not None and found[0].previous == "1"


@pytest.mark.usefixtures("weak_champion")
def test_a_decision_on_an_earlier_candidate_of_the_run_is_not_acted_on(
    make_run: MakeRun, engine: Engine
) -> None:
    run = make_run("strong")
    evaluated = evaluate(run, lineage_of(run))
    sql(engine, "DELETE FROM churners WHERE CLIENTNUM % 10 = 0")
    cleared = lineage_of(run)  # and what follows `train_model` was not cleared with it
    candidate = cleared.trained.candidate
    assert run.read_json(evaluated.gate)["challenger"] != candidate
    promote_judged(run, cleared, evaluated)
    assert run.read_json(evaluated.gate)["challenger"] == candidate
    manifest = versions.read_production_manifest(run.store)
    assert manifest is not None and manifest.candidate_version == candidate


def test_a_run_that_was_cleared_after_its_parameters_changed_is_another_mlflow_run(
    make_run: MakeRun, params: Params
) -> None:
    first = lineage_of(make_run("first"))
    again = lineage_of(make_run("first", params=changed(params, {"max_depth": 2})))
    assert again.ingested.mlflow_run_id != first.ingested.mlflow_run_id


@pytest.fixture
def logged_model(champion: Judged) -> Any:
    """The model in production, as people load it from MLflow."""
    import mlflow

    return mlflow.pyfunc.load_model(f"models:/{PRODUCTION}@{CHAMPION}")


def frame_of(run: TrainingRun, people: pd.DataFrame) -> pd.DataFrame:
    columns = run.contract.feature_names
    return pd.DataFrame(run.contract.matrix(people, columns), columns=list(columns))


def test_the_logged_model_answers_frames_as_the_graph_does(
    champion: Judged, logged_model: Any, people: pd.DataFrame
) -> None:
    frame = frame_of(champion.run, people.head(50)).assign(Credit_Limit=5000.0)
    whole = {name: "int64" for name in frame if (frame[name] % 1 == 0).all()}
    assert {"Customer_Age", "Credit_Limit", "Gender"} <= {*whole} < {*frame}
    served = Scorer(champion.run.store.read("champion/versions/1/model.onnx").data)
    expected = pytest.approx(served.score(frame.to_numpy()).tolist(), abs=1e-7)
    for same in (frame, frame.astype(whole), frame.astype(dict.fromkeys(whole, "int32"))):
        assert logged_model.predict(same[frame.columns[::-1]])["probability"].tolist() == expected


def test_the_logged_model_names_the_packages_that_it_was_made_with(champion: Judged) -> None:
    from mlflow.pyfunc import get_model_dependencies

    needed = Path(get_model_dependencies(f"models:/{PRODUCTION}@{CHAMPION}")).read_text()
    assert f"onnxruntime=={metadata.version('onnxruntime')}\n" in needed


def test_the_logged_model_refuses_what_is_no_number_in_any_column(
    champion: Judged, logged_model: Any, people: pd.DataFrame
) -> None:
    from mlflow.exceptions import MlflowException

    frame = frame_of(champion.run, people.head(3))
    for name in frame:
        for value in (float("nan"), float("inf"), None, "F"):
            bad = frame.astype(object if isinstance(value, str) else "float64")
            bad.loc[1, name] = value
            with pytest.raises((InvalidArgument, Fail, RuntimeError, TypeError)):
                logged_model.predict(bad)
        with pytest.raises(MlflowException, match=f"missing inputs .'{name}'"):
            logged_model.predict(frame.drop(columns=name))
