"""One tuning run: the connections, the rules and the places that its tasks share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.champion.registry import Registry
from include.contract import Contract
from include.documents import sha256
from include.handover import Run
from include.params import Params, TuningRules
from include.training.tuned_set import contract_sha256, model_sha256

if TYPE_CHECKING:
    from sqlalchemy import Engine

EXPERIMENT = "churn-tuning"
SEARCHED = {"folds", "seed", "resampling", "class_weight", "families"}


@dataclass(frozen=True)
class TuningRun(Run):
    """The connections and the configuration of one run, whichever task it is in."""

    engine: "Engine"
    registry: Registry  # of the experiment churn-tuning
    contract: Contract
    params: Params
    rules: TuningRules  # of the parameters, or of who started the run
    storage: str  # where Optuna keeps the study
    tags: dict[str, str]

    def offered(self, rows: int) -> TuningRules:
        """The rules of a search on so many customers: nothing is tried that would not be fitted."""
        return self.rules.for_rows(rows, rows_max=self.params.model.resampling_rows_max)

    def basis(self, data_sha256: str, *, rows: int) -> str:
        """The hash of what makes trials comparable: customers, contract, folds, space, the rest."""
        rules = self.offered(rows).model_dump_json(include=SEARCHED)
        parts = (data_sha256, contract_sha256(self.contract), model_sha256(self.params.model))
        return sha256("\n".join((*parts, rules)).encode())
