"""The Optuna study of a run: where it is kept, and what a trial tries.

Each trial has a sampler of its own, seeded by the worker and by how many trials the worker has
behind it. So a worker that is killed and started again proposes what it would have proposed, and
one worker alone repeats a whole study.
"""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from include.errors import ConfigurationError
from include.params import Bounds, ModelParams, TuningRules

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

WORKER = "worker"
PARAMS = "model"  # what a trial tried, whole
FOLDS = "fold_roc_aucs"
SEEDS_APART = 10_000  # of two workers: more than a study has trials


def open_study(storage: str, name: str) -> "Study":
    """A study by its name, made at the first call: in a journal file, or in a database."""
    import optuna
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if "://" not in storage:
            Path(storage).parent.mkdir(parents=True, exist_ok=True)
        kept = (
            RDBStorage(storage) if "://" in storage else JournalStorage(JournalFileBackend(storage))
        )
        return optuna.create_study(
            storage=kept,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
        )
    except (OSError, ValueError, SQLAlchemyError) as error:
        raise ConfigurationError(
            "CHURN_TUNING_STORAGE names no place where a study can be kept: expected a file that "
            f"can be written, or the SQLAlchemy URL of a database that is there; found: {error}"
        ) from error


def finished(study: "Study", *, worker: int | None = None) -> "list[FrozenTrial]":
    """The trials that were judged or pruned, of all workers unless told which."""
    from optuna.trial import TrialState

    found = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return [each for each in found if worker is None or each.user_attrs[WORKER] == worker]


def ask(study: "Study", *, worker: int, seed: int) -> "Trial":
    """The worker's next trial; what an attempt that was killed left behind is given up."""
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    for each in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if each.user_attrs.get(WORKER) == worker:
            study.tell(each.number, state=TrialState.FAIL)
    done = len(finished(study, worker=worker))
    study.sampler = TPESampler(seed=(seed + worker) * SEEDS_APART + done)
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
    folds = len(trial.intermediate_values)
    came = f"pruned after {folds} folds" if trial.value is None else f"ROC-AUC {trial.value:.5f}"
    return f"{tried}: {came}; {progress(study)}"


def progress(study: "Study") -> str:
    """How many trials are finished, and the best score so far."""
    done = finished(study)
    values = [each.value for each in done if each.value is not None]
    best = f", best ROC-AUC {max(values):.5f}" if values else ""
    return f"{len(done)} trials{best}"


def importances(study: "Study") -> Mapping[str, float]:
    """How much each hyperparameter matters for being among the best trials, largest first.

    By PED-ANOVA (Watanabe et al. 2023, doi:10.24963/ijcai.2023/488), which knows that some are
    there in some trials only.
    """
    import optuna

    if len({each.value for each in finished(study) if each.value is not None}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a short search: few trials had each value
        found: dict[str, float] = optuna.importance.get_param_importances(study)
    return found
