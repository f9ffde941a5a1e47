"""The best hyperparameters that a search found, and whether a training run takes them."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import Field, ValidationError

from include.contract import Contract
from include.documents import Document, parse_document
from include.errors import DocumentError, ObjectNotFound
from include.history.changes import extended
from include.params import ClassWeight, Family, ModelParams, Resampling
from include.store import Store
from include.target import STATE, Target
from include.training.run import TrainingRun

logger = logging.getLogger(__name__)

BEST_KEY = "tuning/best.json"
CHOSEN = ("ingest_data", "chosen.json")  # of a run


class Chosen(Document):
    """What a run's first task chose for all of them."""

    model: ModelParams
    target: Target


class TunedSet(Document):
    """What `churn_tuning` found, and on what."""

    study: str
    made_at: datetime
    mlflow_run_id: str
    contract_sha256: str
    data_sha256: str
    current_sha256: str = Field(description="of the set in params.yaml that it was compared with")
    customers: int
    trials: int
    pruned: int
    family: Family
    resampling: Resampling
    class_weight: ClassWeight
    hyperparameters: dict[str, int | float]
    roc_auc: float = Field(description="mean over fresh folds, as the two below")
    current_roc_auc: float
    floor_roc_auc: float = Field(description="of logistic regression")
    gain: float
    gain_interval: tuple[float, float]

    @property
    def is_better(self) -> bool:
        """Whether it beats the current set beyond the interval."""
        return self.gain_interval[0] > 0

    def described(self) -> Iterator[str]:
        """What a person wants to know of it, a line each."""
        yield (
            f"best of {self.trials} trials ({self.pruned} pruned): {self.family}, resampling "
            f"{self.resampling}, class weight {self.class_weight}"
        )
        yield "  " + ", ".join(
            f"{name} {value:.4g}" for name, value in self.hyperparameters.items()
        )
        low, high = self.gain_interval
        yield (
            f"  ROC-AUC in fresh folds {self.roc_auc:.5f}, of the set in params.yaml "
            f"{self.current_roc_auc:.5f} ({self.gain:+.5f}, from {low:+.5f} to {high:+.5f}), of "
            f"logistic regression {self.floor_roc_auc:.5f}"
        )

    def applied_to(self, model: ModelParams) -> ModelParams:
        """The model's parameters with this set in the place of theirs."""
        merged: dict[str, Any] = model.model_dump()
        merged[self.family] = self.hyperparameters
        merged |= {
            "family": self.family,
            "resampling": self.resampling,
            "class_weight": self.class_weight,
        }
        return ModelParams.model_validate(merged)


def choose(store: Store, contract: Contract, model: ModelParams) -> tuple[ModelParams, str]:
    """What a training run uses, and why: the tuned set where that is known to be better."""
    try:
        best = parse_document(TunedSet, store.read(BEST_KEY).data, BEST_KEY)
    except ObjectNotFound:
        return model, "params.yaml: no search was made yet"
    except DocumentError as error:
        return model, f"params.yaml: {error}"
    if best.contract_sha256 != contract_sha256(contract):
        return model, f"params.yaml: study {best.study} was made under another contract"
    try:
        tuned = best.applied_to(model)
    except ValidationError as error:
        return model, f"params.yaml: study {best.study} does not fit this release: {error}"
    if tuned == model:
        return model, f"params.yaml, which holds what study {best.study} found"
    if best.current_sha256 != model_sha256(model):
        return model, f"params.yaml: it was changed since study {best.study}"
    if not best.is_better:
        return model, f"params.yaml: the best of study {best.study} is not better beyond chance"
    return tuned, f"study {best.study}: ROC-AUC {best.gain:+.5f} in its folds"


def settle(run: TrainingRun, target: Target = STATE) -> tuple[TrainingRun, str]:
    """Choose once, so that a search that ends meanwhile changes nothing; the run, and why.

    A search is made on the state of customers, and what it finds is used for no other target.
    """
    model, why = run.params.model, f"params.yaml: no search is made for what {target}"
    if not target.is_early_warning:
        model, why = choose(run.store, run.contract, model)
    chosen = Chosen(model=model, target=target)
    run.write(*CHOSEN, chosen.to_bytes())
    logger.info("hyperparameters from %s", why)
    return _with(run, chosen), why


def settled(run: TrainingRun) -> TrainingRun:
    """The run with what its first task chose, once that has."""
    key = run.key(*CHOSEN)
    try:
        return _with(run, parse_document(Chosen, run.read(key), key))
    except ObjectNotFound:
        return run


def _with(run: TrainingRun, chosen: Chosen) -> TrainingRun:
    contract = run.contract
    if chosen.target.is_early_warning:
        contract = extended(contract, chosen.model.columns)
    params = run.params.model_copy(update={"model": chosen.model})
    return replace(run, params=params, contract=contract)


def contract_sha256(contract: Contract) -> str:
    """The hash of a contract's columns and rules."""
    return hashlib.sha256(contract.model_dump_json().encode()).hexdigest()


def model_sha256(model: ModelParams) -> str:
    """The hash of a configuration of the model."""
    return hashlib.sha256(model.model_dump_json().encode()).hexdigest()
