"""The Optuna study of a run: where it is kept, and what a trial tries.

Each trial has a sampler of its own, seeded by the worker and by how many trials the worker has
behind it. So a worker that is killed and started again proposes what it would have proposed, and
one worker alone repeats a whole study.
"""

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from include.errors import ConfigurationError
from include.params import Bounds, ModelParams, TuningRules

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import JournalStorage
    from optuna.trial import FrozenTrial

WORKER = "worker"
BASIS = "basis"
PARAMS = "model"  # what a trial tried, whole
FOLDS = "fold_roc_aucs"
LINE_BYTES = 2**16  # of a journal, at most


def open_study(storage: str, name: str) -> "Study":
    """A study by its name, made at the first call: in a journal file, or in a database."""
    import optuna
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        kept = RDBStorage(storage) if "://" in storage else _journal(storage)
        return optuna.create_study(
            storage=kept,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
        )
    except (OSError, ValueError, SQLAlchemyError) as error:
        raise ConfigurationError(
            "CHURN_TUNING_STORAGE names no place where a study can be kept: expected a file that "
            f"can be written, or the SQLAlchemy URL of a database that is there; found: {error}"
        ) from error


def _journal(path: str) -> "JournalStorage":
    """A journal file, without the half line that a full disk may have left at its end.

    The next line would be written behind it, and nothing that follows could be read.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    lock = JournalFileSymlinkLock(path)
    backend = JournalFileBackend(path, lock)
    lock.acquire()
    try:
        with open(path, "rb+") as file:
            file.seek(max(0, os.path.getsize(path) - LINE_BYTES))
            tail = file.read()
            if not tail.endswith(b"\n"):
                file.seek(tail.rfind(b"\n") + 1 - len(tail), os.SEEK_END)
                file.truncate()
    finally:
        lock.release()
    return JournalStorage(backend)


def claim(study: "Study", basis: str) -> None:
    """Let a study's trials be comparable: all on the same customers, under the same rules."""
    known = study.user_attrs.get(BASIS)
    if known is None:
        study.set_user_attr(BASIS, basis)
    elif known != basis:
        raise ConfigurationError(
            f"the study {study.study_name} was begun on other customers, or with another search "
            "space or model in params.yaml, and its trials cannot be compared with new ones: "
            "start another run"
        )


def finished(study: "Study", *, worker: int | None = None) -> "list[FrozenTrial]":
    """The trials that were judged or pruned, of all workers unless told which."""
    from optuna.trial import TrialState

    found = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return [each for each in found if worker is None or each.user_attrs[WORKER] == worker]


def is_whole(trial: "FrozenTrial") -> bool:
    """Whether a finished trial was judged in all folds; Optuna gives pruned ones a value, too."""
    from optuna.trial import TrialState

    return bool(trial.state == TrialState.COMPLETE)


def report(trial: "Trial", aucs: Sequence[float]) -> bool:
    """Tell the study a trial's folds so far; whether it lags behind the median of the others.

    The pruner compares a trial's best report with the others' last ones. Of means the best is often
    an easy first fold, which would keep any trial alive; a sum's best is its last.
    """
    trial.report(sum(aucs), len(aucs))
    return bool(trial.should_prune())


def mean_auc(trial: "FrozenTrial") -> float:
    """ROC-AUC over the folds in which a finished trial was judged."""
    folds = max(trial.intermediate_values)
    return float(trial.intermediate_values[folds] / folds)


def ask(study: "Study", *, worker: int, seed: int) -> "Trial":
    """The worker's next trial; what an attempt that was killed left behind is given up."""
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    for each in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if each.user_attrs.get(WORKER) == worker:
            study.tell(each.number, state=TrialState.FAIL)
    done = len(finished(study, worker=worker))
    (own,) = np.random.SeedSequence((seed, worker, done)).generate_state(1)
    study.sampler = TPESampler(seed=int(own))
    trial = study.ask()
    trial.set_user_attr(WORKER, worker)
    return trial


def suggested(trial: "Trial", rules: TuningRules, current: ModelParams) -> ModelParams:
    """What a trial tries; what the search space leaves out is as in the current set."""
    family = trial.suggest_categorical("family", sorted(rules.families))
    resampling = trial.suggest_categorical("resampling", rules.resampling)
    # Resampled classes weigh the same already.
    weights = rules.class_weight if resampling == "none" else ("none",)
    weight = trial.suggest_categorical("class_weight", weights) if len(weights) > 1 else weights[0]
    merged = current.model_dump()
    for name, bounds in rules.families[family].items():
        whole = isinstance(merged[family][name], int)
        merged[family][name] = _suggested(trial, f"{family}.{name}", bounds, whole=whole)
    merged |= {"family": family, "resampling": resampling, "class_weight": weight}
    return ModelParams.model_validate(merged)


def _suggested(trial: "Trial", name: str, bounds: Bounds, *, whole: bool) -> float:
    found: float
    if whole:
        low, high = math.ceil(bounds.low), math.floor(bounds.high)
        found = trial.suggest_int(name, low, high, log=bounds.log)
    else:
        found = trial.suggest_float(name, bounds.low, bounds.high, log=bounds.log)
    return found


def described(study: "Study", number: int) -> str:
    """A finished trial in a line, and how far the search is."""
    trial = study.trials[number]
    tried = f"{trial.params['family']}, {trial.params['resampling']}"
    came = (
        "ROC-AUC" if is_whole(trial) else f"pruned after {len(trial.intermediate_values)} folds at"
    )
    return f"{tried}: {came} {mean_auc(trial):.5f}; {progress(study)}"


def progress(study: "Study") -> str:
    """How many trials are finished, and the best score so far."""
    done = finished(study)
    values = [mean_auc(each) for each in done if is_whole(each)]
    best = f", best ROC-AUC {max(values):.5f}" if values else ""
    return f"{len(done)} trial{'' if len(done) == 1 else 's'}{best}"


def importances(study: "Study") -> Mapping[str, float]:
    """How much each hyperparameter matters for being among the best trials, largest first.

    By PED-ANOVA (Watanabe et al. 2023, doi:10.24963/ijcai.2023/488), which knows that some are
    there in some trials only.
    """
    import optuna

    if len({mean_auc(each) for each in finished(study) if is_whole(each)}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a short search: few trials had each value
        found: dict[str, float] = optuna.importance.get_param_importances(study)
    return found
