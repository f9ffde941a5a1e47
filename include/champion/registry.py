"""MLflow's model registry: the candidate, production and its alias, each with its description.

Every step can be repeated: what a killed task left behind is found again by its tag.
"""

import logging
from collections.abc import Mapping
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING

from include.champion.tracking import Tracking
from include.documents import sha256

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models.model import ModelInfo

logger = logging.getLogger(__name__)

EXPERIMENT = "churn-training"
CANDIDATES = "churn_model"
PRODUCTION = "prod.churn_model"
CHAMPION = "champion"
MODEL_NAME = "model"
RUN_TAG = "training_run"
MODEL_TAG = "model_sha256"
CANDIDATE_TAG = "candidate_version"
STATUS_TAG = "validation_status"
GATE_TAG = "gate"
NEEDED = ("onnx", "onnxruntime", "numpy", "pandas")
NO_TAGS: Mapping[str, str] = MappingProxyType({})
ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
DESCRIPTIONS = {
    CANDIDATES: (
        "How likely a credit-card customer is to leave: every model that `churn_training` has made "
        "is a version here, whatever the gate said of it (tag `validation_status`). A version's "
        "own description has its figures, the decision and its reasons.\n\n"
        f"What may answer customers is copied to `{PRODUCTION}`."
    ),
    PRODUCTION: (
        "How likely a credit-card customer is to leave: the candidates that the gate accepted. The "
        f"alias `{CHAMPION}` names the version in production; it follows the pointer "
        "`champion/current.json` in the object store, which is what the API reads, so moving the "
        "alias here changes no answer: use `make promote` or `make rollback`.\n\n"
        "It takes numbers alone, a category by its place in `include/config/schema.yaml`, from 0."
    ),
}


class Registry(Tracking):
    """The tracking server and the model registry behind one URI."""

    def __init__(self, tracking_uri: str, *, experiment: str = EXPERIMENT) -> None:
        super().__init__(tracking_uri, experiment=experiment)

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

    def describe(self, candidate: str, description: str, tags: Mapping[str, str]) -> None:
        """Say of a candidate what it is, in Markdown and by tags, which its copies keep."""
        with self._errors():
            self._client.update_model_version(CANDIDATES, candidate, description)
            for name, value in tags.items():
                self._client.set_model_version_tag(CANDIDATES, candidate, name, value)

    def judge(self, candidate: str, status: str, tags: Mapping[str, str] = NO_TAGS) -> None:
        """Tag a candidate as approved or rejected, and with what else there is to say of that."""
        with self._errors():
            for name, value in {STATUS_TAG: status, **tags}.items():
                self._client.set_model_version_tag(CANDIDATES, candidate, name, value)

    def copy_to_production(self, candidate: str) -> str:
        """Copy an approved candidate to production, once; returns the version there.

        A copy that is there already is told how the candidate was judged since.
        """
        with self._errors():
            self._client.set_model_version_tag(CANDIDATES, candidate, CANDIDATE_TAG, candidate)
        found = self._version_of(PRODUCTION, f"tags.`{CANDIDATE_TAG}` = '{candidate}'")
        if found is not None:
            self._describe_copy(candidate, found)
            return found
        with self._errors():
            self._ensure_model(PRODUCTION)
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

    def _describe_copy(self, candidate: str, version: str) -> None:
        with self._errors():
            judged = self._client.get_model_version(CANDIDATES, candidate)
            self._client.update_model_version(PRODUCTION, version, judged.description)
            if GATE_TAG in judged.tags:
                self._client.set_model_version_tag(
                    PRODUCTION, version, GATE_TAG, judged.tags[GATE_TAG]
                )

    def _ensure_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name, description=DESCRIPTIONS[name])
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            # An earlier release gave none; somebody else's words stay.
            if not self._client.get_registered_model(name).description:
                self._client.update_registered_model(name, DESCRIPTIONS[name])

    def _version_of(self, name: str, condition: str) -> str | None:
        with self._errors():
            found = self._client.search_model_versions(f"name = '{name}' and {condition}")
        return str(min(int(version.version) for version in found)) if found else None

    def _log_model(self, run_id: str, model: bytes, example: "pd.DataFrame") -> "ModelInfo":
        import mlflow
        import onnx
        from mlflow.models import ModelSignature
        from mlflow.types.schema import AnyType, ColSpec, Schema

        from include.champion.onnx_scorer import OUTPUT

        # By MLflow's own types a column has whole numbers or others, never now these, now those.
        number = AnyType()  # type: ignore[no-untyped-call]
        columns = Schema([ColSpec(number, str(name)) for name in example.columns])
        signature = ModelSignature(columns, Schema([ColSpec("float", OUTPUT)]))
        with mlflow.start_run(run_id=run_id):
            info: ModelInfo = mlflow.onnx.log_model(
                onnx.load_model_from_string(model),
                name=MODEL_NAME,
                # Without a list MLflow imports half the environment to guess one.
                pip_requirements=[f"{name}=={metadata.version(name)}" for name in NEEDED],
                signature=signature,
                input_example=example,
                onnx_execution_providers=["CPUExecutionProvider"],
                save_as_external_data=False,
            )
        self._client.update_run(run_id, status="RUNNING")
        return info
