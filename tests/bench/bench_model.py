"""How good the models are, as means over salts of the split; run by `make bench-model CSV=…`.

Each salt is another split by hash: trees, calibration and hold-out rows all change. The interval is
1.96 standard errors of the mean over salts. Hold-outs of different salts overlap, so it says how
far the mean depends on the split, not how far it would move on another bank's customers.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from include.contract import Contract, load_contract
from include.customers.sample import sample_customers
from include.params import ModelParams, Params, load_params
from include.settings import Settings
from include.training import evaluation
from tests.include.nights import fitted_on
from tests.include.records import EIGHT_COLUMNS as EIGHT

VARIANTS: dict[str, dict[str, object]] = {
    "xgboost, none": {"family": "xgboost", "resampling": "none"},
    "xgboost, smote": {"family": "xgboost", "resampling": "smote"},
    "xgboost, smotenc": {"family": "xgboost", "resampling": "smotenc"},
    "xgboost, none, 8 columns": {
        "family": "xgboost",
        "resampling": "none",
        "columns": EIGHT,
    },
    "xgboost, smote, 8 columns": {
        "family": "xgboost",
        "resampling": "smote",
        "columns": EIGHT,
    },
    "random forest, none": {"family": "random_forest", "resampling": "none"},
    "random forest, smotenc": {"family": "random_forest", "resampling": "smotenc"},
}
SHOWN = ("roc_auc", "f1", "calibration_error", "brier")


def main() -> None:
    """Print a table of variants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path, help="real customers, as downloaded")
    parser.add_argument("--salts", type=int, default=20)
    parser.add_argument("--sample-rows", type=int, default=20_000)
    arguments = parser.parse_args()
    contract, params = load_contract(), load_params(Settings().params_file)
    frame = pd.read_csv(arguments.csv)
    write(f"{'variant':28}" + "".join(f"{name:>20}" for name in SHOWN) + "   seconds")
    for name, changes in VARIANTS.items():
        started = time.perf_counter()
        model = ModelParams.model_validate({**params.model.model_dump(), **changes})
        found = [
            holdout_scores(frame, contract, salted(params, model, i))
            for i in range(arguments.salts)
        ]
        seconds = (time.perf_counter() - started) / arguments.salts
        write(
            f"{name:28}"
            + "".join(mean_interval([f[s] for f in found]) for s in SHOWN)
            + f"{seconds:10.2f}"
        )
    for seed in range(3):
        drawn = sample_customers(arguments.sample_rows, seed=seed)
        auc = cross_auc(drawn, frame, contract, params)
        write(f"{arguments.sample_rows} sample customers, seed {seed}: {auc:.4f} on real ones")


def salted(params: Params, model: ModelParams, salt: int) -> Params:
    """The parameters under another salt of the split."""
    split = params.split.model_copy(update={"salt": f"bench-{salt}"})
    return params.model_copy(update={"model": model, "split": split})


def holdout_scores(frame: pd.DataFrame, contract: Contract, params: Params) -> dict[str, float]:
    """Fit on one split and score its hold-out."""
    fitted = fitted_on(frame, contract, params)
    held = frame[params.split.sides(frame[contract.key.name].tolist()) == "holdout"]
    answers = fitted.probabilities(contract.matrix(held, fitted.columns))
    return evaluation.scores(contract.labels(held), answers, threshold=params.model.threshold)


def cross_auc(drawn: pd.DataFrame, real: pd.DataFrame, contract: Contract, params: Params) -> float:
    """ROC-AUC on real customers of a model trained on drawn ones."""
    fitted = fitted_on(drawn, contract, params)
    answers = fitted.probabilities(contract.matrix(real, fitted.columns))
    labels = contract.labels(real)
    return evaluation.scores(labels, answers, threshold=params.model.threshold)["roc_auc"]


def mean_interval(values: list[float]) -> str:
    """A mean with its interval over salts, in a column of 20."""
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):12.4f} ±{half:.4f}"


def write(line: str) -> None:
    """One line of the table, shown at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
