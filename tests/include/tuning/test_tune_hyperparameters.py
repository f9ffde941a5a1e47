"""The search: repeated exactly, cut up exactly, and not at a loss when a worker is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.errors import ConfigurationError, DataError
from include.settings import PROJECT
from include.tuning import study as studies
from include.tuning.prepare_study import prepare_study
from include.tuning.run import TuningRun
from include.tuning.tune_hyperparameters import tune_hyperparameters
from tests.include.conftest import sql
from tests.include.tuning.conftest import MakeSearch, search_in, searched

pytestmark = pytest.mark.slow

WORKER = """
import sys
from pathlib import Path
from include.tuning.prepare_study import prepare_study
from include.tuning.tune_hyperparameters import tune_hyperparameters
from tests.include.conftest import sql
from tests.include.tuning.conftest import search_in
run = search_in(Path(sys.argv[1]), sys.argv[2], "killed")
tune_hyperparameters(run, prepare_study(run)[0])
"""


def tried(run: TuningRun) -> list[tuple[int, dict[str, Any], float | None]]:
    study = studies.open_study(run.storage, run.dag_run_id)
    return [(t.user_attrs["worker"], t.params, t.value) for t in studies.finished(study)]


def test_one_worker_repeats_a_study_exactly(make_search: MakeSearch) -> None:
    first, second = make_search("one"), make_search("another")
    searched(first)
    searched(second)
    assert tried(first) == tried(second) and len(tried(first)) == 6


@pytest.mark.parametrize("kind", ["journal", "database"])
def test_several_share_the_trials_and_propose_different_sets(
    make_search: MakeSearch, tmp_path: Path, kind: str
) -> None:
    storage = f"sqlite:///{tmp_path / 'studies.db'}" if kind == "database" else ""
    run = make_search("shared", storage=storage, workers=4)
    assert [share.trials for share in searched(run)] == [2, 2, 1, 1]
    found = tried(run)
    assert sorted(worker for worker, _, _ in found) == [0, 0, 1, 1, 2, 3]
    # Four that drew alike would try two or three; in so small a space two may meet by chance.
    assert len({tuple(sorted(params.items())) for _, params, _ in found}) >= 5


def test_a_killed_worker_goes_on_without_a_trial_lost_or_repeated(
    make_search: MakeSearch, tmp_path: Path, mlflow_server: str
) -> None:
    from optuna.trial import TrialState

    whole = make_search("whole")
    searched(whole)
    run = search_in(tmp_path, mlflow_server, "killed")
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(tmp_path), mlflow_server]
    worker = subprocess.Popen(command, cwd=PROJECT, env=dict(os.environ))
    study = studies.open_study(run.storage, run.dag_run_id)
    while len(studies.finished(study)) < 2 or not study.get_trials(states=[TrialState.RUNNING]):
        assert worker.poll() is None, "it was to be killed in the middle"
        time.sleep(0.005)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert len(studies.finished(study)) < 6
    searched(run)
    assert tried(run) == tried(whole)
    # One that was killed before it was said whose it is stays for ever, without a value.
    assert len(study.get_trials(states=[TrialState.FAIL, TrialState.RUNNING])) <= 1


def test_after_the_deadline_no_trial_is_begun(make_search: MakeSearch) -> None:
    run = make_search("late", minutes=1e-9)
    (share,) = prepare_study(run)
    assert share.deadline < datetime.now(UTC) and tune_hyperparameters(run, share) == 0


def test_each_trial_is_a_run_below_the_studys(make_search: MakeSearch) -> None:
    run = make_search("told")
    (share,) = searched(run)
    client = run.registry._client
    parent = client.get_run(share.mlflow_run_id)
    below = f"tags.`mlflow.parentRunId` = '{share.mlflow_run_id}'"
    found = client.search_runs([parent.info.experiment_id], below)
    assert {each.info.run_name for each in found} == {f"trial {n}" for n in range(6)}
    by_name = {each.info.run_name: each for each in found}
    for trial in studies.open_study(run.storage, run.dag_run_id).trials:
        told = by_name[f"trial {trial.number}"]
        assert told.data.params["max_depth"] == str(trial.params["xgboost.max_depth"])
        name = "roc_auc" if studies.is_whole(trial) else "pruned_at_roc_auc"
        assert told.data.metrics[name] == pytest.approx(studies.mean_auc(trial))
        assert told.info.status == "FINISHED"
    (read,) = parent.inputs.dataset_inputs
    assert json.loads(read.dataset.profile)["num_rows"] == share.rows


@pytest.mark.parametrize("storage", ["{}/churn.db/studies.log", "sqlite:///{}/absent/studies.db"])
def test_a_storage_that_is_none_is_named(
    make_search: MakeSearch, tmp_path: Path, storage: str
) -> None:
    run = make_search("nowhere", storage=storage.format(tmp_path))
    with pytest.raises(ConfigurationError, match="CHURN_TUNING_STORAGE names no place"):
        prepare_study(run)


def test_a_study_is_not_continued_on_other_customers(make_search: MakeSearch) -> None:
    run = make_search("changed", trials=1)
    (share,) = searched(run)
    sql(run.engine, "UPDATE churners SET Customer_Age = 50")
    with pytest.raises(ConfigurationError, match="begun on other customers"):
        prepare_study(run)
    other = replace(run, rules=run.rules.model_copy(update={"folds": 4}))
    with pytest.raises(ConfigurationError, match="another search space"):
        tune_hyperparameters(other, share)


def test_too_few_leavers_for_the_folds_are_counted(make_search: MakeSearch) -> None:
    run = make_search("few", folds=20)
    sql(
        run.engine,
        "UPDATE churners SET Attrition_Flag = 'Existing Customer' WHERE CLIENTNUM NOT IN (SELECT "
        "CLIENTNUM FROM churners WHERE Attrition_Flag = 'Attrited Customer' LIMIT 15)",
    )
    with pytest.raises(DataError, match=r"side left .* a search in 20 folds needs 20 of each"):
        prepare_study(run)
