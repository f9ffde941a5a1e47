"""The study itself: what lags behind is given up, and what a journal may end with."""

from pathlib import Path

import pytest

from include.errors import ConfigurationError
from include.tuning import study as studies

EASY_THEN_HARD = [(0.99, 0.98, 0.985)] * 5


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "studies.log")


def judged(journal: str, *trials: tuple[float, ...]) -> list[bool]:
    """Tell a study of trials' folds; which of the trials were pruned."""
    from optuna.trial import TrialState

    study, pruned = studies.open_study(journal, "s"), []
    for folds in trials:
        trial = studies.ask(study, worker=0, seed=1)
        trial.suggest_categorical("family", ["xgboost"])
        trial.suggest_categorical("resampling", ["none"])
        lags = [studies.report(trial, folds[: place + 1]) for place in range(len(folds))]
        pruned.append(any(lags))
        if pruned[-1]:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, sum(folds) / len(folds))
    return pruned


def test_a_trial_is_pruned_by_all_its_folds_and_not_saved_by_an_easy_first_one(
    journal: str,
) -> None:
    # Its mean after one fold, 0.989, is above the others' after two, 0.985.
    assert judged(journal, *EASY_THEN_HARD, (0.989, 0.970)) == [False] * 5 + [True]
    assert judged(journal, (0.9901, 0.9801, 0.9851)) == [False]


def test_a_pruned_trial_is_never_the_best(journal: str) -> None:
    judged(journal, *EASY_THEN_HARD, (0.989, 0.970))
    study = studies.open_study(journal, "s")
    assert not studies.is_whole(study.trials[5])
    assert studies.mean_auc(study.trials[5]) == pytest.approx(0.9795)
    told = studies.described(study, 5)
    assert told == (
        "xgboost, none: pruned after 2 folds at 0.97950; 6 trials, best ROC-AUC 0.98500"
    )
    assert study.best_trial.number < 5


def test_half_a_line_at_the_end_of_a_journal_is_cut_off(journal: str) -> None:
    judged(journal, (0.9, 0.9))
    with Path(journal).open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"who')  # as far as the disk had room
    judged(journal, (0.8, 0.8))
    assert studies.progress(studies.open_study(journal, "s")) == "2 trials, best ROC-AUC 0.90000"


def test_trials_of_another_search_are_not_mixed_in(journal: str) -> None:
    study = studies.open_study(journal, "s")
    studies.claim(study, "a")
    studies.claim(study, "a")
    with pytest.raises(ConfigurationError, match=r"study s was begun on other .* start another"):
        studies.claim(study, "b")


def test_the_largest_seed_will_do(journal: str) -> None:
    study = studies.open_study(journal, "s")
    assert studies.ask(study, worker=63, seed=2**31 - 1).number == 0
