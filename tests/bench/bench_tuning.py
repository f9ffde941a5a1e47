"""What a search costs, and whether what it finds is better; run by `make bench-tuning CSV=…`.

Every search is the project's own: its three tasks, a journal, an MLflow server. A study's seconds
are those from its first trial's start to its last one's end.

A set is chosen on customers, so those who helped to choose it flatter it. Hence three judgements,
the most flattered first: splits of everybody, whose hold-outs the search has mostly seen; nested
ones, each with a search of its own on its training rows alone; the project's hold-out, which no
search sees. Differences are paired, found minus params.yaml's set; their intervals are the
corrected resampled t-test's, on the one hold-out DeLong's.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from include.champion.registry import Registry
from include.champion.tracking import PARAMS_TAG
from include.contract import load_contract
from include.customers import loading, queries
from include.customers.csv_file import read_csv_customers
from include.customers.database import open_engine
from include.params import ModelParams, Params, load_params
from include.settings import Settings
from include.store import LocalStore
from include.training import evaluation, fit, gate
from include.training.fit import SPLIT
from include.tuning import study as studies
from include.tuning.cross_validation import gain_interval
from include.tuning.prepare_study import Share, prepare_study
from include.tuning.publish_best import publish_best
from include.tuning.run import EXPERIMENT, TuningRun
from include.tuning.tune_hyperparameters import tune_hyperparameters
from tests.bench.loader import write
from tests.conftest import PROJECT, running_mlflow

SHOWN = ("roc_auc", "f1", "brier")
SPLITS = 20
CALIBRATION, HOLDOUT = 0.1, 0.2  # of everybody, as in params.yaml
WORKER = "from tests.bench.bench_tuning import work; import sys; work(*sys.argv[1:])"

Sides = NDArray[np.str_]
Scores = list[dict[str, float]]


def main() -> None:
    """Print the studies' seconds, what they found, and how it compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path, help="real customers, as downloaded")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--nested", type=int, default=6, help="splits with a search of their own")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, running_mlflow(Path(directory)) as uri:
        home = Path(directory)
        load(home, arguments.csv)
        frame = customers(home, uri)
        studied(home, uri, "one", trials=arguments.trials)
        studied(home, uri, "two", trials=arguments.trials, workers=2)
        run = search(home, uri, "one", trials=arguments.trials)
        found = publish_best(run, prepare_study(run)[0])
        write("\n".join(found.described()))
        current, best = run.params.model, found.applied_to(run.params.model)
        table("5 folds of the training side, 3 times", frame, [*folds(run, frame)], current, best)
        shuffled = [split(frame, seed) for seed in range(SPLITS)]
        table(f"{SPLITS} splits of everybody (flattered)", frame, shuffled, current, best)
        nested(home, uri, frame, shuffled[: arguments.nested], trials=arguments.trials)
        held_out(run, frame, current, best)


def load(home: Path, csv: Path) -> None:
    """The customers into a database of the benchmark's own."""
    engine = open_engine(f"sqlite:///{home / 'churn.db'}")
    loading.create_table(engine)
    loading.load_customers(engine, read_csv_customers(csv, load_contract()), now=datetime.now(UTC))


def search(home: Path, uri: str, name: str, *, trials: int, workers: int = 1) -> TuningRun:
    """A study as params.yaml has it, but for its size."""
    params = load_params(Settings().params_file)
    assert params.tuning is not None, "params.yaml has no section tuning"
    return TuningRun(
        dag_run_id=name,
        store=LocalStore(home / "store"),
        engine=open_engine(f"sqlite:///{home / 'churn.db'}"),
        registry=Registry(uri, experiment=EXPERIMENT),
        contract=load_contract(),
        params=params,
        rules=params.tuning.model_copy(
            update={"trials": trials, "workers": workers, "minutes": 1e6}
        ),
        storage=str(home / "tuning" / f"{name}.log"),
        tags={PARAMS_TAG: params.sha256()},
    )


