"""Task `tune_hyperparameters`: one worker's trials, each cross-validated and kept in MLflow."""

import logging
from collections.abc import Iterator
from statistics import fmean
from typing import TYPE_CHECKING

from include.handover import now
from include.params import ModelParams, TuningRules
from include.training import fit
from include.tuning import study as studies
from include.tuning.cross_validation import CrossValidation, labelled_rows
from include.tuning.prepare_study import Share
from include.tuning.run import TuningRun

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

logger = logging.getLogger(__name__)


def tune_hyperparameters(run: TuningRun, share: Share) -> int:
    """Try until the share is done or the time is over; returns how many trials were finished.

    A worker that was killed goes on where it was: what it had finished is in the study.
    """
    study = studies.open_study(run.storage, share.study)
    studies.claim(study, run.basis(share.data_sha256, rows=share.rows))
    rules = run.offered(share.rows)
    folds = folds_of(run, share, seed=run.rules.seed)
    while (done := len(studies.finished(study, worker=share.worker))) < share.trials:
        if now() > share.deadline:
            logger.info("the time is over after %s of %s trials", done, share.trials)
            break
        trial = studies.ask(study, worker=share.worker, seed=run.rules.seed)
        judge_trial(study, trial, folds, rules=rules, current=run.params.model)
        keep_in_mlflow(run, share.mlflow_run_id, study.trials[trial.number])
        logger.info("trial %s: %s", trial.number, studies.described(study, trial.number))
    return done


def folds_of(run: TuningRun, share: Share, *, seed: int) -> CrossValidation:
    """The folds that a seed makes of the study's customers."""
    model = run.params.model
    return CrossValidation(
        labelled_rows(run.read_frame(share.customers), run.contract, model),
        categorical=fit.categorical_places(run.contract, run.contract.chosen(model.columns)),
        folds=run.rules.folds,
        seed=seed,
    )


def judge_trial(
    study: "Study",
    trial: "Trial",
    folds: CrossValidation,
    *,
    rules: TuningRules,
    current: ModelParams,
) -> None:
    """Judge a trial fold by fold; one that lags behind the others' median is pruned."""
    from optuna.trial import TrialState

    model = studies.suggested(trial, rules, current)
    trial.set_user_attr(studies.PARAMS, model.model_dump(mode="json"))
    found: list[float] = []
    for auc in folds.roc_aucs(model):
        found.append(auc)
        if studies.report(trial, found) and len(found) < rules.folds:
            study.tell(trial, state=TrialState.PRUNED)
            return
    trial.set_user_attr(studies.FOLDS, found)
    study.tell(trial, fmean(found))


def keep_in_mlflow(run: TuningRun, parent: str, trial: "FrozenTrial") -> None:
    """A nested MLflow run for a finished trial, once."""
    model = ModelParams.model_validate(trial.user_attrs[studies.PARAMS])
    run.registry.ensure_nested_run(
        parent,
        f"trial {trial.number}",
        params={
            "family": model.family,
            "resampling": model.resampling,
            "class_weight": model.class_weight,
            **model.hyperparameters,
        },
        metrics=dict(_metrics(trial)),
        tags={"trial": "judged" if studies.is_whole(trial) else "pruned"},
    )


def _metrics(trial: "FrozenTrial") -> Iterator[tuple[str, float]]:
    # Who sorts by roc_auc does not meet one of easy folds alone.
    yield ("roc_auc" if studies.is_whole(trial) else "pruned_at_roc_auc"), studies.mean_auc(trial)
    yield "folds", len(trial.intermediate_values)
    if trial.duration:
        yield "seconds", trial.duration.total_seconds()
