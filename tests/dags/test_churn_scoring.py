"""The scoring DAG: real nights of it by Airflow on MariaDB and S3."""

from datetime import date

import pytest
from sqlalchemy import create_engine, text

from include.contract import load_contract
from include.customers.sample import sample_customers
from include.params import load_params
from include.scoring.summary import read_summary
from include.settings import Settings
from include.store import S3Store
from tests.dags.conftest import AnswersOf, load, run_of
from tests.include.conftest import changed
from tests.include.nights import fitted_on, put_champion

pytestmark = pytest.mark.slow

DAG = "churn_scoring"


@pytest.fixture
def small_ranges(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A params.yaml that cuts 1,500 customers into three ranges."""
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    given = Settings().params_file.read_text()
    path.write_text(given.replace("range_rows: 250000", "range_rows: 500"))
    return str(path)


def promote(store: S3Store) -> None:
    contract = load_contract()
    params = changed(load_params(Settings().params_file), {"n_estimators": 10, "max_depth": 3})
    fitted = fitted_on(sample_customers(1500, seed=5), contract, params)
    put_champion(store, fitted, contract, params, version="1")


def test_airflow_scores_everybody_in_mapped_ranges(
    answers_of: AnswersOf,
    world: dict[str, str],
    small_ranges: str,
    s3_store: S3Store,
    mariadb_url: str,
) -> None:
    load(mariadb_url, sample_customers(1500, seed=4))
    promote(s3_store)
    found = answers_of(run_of(DAG, date="2026-11-05"), **world, CHURN_PARAMS_FILE=small_ranges)
    expected = [["plan_ranges", -1], *[["score_range", i] for i in range(3)]]
    assert found["tasks"] == [[*t, "success"] for t in [*expected, ["summarise_scores", -1]]]
    summary = read_summary(s3_store, date(2026, 11, 5))
    assert summary is not None and (summary.scored, len(summary.parts)) == (1500, 3)
    with create_engine(mariadb_url).connect() as connection:
        distinct = "SELECT COUNT(DISTINCT customer) FROM churn_scores"
        assert connection.execute(text(distinct)).scalar() == 1500


def test_without_a_champion_the_run_is_green_and_says_so(
    answers_of: AnswersOf, world: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    found = answers_of(run_of(DAG), **world)
    assert found["state"] == "success" and {t[2] for t in found["tasks"]} == {"skipped"}
    assert "there is no champion yet" in "".join(capfd.readouterr())