def customers(home: Path, uri: str) -> pd.DataFrame:
    """All labelled customers, as the tasks read them."""
    run = search(home, uri, "all", trials=1)
    return queries.read_customers(run.engine, run.contract, labelled_only=True)


def work(home: str, uri: str, name: str, trials: str, workers: str, worker: str) -> None:
    """One worker's share, in a process of its own."""
    run = search(Path(home), uri, name, trials=int(trials), workers=int(workers))
    tune_hyperparameters(run, prepare_study(run)[int(worker)])


def begun(
    home: Path, uri: str, name: str, *, trials: int, workers: int = 1
) -> "list[subprocess.Popen[bytes]]":
    """The processes of a study's workers."""
    words = [str(home), uri, name, str(trials), str(workers)]
    command = [sys.executable, "-W", "ignore", "-c", WORKER, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen([*command, str(worker)], cwd=PROJECT, env=environment)
        for worker in range(workers)
    ]


def studied(home: Path, uri: str, name: str, *, trials: int, workers: int = 1) -> None:
    """Make a whole study."""
    prepare_study(search(home, uri, name, trials=trials, workers=workers))
    before = cpu_seconds()
    for process in begun(home, uri, name, trials=trials, workers=workers):
        assert process.wait() == 0, f"a worker of the study {name} failed"
    tell(home, name, cpu_seconds() - before)


def opened(home: Path, name: str) -> Any:
    """A study by its name."""
    return studies.open_study(str(home / "tuning" / f"{name}.log"), name)


def cpu_seconds() -> float:
    """What the processes that ended have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tell(home: Path, name: str, cpu: float) -> None:
    """A line on a study."""
    trials = studies.finished(opened(home, name))
    whole = [each for each in trials if studies.is_whole(each)]
    begun_at, ended_at = (
        min(t.datetime_start for t in trials),
        max(t.datetime_complete for t in trials),
    )
    judged = sum(len(each.intermediate_values) for each in trials)
    best = max(map(studies.mean_auc, whole))
    write(
        f"study {name}: {(ended_at - begun_at).total_seconds():.0f} s ({cpu:.0f} s of CPU, imports "
        f"included) for {len(trials)} trials, {len(trials) - len(whole)} pruned, {judged} folds "
        f"judged, best {best:.5f}"
    )


def split(frame: pd.DataFrame, seed: int) -> Sides:
    """Each customer's side of a stratified split."""
    labels = load_contract().labels(frame)
    places = np.arange(len(frame))
    rest, held = train_test_split(places, test_size=HOLDOUT, stratify=labels, random_state=seed)
    _, aside = train_test_split(
        rest, test_size=CALIBRATION / (1 - HOLDOUT), stratify=labels[rest], random_state=seed
    )
    return _sides(len(frame), held, aside)


def folds(run: TuningRun, frame: pd.DataFrame) -> Iterator[Sides]:
    """Each fold of the training side as a hold-out; an eighth of the others calibrates."""
    labels = run.contract.labels(frame)
    mine = np.flatnonzero(
        run.params.split.sides(frame[run.contract.key.name].tolist()) == "training"
    )
    for repeat in range(1, run.rules.repeats + 1):
        folder = StratifiedKFold(
            run.rules.folds, shuffle=True, random_state=run.rules.seed + repeat
        )
        for rest, held in folder.split(mine, labels[mine]):
            _, aside = train_test_split(
                rest, test_size=1 / 8, stratify=labels[mine][rest], random_state=repeat
            )
            sides = np.full(len(frame), "", dtype="<U11")
            sides[mine] = _sides(len(mine), held, aside)
            yield sides


def _sides(rows: int, held: NDArray[np.int64], aside: NDArray[np.int64]) -> Sides:
    sides = np.full(rows, "training", dtype="<U11")
    sides[held], sides[aside] = "holdout", "calibration"
    return sides


