"""Task `publish_best`: the best set against the current one on fresh folds, kept for training."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from include.errors import DataError
from include.handover import now
from include.params import ModelParams, TuningRules
from include.training import tuned_set
from include.training.tuned_set import BEST_KEY, TunedSet
from include.tuning import study as studies
from include.tuning.cross_validation import CrossValidation, gain_interval
from include.tuning.prepare_study import Share
from include.tuning.run import TuningRun
from include.tuning.tune_hyperparameters import folds_of, keep_in_mlflow

logger = logging.getLogger(__name__)

SIZE_INCHES = (6.0, 4.0)


def publish_best(run: TuningRun, share: Share) -> TunedSet:
    """Confirm the best set, and write `tuning/best.json`; training decides whether it is taken.

    The best of many trials looks better in its own folds than it is, so it meets the current set
    in folds that no trial has seen.
    """
    study = studies.open_study(run.storage, share.study)
    trials = studies.finished(study)
    complete = [each for each in trials if studies.is_whole(each)]
    if not complete:
        raise DataError(
            f"none of {len(trials)} trials was finished in {run.rules.minutes:g} minutes "
            "(tuning.minutes): give the search more time"
        )
    for each in trials:  # what a worker that was killed had finished and not told
        keep_in_mlflow(run, share.mlflow_run_id, each)
    chosen = ModelParams.model_validate(study.best_trial.user_attrs[studies.PARAMS])
    found = _confirmed(run, share, chosen, trials=len(trials), pruned=len(trials) - len(complete))
    run.store.write(BEST_KEY, found.to_bytes())
    history = [studies.mean_auc(each) for each in complete]
    importances = studies.importances(study)
    run.registry.log_figures(share.mlflow_run_id, figures(history, importances))
    run.registry.log_text(share.mlflow_run_id, found.to_bytes().decode(), "best.json")
    run.registry.log(
        share.mlflow_run_id,
        metrics={n: getattr(found, n) for n in ("roc_auc", "gain", "floor_roc_auc")},
    )
    run.registry.finish(share.mlflow_run_id, succeeded=True)
    for line in found.described():
        logger.info("%s", line)
    return found


@dataclass(frozen=True)
class Confirmation:
    """How a set did against the current one, as means of ROC-AUC over fresh folds."""

    roc_auc: float
    current_roc_auc: float
    floor_roc_auc: float
    gain: float
    gain_interval: tuple[float, float]


def confirm(
    folds_of_seed: Callable[[int], CrossValidation],
    chosen: ModelParams,
    *,
    current: ModelParams,
    rules: TuningRules,
) -> Confirmation:
    """Let a set meet the current one in `tuning.repeats` cross-validations that no trial saw."""
    best, ours, floor = list[float](), list[float](), list[float]()
    for repeat in range(1, rules.repeats + 1):
        folds = folds_of_seed(rules.seed + repeat)
        best += folds.roc_aucs(chosen)
        ours += folds.roc_aucs(current)
        floor += folds.floor()
    gains = [one - other for one, other in zip(best, ours, strict=True)]
    return Confirmation(
        roc_auc=fmean(best),
        current_roc_auc=fmean(ours),
        floor_roc_auc=fmean(floor),
        gain=fmean(gains),
        gain_interval=gain_interval(gains, folds=rules.folds, confidence=rules.confidence),
    )


def _confirmed(
    run: TuningRun, share: Share, chosen: ModelParams, *, trials: int, pruned: int
) -> TunedSet:
    current = run.params.model
    found = confirm(
        lambda seed: folds_of(run, share, seed=seed), chosen, current=current, rules=run.rules
    )
    return TunedSet(
        study=share.study,
        made_at=now(),
        mlflow_run_id=share.mlflow_run_id,
        contract_sha256=tuned_set.contract_sha256(run.contract),
        data_sha256=share.data_sha256,
        current_sha256=tuned_set.model_sha256(current),
        customers=share.rows,
        trials=trials,
        pruned=pruned,
        family=chosen.family,
        resampling=chosen.resampling,
        class_weight=chosen.class_weight,
        hyperparameters=chosen.hyperparameters,
        **vars(found),
    )


def figures(values: list[float], importances: Mapping[str, float]) -> dict[str, Figure]:
    """How the search went, and which hyperparameters mattered, by file name."""
    history, bars = (Figure(figsize=SIZE_INCHES, layout="constrained") for _ in range(2))
    for figure in (history, bars):
        FigureCanvasAgg(figure)
    axes = history.add_subplot()
    best = [max(values[: place + 1]) for place in range(len(values))]
    axes.plot(values, "o", label="trial")
    axes.step(range(len(best)), best, where="post", label="best so far")
    axes.set_xlabel("finished trials")
    axes.set_ylabel("cross-validated ROC-AUC")
    axes.legend()
    ascending = sorted(importances.items(), key=lambda item: item[1])
    axes = bars.add_subplot()
    axes.barh([name for name, _ in ascending], [share for _, share in ascending])
    axes.set_xlabel("importance for being among the best")
    return {"optimisation_history": history, "hyperparameter_importances": bars}
