"""The tuning DAG: a real search of it by Airflow on MariaDB and S3."""

from pathlib import Path

import pytest
import yaml

from include.customers.sample import sample_customers
from include.settings import Settings
from include.store import S3Store
from include.training.tuned_set import BEST_KEY, TunedSet
from tests.dags.conftest import AnswersOf, load, run_of

pytestmark = pytest.mark.slow


@pytest.fixture
def small_trees(tmp_path: Path) -> str:
    """A params.yaml whose search takes seconds."""
    params = yaml.safe_load(Settings().params_file.read_text())
    params["model"]["xgboost"]["n_estimators"] = 5
    space = {"xgboost": {"n_estimators": {"low": 2, "high": 9}, "max_depth": {"low": 1, "high": 3}}}
    params["tuning"] |= {"folds": 3, "repeats": 1, "resampling": ["none"], "families": space}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    return str(path)


def test_airflow_searches_with_several_workers_and_keeps_the_best(
    answers_of: AnswersOf,
    world: dict[str, str],
    mlflow_server: str,
    small_trees: str,
    s3_store: S3Store,
    mariadb_url: str,
    tmp_path: Path,
) -> None:
    load(mariadb_url, sample_customers(1000, seed=4))
    found = answers_of(
        run_of("churn_tuning", trials=5, workers=2),
        **world,
        MLFLOW_TRACKING_URI=mlflow_server,
        CHURN_PARAMS_FILE=small_trees,
        CHURN_TUNING_STORAGE=f"sqlite:///{tmp_path / 'studies.db'}",
    )
    workers = [["tune_hyperparameters", place, "success"] for place in (0, 1)]
    ends = [[task, -1, "success"] for task in ("prepare_study", "publish_best")]
    assert found["tasks"] == sorted([*ends, *workers])
    best = TunedSet.model_validate_json(s3_store.read(BEST_KEY).data)
    assert best.trials == 5 and best.family == "xgboost"