def answers(frame: pd.DataFrame, sides: Sides, model: ModelParams) -> NDArray[np.float64]:
    """P(churn) of a split's hold-out by a model of its other sides."""
    contract = load_contract()
    params: Params = load_params(Settings().params_file).model_copy(update={"model": model})
    fitted = fit.fit(fit.prepare(frame.assign(**{SPLIT: sides}), contract, params), model)
    return fitted.probabilities(contract.matrix(frame[sides == "holdout"], fitted.columns))


def scores(frame: pd.DataFrame, model: ModelParams, sides: Sides) -> dict[str, float]:
    """What a set reaches on a split's hold-out."""
    labels = load_contract().labels(frame[sides == "holdout"])
    return evaluation.scores(labels, answers(frame, sides, model), threshold=model.threshold)


def table(
    title: str, frame: pd.DataFrame, splits: Sequence[Sides], old: ModelParams, new: ModelParams
) -> None:
    """Both sets on the same splits."""
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        before = list(pool.map(partial(scores, frame, old), splits))
        after = list(pool.map(partial(scores, frame, new), splits))
    compare(title, before, after)


def compare(title: str, before: Scores, after: Scores) -> None:
    """Means and paired differences."""
    write(f"{title}: {len(before)} pairs")
    for name in SHOWN:
        old, new = ([each[name] for each in side] for side in (before, after))
        gains = [one - other for one, other in zip(new, old, strict=True)]
        low, high = gain_interval(gains, folds=round(1 / HOLDOUT), confidence=0.95)
        write(
            f"  {name:8} before {np.mean(old):.5f}  after {np.mean(new):.5f}  "
            f"difference {np.mean(gains):+.5f} from {low:+.5f} to {high:+.5f}"
        )


def nested(
    home: Path, uri: str, frame: pd.DataFrame, splits: Sequence[Sides], *, trials: int
) -> None:
    """A search on each split's training rows alone, and its best set on the split's hold-out."""
    if len(splits) < 2:
        return
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        pairs = list(
            pool.map(partial(_nested_one, home, uri, frame, trials), range(len(splits)), splits)
        )
    better = sum(taken for _, _, taken in pairs)
    compare(
        f"nested, a search for each split ({better} found a set that is better beyond chance)",
        [before for before, _, _ in pairs],
        [after for _, after, _ in pairs],
    )


def _nested_one(
    home: Path, uri: str, frame: pd.DataFrame, trials: int, place: int, sides: Sides
) -> tuple[dict[str, float], dict[str, float], bool]:
    name = f"nested-{place}"
    run = search(home, uri, name, trials=trials)
    run = replace(run, store=LocalStore(home / name))
    mine = frame[sides == "training"].reset_index(drop=True)
    share = Share(
        study=name,
        worker=0,
        trials=trials,
        deadline=datetime.max.replace(tzinfo=UTC),
        customers=run.write_frame("prepare_study", "customers.parquet", mine),
        rows=len(mine),
        data_sha256=name,
        mlflow_run_id=run.registry.ensure_run(name, run.tags),
    )
    tune_hyperparameters(run, share)
    found = publish_best(run, share)
    current = run.params.model
    return (
        scores(frame, current, sides),
        scores(frame, found.applied_to(current), sides),
        found.is_better,
    )


def held_out(run: TuningRun, frame: pd.DataFrame, old: ModelParams, new: ModelParams) -> None:
    """Both sets on the project's own hold-out."""
    sides = run.params.split.sides(frame[run.contract.key.name].tolist())
    labels = run.contract.labels(frame[sides == "holdout"])
    before, after = (answers(frame, sides, model) for model in (old, new))
    gain, (low, high) = gate.paired_gain(labels, after, before, confidence=0.95)
    write(f"the project's hold-out, which no search saw: {len(labels)} customers")
    for name in SHOWN:
        was, found = (
            evaluation.scores(labels, each, threshold=old.threshold)[name]
            for each in (before, after)
        )
        interval = f" from {low:+.5f} to {high:+.5f}" if name == "roc_auc" else ""
        difference = f"{found - was:+.5f}{interval}"
        write(f"  {name:8} before {was:.5f}  after {found:.5f}  difference {difference}")


if __name__ == "__main__":
    main()
