"""MLflow's bin, on a real server with its database."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.champion.registry import CANDIDATES, Registry
from include.errors import CommandFailed, ConfigurationError
from include.store import LocalStore
from include.upkeep import mlflow_bin
from include.upkeep.clean_mlflow import clean_mlflow
from include.upkeep.retention import Retention
from include.upkeep.run import UpkeepRun
from tests.include.upkeep.conftest import MakeRun
from tests.webapp.champions import make_version, publish

pytestmark = pytest.mark.slow

AT_ONCE = Retention(runs_days=0, predictions_days=400, scores_days=400, logs_days=30)
Trained = Callable[..., str]


@pytest.fixture
def own_registry(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The shared server's registry, with an experiment that no other test uses."""
    name = f"upkeep-{uuid.uuid4().hex}"
    monkeypatch.setattr(mlflow_bin, "EXPERIMENT", name)
    return Registry(registry.tracking_uri, experiment=name)


@pytest.fixture
def trained(own_registry: Registry) -> Trained:
    """Makes a run with an artifact, a logged model and a candidate of some age; its id."""

    def train(status: str, *, days: float = 500, production: bool = False) -> str:
        client, experiment = own_registry._client, own_registry._experiment()
        began = datetime.now(UTC) - timedelta(days=days)
        run = client.create_run(experiment, start_time=int(began.timestamp() * 1000)).info.run_id
        client.log_text(run, "decision", "gate.txt")
        if not status:
            return str(run)
        model = client.create_logged_model(experiment, source_run_id=run)
        own_registry._ensure_model(CANDIDATES)
        version = client.create_model_version(
            CANDIDATES, f"models:/{model.model_id}", run_id=run, model_id=model.model_id
        ).version
        own_registry.judge(str(version), status)
        if production:
            own_registry.copy_to_production(str(version))
        return str(run)

    return train


@pytest.fixture
def run(
    make_run: MakeRun, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory
) -> UpkeepRun:
    """A run that destroys at once what it bins."""
    # Not by pytest's own link to the latest.
    [database] = tmp_path_factory.getbasetemp().glob("mlflow[0-9]*/mlflow.db")
    return make_run(
        tracking_uri=mlflow_server,
        mlflow_database_url=f"sqlite:///{database}",
        retention=AT_ONCE,
        now=datetime.now(UTC),
    )


def is_there(registry: Registry, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        registry._client.get_run(run_id)
    except MlflowException:
        return False
    return True


def files_of(run: UpkeepRun, run_id: str) -> list[Path]:
    home = Path(run.places.mlflow_database_url.removeprefix("sqlite:///")).parent
    return list((home / "artifacts").glob(f"*/{run_id}/artifacts/*"))


def test_rejected_candidates_go_and_no_other(
    run: UpkeepRun, own_registry: Registry, trained: Trained
) -> None:
    gone = [trained("rejected"), trained("")]
    kept = [
        trained("approved"),  # it may yet be promoted by hand
        trained("rejected", days=399),
        trained("rejected", production=True),  # judged anew after it was promoted
    ]
    assert all(files_of(run, each) for each in [*gone, *kept])
    assert clean_mlflow(run).objects == 3  # two runs and a model
    assert [is_there(own_registry, each) for each in [*gone, *kept]] == [False] * 2 + [True] * 3
    assert [bool(files_of(run, each)) for each in [*gone, *kept]] == [False] * 2 + [True] * 3
    found = own_registry._client.search_model_versions(f"name = '{CANDIDATES}'")
    assert {version.run_id for version in found} >= set(kept)
    assert not {version.run_id for version in found} & set(gone)
    assert clean_mlflow(run).objects == 0


def test_who_is_killed_between_finds_the_run_again(
    run: UpkeepRun, own_registry: Registry, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = trained("rejected")
    client = type(own_registry._client)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(client, "delete_run", killed)
        clean_mlflow(run)
    assert is_there(own_registry, gone)
    assert clean_mlflow(run).objects == 2 and not is_there(own_registry, gone)


def test_what_a_person_binned_of_a_champion_stops_all(
    run: UpkeepRun, own_registry: Registry, trained: Trained
) -> None:
    champion, rejected = trained("approved", production=True), trained("rejected")
    own_registry._client.delete_run(champion)
    with pytest.raises(ConfigurationError, match=f"found {champion} in it: restore them"):
        clean_mlflow(run)
    assert is_there(own_registry, champion) and is_there(own_registry, rejected)  # in the bin
    own_registry._client.restore_run(champion)
    assert clean_mlflow(run).objects == 2 and is_there(own_registry, champion)


def test_a_dry_run_and_a_server_elsewhere_destroy_nothing(
    make_run: MakeRun, run: UpkeepRun, own_registry: Registry, trained: Trained
) -> None:
    rejected = trained("rejected")
    places = {"tracking_uri": run.places.tracking_uri, "now": run.now, "retention": AT_ONCE}
    assert clean_mlflow(make_run(dry_run=True, **places)).objects == 0
    found = own_registry._client.get_run(rejected)
    assert found.info.lifecycle_stage == "active"
    assert clean_mlflow(make_run(**places)).objects == 0
    assert own_registry._client.get_run(rejected).info.lifecycle_stage == "deleted"


def test_a_database_that_cannot_be_reached_is_named_without_its_password(run: UpkeepRun) -> None:
    url = "nonesuch://mlflow:hush@127.0.0.1:1/mlflow"  # one that is away is asked for a minute
    with pytest.raises(CommandFailed, match="CHURN_MLFLOW_DATABASE_URL") as told:
        mlflow_bin.empty(url, run.places.tracking_uri, days=1)
    assert "hush" not in str(told.value)


def test_a_champion_that_the_registry_forgot_is_kept_by_its_manifest(
    run: UpkeepRun, own_registry: Registry, trained: Trained, local_store: LocalStore
) -> None:
    champion = trained("rejected")
    manifest, files = make_version("1", trees=3, rows=300)
    publish(local_store, (manifest.model_copy(update={"run_id": champion}), files))
    clean_mlflow(run)
    assert own_registry._client.get_run(champion).info.lifecycle_stage == "active"
