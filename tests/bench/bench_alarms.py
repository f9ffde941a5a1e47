"""How often quiet days ring and shifted ones do; run by `make bench-alarms CSV=…`.

Days are resamples of real customers that the reference does not hold: half of the customers are
the reference, days are drawn from the other half. Both populations that an API may see are tried:
all customers, and existing ones only. "Any p" is the rule that this one replaces: any feature
with p < 0.05 against the same rows. The score is a model's, trained on the reference's own
training rows.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.contract import load_contract
from include.drift import statistics
from include.drift.findings import Mix, Verdict
from include.drift.reference import Reference
from include.drift.statistics import SCORE
from include.features import SplitRule
from include.params import DriftRules, Params, load_params
from include.settings import Settings
from include.training import fit
from tests.include.bank_days import manifest_of

ROWS = (500, 1000, 2000, 5000)
SHIFTS_SD = (0.2, 0.5, 1.0)
SHIFTED = {
    "age": ("Customer_Age",),  # nearly normal, so that 0.2 standard deviations are D = 0.08
    "count": ("Total_Trans_Ct",),  # not at all normal
    "three": ("Total_Trans_Amt", "Total_Trans_Ct", "Total_Ct_Chng_Q4_Q1"),
    "all": (),  # every numeric one
}
CONTRACT = load_contract()
NAMES = (*CONTRACT.feature_names, SCORE)
CATEGORICAL = {column.name for column in CONTRACT.features if column.categories}

MIXES: tuple[Mix, ...] = ("all", "existing")


@dataclass(frozen=True)
class Bank:
    """A model's reference, and customers that it does not hold, to draw days from."""

    reference: Reference
    others: NDArray[np.float64]
    existing: NDArray[np.bool_]
    fitted: fit.Fitted
    deviations: NDArray[np.float64]

    def compare(
        self, day: NDArray[np.float64], rules: DriftRules
    ) -> dict[str, tuple[Verdict, ...]]:
        """The verdicts against each mix."""
        columns = dict(
            zip(NAMES, np.column_stack([day, self.fitted.probabilities(day)]).T, strict=True)
        )
        places = self.reference.places
        current = {name: statistics.count(columns[name], places[name]) for name in NAMES}
        return {mix: statistics.judge(self.reference.compare(current, mix), rules) for mix in MIXES}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path, help="real customers, as downloaded")
    parser.add_argument("--days", type=int, default=500)
    parser.add_argument("--shifted-days", type=int, default=100)
    arguments = parser.parse_args()
    params = load_params(Settings().params_file)
    bank = make_bank(pd.read_csv(arguments.csv), params)
    for population in ("all", "existing"):
        quiet_table(bank, population, params.drift, days=arguments.days)
    for population in ("all", "existing"):
        power_table(bank, population, params.drift, days=arguments.shifted_days)


def make_bank(frame: pd.DataFrame, params: Params) -> Bank:
    """Half of the customers as a model's world, the others to draw days from."""
    keys = frame[CONTRACT.key.name].tolist()
    half = SplitRule(salt="halves", calibration_share=0.1, holdout_share=0.5)
    out = half.sides(keys) == "holdout"
    known, others = frame[~out].reset_index(drop=True), frame[out].reset_index(drop=True)
    fitted = fit.fit(
        fit.prepare(fit.with_split(known, CONTRACT, params.split), CONTRACT, params), params.model
    )
    matrix = CONTRACT.matrix(known, CONTRACT.feature_names)
    trained = params.split.sides(known[CONTRACT.key.name].tolist()) == "training"
    stayed = CONTRACT.labels(known) == 0
    names = CONTRACT.feature_names
    values = dict(zip(names, matrix[trained].T, strict=True))
    values[SCORE] = fitted.probabilities(matrix[~trained])
    existing = dict.fromkeys(names, stayed[trained]) | {SCORE: stayed[~trained]}
    reference = Reference(manifest_of("1", names, {}), values, existing)
    day_rows = CONTRACT.matrix(others, CONTRACT.feature_names)
    return Bank(reference, day_rows, CONTRACT.labels(others) == 0, fitted, matrix.std(axis=0))


def quiet_table(bank: Bank, population: str, rules: DriftRules, *, days: int) -> None:
    """Alarm rates of days on which nothing changed."""
    write(f"\nquiet days, {population} customers: share of {days} days that ring")
    write(f"{'rows':>8}" + "".join(f"{h:>12}" for h in HEADINGS))
    for rows in ROWS:
        random = np.random.default_rng(rows)
        found = [alarms(bank, draw(bank, population, rows, random), rules) for _ in range(days)]
        write(f"{rows:8,}" + "".join(f"{share:12.1%}" for share in np.mean(found, axis=0)))


def power_table(bank: Bank, population: str, rules: DriftRules, *, days: int) -> None:
    """Alarm rates of days on which some features moved."""
    write(f"\nshifted days, {population} customers: share of {days} days that ring, by rows")
    write(f"{'features':>10}{'shift':>8}" + "".join(f"{rows:>12,}" for rows in ROWS))
    for label, names in SHIFTED.items():
        for shift_sd in SHIFTS_SD:
            shares = []
            for rows in ROWS:
                random = np.random.default_rng(rows)
                drawn = (draw(bank, population, rows, random) for _ in range(days))
                moved = (shifted(bank, day, names, shift_sd) for day in drawn)
                shares.append(np.mean([alarms(bank, day, rules)[0] for day in moved]))
            write(f"{label:>10}{shift_sd:8.1f}" + "".join(f"{share:12.0%}" for share in shares))


HEADINGS = ("nearest", "all", "existing", "no floor", "any p<0.05")


def alarms(bank: Bank, day: NDArray[np.float64], rules: DriftRules) -> tuple[bool, ...]:
    """Whether the day rings, under each of the rules in HEADINGS."""
    found = bank.compare(day, rules)
    nearest = min(found.values(), key=statistics.mean_effect)
    return (
        statistics.day_drifted(nearest, rules),
        statistics.day_drifted(found["all"], rules),
        statistics.day_drifted(found["existing"], rules),
        any(verdict.significant for verdict in nearest),
        any(verdict.p_value < 0.05 for verdict in found["all"]),
    )


def draw(
    bank: Bank, population: str, rows: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """A day's customers, with replacement where there are not enough of them."""
    pool = bank.others[bank.existing] if population == "existing" else bank.others
    return random.choice(pool, rows, replace=rows > len(pool))


def shifted(
    bank: Bank, day: NDArray[np.float64], names: tuple[str, ...], shift_sd: float
) -> NDArray[np.float64]:
    """The day with columns moved by so many standard deviations, never below zero."""
    moved = day.copy()
    for place, name in enumerate(CONTRACT.feature_names):
        if name in (names or CONTRACT.feature_names) and name not in CATEGORICAL:
            step = shift_sd * bank.deviations[place]
            if CONTRACT.column(name).type == "integer":
                step = np.floor(step + np.random.default_rng(place).random(len(day)))
            moved[:, place] = np.maximum(day[:, place] + step, 0)
    return moved


def write(line: str) -> None:
    """One line, shown at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
