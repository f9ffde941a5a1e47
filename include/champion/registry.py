"""MLflow: one run for each DAG run, the candidate, production and its alias.

Every step can be repeated: what a killed task left behind is found again by its tag.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from include.documents import sha256
from include.errors import RegistryError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.models.model import ModelInfo

logger = logging.getLogger(__name__)

EXPERIMENT = "churn-training"
CANDIDATES = "churn_model"
PRODUCTION = "prod.churn_model"
CHAMPION = "champion"
MODEL_NAME = "model"
DAG_RUN_TAG = "dag_run_id"
RUN_TAG = "training_run"
MODEL_TAG = "model_sha256"
CANDIDATE_TAG = "candidate_version"
PARAMS_TAG = "params_sha256"
STATUS_TAG = "validation_status"
ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


class Registry:
    """The tracking server and the model registry behind one URI."""

    def __init__(self, tracking_uri: str, *, experiment: str = EXPERIMENT) -> None:
        import mlflow

        self.experiment = experiment
        self.tracking_uri = tracking_uri
        # The fluent calls that log a model know no other way to be told.
        mlflow.set_tracking_uri(tracking_uri)
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
        succeeded: bool,
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
        self.log(run_id, params=params, metrics=metrics)
        self.finish(run_id, succeeded=succeeded)

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

    def register_candidate(
        self, run_id: str, model: bytes, example: "pd.DataFrame", tags: Mapping[str, str]
    ) -> str:
        """Log the ONNX graph to the run and register it, once; returns the candidate's version.

        A run that was cleared after the table had changed fits another graph: another candidate.
        """
        marks = {RUN_TAG: run_id, MODEL_TAG: sha256(model)}
        found = self._version_of(
            CANDIDATES, " and ".join(f"tags.`{name}` = '{value}'" for name, value in marks.items())
        )
        if found is not None:
            return found
        with self._errors():
            logged = self._log_model(run_id, model, example)
            self._ensure_model(CANDIDATES)
            made = self._client.create_model_version(
                CANDIDATES,
                logged.model_uri,
                run_id=run_id,
                model_id=logged.model_id,
                tags={**marks, **tags},
            )
            return str(made.version)

    def judge(self, candidate: str, status: str) -> None:
        """Tag a candidate as approved or rejected."""
        with self._errors():
            self._client.set_model_version_tag(CANDIDATES, candidate, STATUS_TAG, status)

    def copy_to_production(self, candidate: str) -> str:
        """Copy an approved candidate to production, once; returns the version there."""
        with self._errors():
            self._client.set_model_version_tag(CANDIDATES, candidate, CANDIDATE_TAG, candidate)
        found = self._version_of(PRODUCTION, f"tags.`{CANDIDATE_TAG}` = '{candidate}'")
        if found is not None:
            return found
        with self._errors():
            made = self._client.copy_model_version(f"models:/{CANDIDATES}/{candidate}", PRODUCTION)
            return str(made.version)

    def champion(self) -> str | None:
        """The version that the alias names; None only when MLflow says that there is none."""
        from mlflow.exceptions import MlflowException

        with self._errors():
            try:
                found = self._client.get_model_version_by_alias(PRODUCTION, CHAMPION)
            except MlflowException as error:
                if error.error_code in ABSENT:
                    return None
                raise
            return str(found.version)

    def set_champion(self, version: str) -> None:
        """Point the alias at a version."""
        with self._errors():
            self._client.set_registered_model_alias(PRODUCTION, CHAMPION, version)

    def check_production_version(self, version: str) -> None:
        """RegistryError unless production has the version, so that the alias can follow."""
        with self._errors():
            self._client.get_model_version(PRODUCTION, version)

    def tag_production_version(self, version: str, tags: Mapping[str, str]) -> None:
        """Add tags to a version in production, or replace them."""
        with self._errors():
            for name, value in tags.items():
                self._client.set_model_version_tag(PRODUCTION, version, name, value)

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

    def _ensure_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _version_of(self, name: str, condition: str) -> str | None:
        with self._errors():
            found = self._client.search_model_versions(f"name = '{name}' and {condition}")
        return str(min(int(version.version) for version in found)) if found else None

    def _log_model(self, run_id: str, model: bytes, example: "pd.DataFrame") -> "ModelInfo":
        import mlflow
        import onnx
        from mlflow.models import infer_signature

        from include.champion.onnx_scorer import OUTPUT, Scorer

        answers = Scorer(model).score(example.to_numpy())
        output = type(example)({OUTPUT: answers.astype("float32")})
        with mlflow.start_run(run_id=run_id):
            info: ModelInfo = mlflow.onnx.log_model(
                onnx.load_model_from_string(model),
                name=MODEL_NAME,
                # Without a list MLflow imports half the environment to guess one.
                pip_requirements=["onnx", "onnxruntime", "numpy", "pandas"],
                signature=infer_signature(example, output),
                input_example=example,
                onnx_execution_providers=["CPUExecutionProvider"],
                save_as_external_data=False,
            )
        self._client.update_run(run_id, status="RUNNING")
        return info

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
