"""One tuning run: the connections, the rules and the places that its tasks share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.champion.registry import Registry
from include.contract import Contract
from include.handover import Run
from include.params import Params, TuningRules

if TYPE_CHECKING:
    from sqlalchemy import Engine

EXPERIMENT = "churn-tuning"


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
