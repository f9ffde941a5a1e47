"""One training run: the connections and the configuration that its tasks share."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.champion.registry import Registry
from include.champion.tracking import PARAMS_TAG
from include.contract import Contract
from include.handover import Run
from include.params import Params

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True)
class TrainingRun(Run):
    """The connections and the configuration of one run, whichever task it is in."""

    engine: "Engine"
    registry: Registry
    contract: Contract
    params: Params
    trigger: Mapping[str, Any]
    git_commit: str
    dashboard_url: str = ""  # as a browser reaches it
    mlflow_url: str = ""  # likewise

    @property
    def columns(self) -> tuple[str, ...]:
        """The model's raw input columns, in order."""
        return self.contract.chosen(self.params.model.columns)

    @property
    def tags(self) -> dict[str, str]:
        """What MLflow keeps beside the run and its candidate."""
        found = {"git_commit": self.git_commit, PARAMS_TAG: self.params.sha256()}
        return found | {k: str(value) for k, value in self.trigger.items() if value is not None}


def content_sha256(frame: pd.DataFrame) -> str:
    """A hash of a table's values, whatever file they came in."""
    return hashlib.sha256(content_hashes(frame)).hexdigest()


def content_hashes(frame: pd.DataFrame) -> bytes:
    """A hash of each row's values; those of parts, one after another, are those of the whole."""
    return pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()
