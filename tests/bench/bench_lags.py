"""What changes over earlier snapshots add to the columns of the newest; run by `make bench-lags`.

A made-up bank's last months teach and its newest closed one judges, as `include/history/clock.py`
has it. Three models of the same trees see the contract's columns alone, and with what changed in
five of them over earlier months; beside them stands the rule by which customers leave. In memory.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from xgboost import XGBClassifier

from include.contract import load_contract
from include.features import engineer
from include.history import clock
from include.history.clock import STAYS, Months, verdicts
from include.history.lead_times import Month, lead_times, listed_rows
from include.history.made_up import MadeUpMonth, made_up_months
from include.params import Params, load_params
from include.settings import Settings
from include.training.gate import paired_gain
from tests.bench.bench_growth import write
from tests.bench.bench_warning import LAST, table

CONTRACT = load_contract()
KEY = CONTRACT.key.name
CHANGING = [
    "Total_Trans_Ct",
    "Total_Trans_Amt",
    "Total_Revolving_Bal",
    "Months_Inactive_12_mon",
    "Contacts_Count_12_mon",
]
RULE, COLUMNS = "the rule itself", "columns of one snapshot"
LAGS = {COLUMNS: (), "and changes over 3, 6 months": (3, 6), "and over 1, 3, 6": (1, 3, 6)}
LONGEST = max(max(lags, default=0) for lags in LAGS.values())
TREES = {
    "n_estimators": 250,
    "learning_rate": 0.05,
    "max_depth": 4,
    "min_child_weight": 20,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bank:
    """A made-up history in memory, and what each of its months is for."""

    made: Sequence[MadeUpMonth]
    params: Params

    @cached_property
    def exits(self) -> pd.DataFrame:
        """Who left when, by the key."""
        return pd.concat([month.exits for month in self.made]).set_index(KEY)

    @cached_property
    def months(self) -> Months:
        """The days by what they are for; those without a past long enough are for nothing."""
        days = [month.as_of for month in self.made[LONGEST:]]
        found = clock.months_of(days, self.params.horizon, cutoff=self.made[-1].as_of, delay_days=0)
        assert found and found.training, "more months: their windows end before the last begins"
        return found

    def rows(self, month: MadeUpMonth, side: str) -> tuple[NDArray[np.bool_], Floats]:
        """Which of a month's customers count on that side, and after how many days each left."""
        known = self.exits.reindex(month.customers[KEY])
        days = (pd.to_datetime(known["left_on"]) - pd.Timestamp(month.as_of)).dt.days
        left_after = days.to_numpy(np.float64)
        forced = known["voluntary"].eq(False).to_numpy(np.bool_)
        late = np.zeros(len(days), dtype=np.bool_)
        found = verdicts(left_after, left_after, forced, late, self.params.horizon)
        counts = np.isin(found, [clock.LEAVES, STAYS])
        return counts & (self.params.split.sides(month.customers[KEY].tolist()) == side), left_after

    def features(self, month: MadeUpMonth, lags: Sequence[int]) -> Floats:
        """A month's columns as the model has them, and what changed since so many months before."""
        place = self.made.index(month)
        matrix = CONTRACT.matrix(month.customers, CONTRACT.feature_names)
        now = month.customers.set_index(KEY)[CHANGING]
        changes = [engineer(matrix, CONTRACT.feature_names)]
        for lag in lags:
            then = self.made[place - lag].customers.set_index(KEY)[CHANGING].reindex(now.index)
            changes.append((now - then).to_numpy(np.float64))  # NaN for who was not there yet
        return np.hstack(changes)

    def judged(self) -> Month:
        """The judging customers and what each ranking says of them."""
        taught = [month for month in self.made if month.as_of in self.months.training]
        judge = next(month for month in self.made if month.as_of == self.months.holdout)
        held, left_after = self.rows(judge, "holdout")
        answers = {
            name: self.fit(taught, lags).predict_proba(self.features(judge, lags)[held])[:, 1]
            for name, lags in LAGS.items()
        }
        answers[RULE] = judge.chances(self.params.horizon)[held]
        keys = judge.customers[KEY].to_numpy()[held]
        return Month(judge.as_of, keys, left_after[held], answers)

    def fit(self, taught: Sequence[MadeUpMonth], lags: Sequence[int]) -> XGBClassifier:
        """Trees on the training customers of the months that teach."""
        features, labels = [], []
        for month in taught:
            counts, left_after = self.rows(month, "training")
            features.append(self.features(month, lags)[counts])
            labels.append(left_after[counts] <= self.params.horizon.last_day)
        trees = XGBClassifier(**TREES, n_jobs=1, random_state=self.params.model.seed)
        return trees.fit(np.vstack(features), np.concatenate(labels))


def main() -> None:
    """Print the gains of each seed with their intervals, and the means over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=60_000)
    parser.add_argument("--months", type=int, default=18)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    params = load_params(Settings().params_file)
    found = []
    for seed in range(1, arguments.seeds + 1):
        history = made_up_months(arguments.customers, arguments.months, seed=seed, last=LAST)
        month = Bank(tuple(history), params).judged()
        write(f"\nseed {seed}: {int(month.labels(params.horizon).sum())} leavers judge")
        for line in gains(month, params):
            write(line)
        listed = listed_rows(len(month.keys), params.history.list_share)
        found.append(
            {
                who: lead_times(month, who, target=params.horizon, listed=listed)
                for who in month.answers
            }
        )
    for line in table(found):
        write(line)


def gains(month: Month, params: Params) -> list[str]:
    """What changes add to the ROC-AUC, each with its paired interval."""
    labels, said = month.labels(params.horizon), []
    for name in list(LAGS)[1:]:
        gain, (low, high) = paired_gain(
            labels, month.answers[name], month.answers[COLUMNS], confidence=params.gate.confidence
        )
        said.append(f"  {name}: ROC-AUC {gain:+.3f} ({low:+.3f} to {high:+.3f})")
    return said


if __name__ == "__main__":
    main()
