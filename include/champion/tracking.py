"""MLflow's tracking server: one run for each DAG run, and what it was made of.

Every step can be repeated: what a killed task left behind is found again by its tag.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.errors import RegistryError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

DAG_RUN_TAG = "dag_run_id"
PARAMS_TAG = "params_sha256"
REQUEST_SECONDS = 60  # unless MLFLOW_HTTP_REQUEST_TIMEOUT says otherwise; MLflow tries 8 times
DIGEST_CHARACTERS = 32  # of a hash: MLflow keeps at most 36


@dataclass(frozen=True)
class DataSet:
    """What a run read, as MLflow shows it: no customer's value is in it."""

    name: str
    context: str  # what it was used for: training, calibration, holdout, tuning
    uri: str  # of the file in the store
    sha256: str
    rows: int
    columns: Mapping[str, str]  # their types, by MLflow's names


class Tracking:
    """The tracking server behind a URI, and an experiment there."""

    def __init__(self, tracking_uri: str, *, experiment: str) -> None:
        import mlflow
        from mlflow import environment_variables as known

        self.experiment = experiment
        self.tracking_uri = tracking_uri
        # The fluent calls that log a model know no other way to be told.
        mlflow.set_tracking_uri(tracking_uri)
        # Where the server is reached from here, password and all, is no news for a task's log.
        known.MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)  # type: ignore[no-untyped-call]
        # By MLflow's own time-out a server that hangs outlasts the limit of promote_model.
        if not known.MLFLOW_HTTP_REQUEST_TIMEOUT.is_set():  # type: ignore[no-untyped-call]
            known.MLFLOW_HTTP_REQUEST_TIMEOUT.set(REQUEST_SECONDS)  # type: ignore[no-untyped-call]
        self._client: MlflowClient = mlflow.MlflowClient(tracking_uri)

    def ensure_run(self, dag_run_id: str, tags: Mapping[str, str]) -> str:
        """The MLflow run of a DAG run under these parameters, made at the first call; its id.

        A DAG run that is cleared after its parameters changed gets another one: MLflow keeps a
        parameter's first value.
        """
        marks = {DAG_RUN_TAG: dag_run_id, PARAMS_TAG: tags[PARAMS_TAG]}
        with self._errors():
            experiment = self._experiment()
            wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in marks.items())
            for run in self._client.search_runs([experiment], wanted, max_results=1):
                return str(run.info.run_id)
            made = self._client.create_run(
                experiment, tags={DAG_RUN_TAG: dag_run_id, **tags}, run_name=dag_run_id
            )
            return str(made.info.run_id)

    def ensure_nested_run(
        self,
        parent: str,
        name: str,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> None:
        """A finished run of that name below another, unless it is there and whole."""
        marks = {"mlflow.parentRunId": parent, "mlflow.runName": name}
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in marks.items())
        with self._errors():
            experiment = self._experiment()
            for run in self._client.search_runs([experiment], wanted, max_results=1):
                if run.info.status != "RUNNING":
                    return
                run_id = run.info.run_id
                break
            else:
                run_id = self._client.create_run(experiment, tags=marks).info.run_id
        self.log(run_id, params=params, metrics=metrics, tags=tags)
        self.finish(run_id, succeeded=True)

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Add parameters, metrics and tags to a run, in one request."""
        import time

        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        with self._errors():
            self._client.log_batch(
                run_id,
                params=[Param(k, str(v)) for k, v in (params or {}).items()],
                metrics=[Metric(k, v, now, 0) for k, v in (metrics or {}).items()],
                tags=[RunTag(k, v) for k, v in (tags or {}).items()],
            )

    def log_inputs(self, run_id: str, data: Sequence[DataSet]) -> None:
        """Say what a run read; said again, it is there once."""
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

        inputs = [
            DatasetInput(
                Dataset(
                    name=each.name,
                    digest=each.sha256[:DIGEST_CHARACTERS],
                    source_type="s3" if each.uri.startswith("s3://") else "local",
                    source=json.dumps({"uri": each.uri}),
                    schema=json.dumps({"mlflow_colspec": _columns(each.columns)}),
                    profile=json.dumps(
                        {"num_rows": each.rows, "num_elements": each.rows * len(each.columns)}
                    ),
                ),
                [InputTag(MLFLOW_DATASET_CONTEXT, each.context)],
            )
            for each in data
        ]
        with self._errors():
            self._client.log_inputs(run_id, inputs)

    def run_page(self, run_id: str) -> str:
        """A run's page, as an address that is right on any page of MLflow's own."""
        with self._errors():
            found = self._client.get_run(run_id)
        return f"#/experiments/{found.info.experiment_id}/runs/{run_id}"

    def log_figures(self, run_id: str, figures: "Mapping[str, Figure]") -> None:
        """Add plots to a run, each as plots/<name>.png."""
        with self._errors():
            for name, figure in figures.items():
                self._client.log_figure(run_id, figure, f"plots/{name}.png")

    def log_text(self, run_id: str, text: str, path: str) -> None:
        """Add a text file to a run."""
        with self._errors():
            self._client.log_text(run_id, text, path)

    def finish(self, run_id: str, *, succeeded: bool) -> None:
        """Close a run."""
        with self._errors():
            self._client.set_terminated(run_id, "FINISHED" if succeeded else "FAILED")

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(self.experiment)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(self.experiment))
        except MlflowException:  # somebody else made it a moment ago
            made = self._client.get_experiment_by_name(self.experiment)
            if made is None:
                raise
            return str(made.experiment_id)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            yield
        except (MlflowException, RequestException) as error:
            raise RegistryError(
                f"MLflow at {self.tracking_uri} did not do what it was asked: {error}; check that "
                "the server runs and that MLFLOW_TRACKING_URI names it"
            ) from error


def _columns(columns: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"type": kind, "name": name, "required": True} for name, kind in columns.items()]
