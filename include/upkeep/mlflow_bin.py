"""MLflow's bin: what of a training run goes into it, and `mlflow gc`, which empties it."""

from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from datetime import datetime
from io import StringIO
from typing import TYPE_CHECKING

from include.champion.registry import CANDIDATES, EXPERIMENT, PRODUCTION, STATUS_TAG
from include.champion.tracking import Tracking
from include.errors import CommandFailed, ConfigurationError

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

REJECTED = "rejected"
DESTROYED = "has been permanently deleted"


class Bin(Tracking):
    """The training runs behind one URI, as who tidies up sees them."""

    def __init__(self, tracking_uri: str) -> None:
        super().__init__(tracking_uri, experiment=EXPERIMENT)

    def production_runs(self) -> set[str]:
        """The runs behind every version that is or was in production."""
        with self._errors():
            versions = self._client.search_model_versions(f"name = '{PRODUCTION}'")
        return {str(version.run_id) for version in versions}

    def rejected_runs(self, *, before: datetime, keep: set[str]) -> list[str]:
        """Old runs whose every candidate was rejected; one that never made any is such a run."""
        return [
            run_id
            for run in self._runs_before(before)
            if (run_id := str(run.info.run_id)) not in keep
            and all(each.tags.get(STATUS_TAG) == REJECTED for each in self._candidates(run_id))
        ]

    def put(self, run_id: str) -> None:
        """Put a run and its models into the bin, and take its candidates from the registry.

        The run goes last: who is killed before finds it again.
        """
        with self._errors():
            for version in self._candidates(run_id):
                self._client.delete_model_version(CANDIDATES, version.version)
            for model_id in self._models(run_id):
                self._client.delete_logged_model(model_id)
            self._client.delete_run(run_id)

    def check_none_in_bin(self, run_ids: Iterable[str]) -> None:
        """ConfigurationError where a person has put one of these into the bin."""
        found = [run_id for run_id in run_ids if self._is_in_bin(run_id)]
        if found:
            raise ConfigurationError(
                "expected no run behind a version in production in MLflow's bin, found "
                f"{', '.join(sorted(found))} in it: restore them (`mlflow runs restore --run-id`, "
                "or MLflow's page), for nothing in the bin is destroyed until then"
            )

    def _is_in_bin(self, run_id: str) -> bool:
        from mlflow.entities import LifecycleStage
        from mlflow.exceptions import MlflowException

        with self._errors():
            try:
                found = self._client.get_run(run_id)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return False
                raise
        return bool(found.info.lifecycle_stage == LifecycleStage.DELETED)

    def _runs_before(self, moment: datetime) -> "Iterator[Run]":
        wanted = f"attributes.start_time < {int(moment.timestamp() * 1000)}"
        token: str | None = None
        while token != "":
            with self._errors():
                page = self._client.search_runs([self._experiment()], wanted, page_token=token)
            yield from page
            token = page.token or ""

    def _candidates(self, run_id: str) -> "list[ModelVersion]":
        with self._errors():
            wanted = f"name = '{CANDIDATES}' and run_id = '{run_id}'"
            return list(self._client.search_model_versions(wanted))

    def _models(self, run_id: str) -> list[str]:
        with self._errors():
            found = self._client.search_logged_models(
                [self._experiment()], filter_string=f"source_run_id = '{run_id}'"
            )
        return [str(model.model_id) for model in found]


def empty(database_url: str, tracking_uri: str, *, days: int) -> int:
    """Destroy what has been in the bin for so many days; how many things that was.

    The server deletes the files, by its own rights; the rows of the database only `mlflow gc` can.
    """
    from click import ClickException
    from mlflow.cli import gc
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    said = StringIO()
    options = ["--older-than", f"{days}d", "--tracking-uri", tracking_uri]
    try:
        with redirect_stdout(said):
            gc.main(["--backend-store-uri", database_url, *options], standalone_mode=False)
    except (ClickException, MlflowException, RequestException, SQLAlchemyError) as error:
        raise CommandFailed(
            f"expected `mlflow gc` to end well, found {error}; check CHURN_MLFLOW_DATABASE_URL and "
            f"that the server at {tracking_uri} runs. What is left is destroyed the next time"
        ) from error
    return said.getvalue().count(DESTROYED)
