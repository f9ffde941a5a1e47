"""Days of a bank whose customers did not change, and of one whose customers did.

Half of the customers are a champion's world: it is trained on them, and they are its reference.
Days are drawn from the other half, whom it has never seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from include.contract import Contract
from include.drift import statistics
from include.drift.findings import Verdict
from include.drift.reference import Reference, compare_group, reference_of
from include.drift.statistics import SCORE, Counts
from include.features import SplitRule
from include.params import DriftRules
from include.training import fit
from research.customers import Study

Floats: TypeAlias = NDArray[np.float64]
Population: TypeAlias = Literal["all", "existing"]  # of customers, whom a bank may ask about


@dataclass(frozen=True)
class Day:
    """Whom the model was asked about, customers × features, and what it answered."""

    customers: Floats
    scores: Floats


@dataclass(frozen=True)
class Bank:
    """A champion with its reference, and customers whom neither holds."""

    reference: Reference
    fitted: fit.Fitted
    contract: Contract
    others: Day
    left: NDArray[np.bool_]  # of the others

    @cached_property
    def deviations(self) -> dict[str, float]:
        """Each feature's standard deviation among the others."""
        spread = self.others.customers.std(axis=0).tolist()
        return dict(zip(self.contract.feature_names, spread, strict=True))

    def draw(
        self,
        rows: int,
        random: np.random.Generator,
        *,
        population: Population = "all",
        leaving_share: float | None = None,
    ) -> Day:
        """A day's customers, with replacement; with as many leavers among them as usual, or so."""
        share = float(self.left.mean()) if leaving_share is None else leaving_share
        weight = np.where(self.left, share / self.left.sum(), (1 - share) / (~self.left).sum())
        if population == "existing":
            weight = (~self.left) / (~self.left).sum()
        chosen = random.choice(len(self.left), rows, p=weight)
        return Day(self.others.customers[chosen], self.others.scores[chosen])

    def counts(self, day: Day) -> dict[str, Counts]:
        """The day as drift detection sees it: counts by feature, and of the score."""
        values = dict(zip(self.contract.feature_names, day.customers.T, strict=True))
        values[SCORE] = day.scores
        places = self.reference.places
        return {name: statistics.count(each, places[name]) for name, each in values.items()}

    def judge(self, day: Day, rules: DriftRules) -> tuple[Verdict, ...]:
        """The verdicts of `churn_drift` on the day."""
        return compare_group(self.reference, self.counts(day), rules)[1]

    def answered(self, customers: Floats) -> Day:
        """These customers with the champion's answers."""
        return Day(customers, self.fitted.probabilities(customers))


def make_bank(study: Study, *, salt: str) -> Bank:
    """Half of the customers as a champion's world; another salt halves them otherwise."""
    contract, params = study.contract, study.params
    halves = SplitRule(salt=salt, calibration_share=0.1, holdout_share=0.5)
    out = halves.sides(study.frame[contract.key.name].tolist()) == "holdout"
    known = fit.with_split(study.frame[~out].reset_index(drop=True), contract, params.split)
    fitted = fit.fit(fit.prepare(known, contract, params), params.model)
    names = contract.feature_names
    known = known.assign(**{SCORE: fitted.probabilities(contract.matrix(known, names))})
    others = contract.matrix(study.frame[out], names)
    return Bank(
        reference=reference_of(known, contract, names),
        fitted=fitted,
        contract=contract,
        others=Day(others, fitted.probabilities(others)),
        left=contract.labels(study.frame[out]) == 1,
    )


Change: TypeAlias = Callable[[Bank, Day, np.random.Generator], Day]


def shift(name: str, shift_sd: float) -> Change:
    """A numeric column moved by so many standard deviations, never below zero."""

    def change(bank: Bank, day: Day, random: np.random.Generator) -> Day:
        place, step = bank.contract.feature_names.index(name), shift_sd * bank.deviations[name]
        moves = np.full(len(day.customers), step)
        if bank.contract.column(name).type == "integer":  # up or down at random, without bias
            moves = np.floor(step + random.random(len(moves)))
        moved = day.customers.copy()
        moved[:, place] = np.maximum(moved[:, place] + moves, 0)
        return bank.answered(moved)

    return change


def recategorise(name: str, category: str, share: float) -> Change:
    """So large a share of customers changed to one category, whichever they had."""

    def change(bank: Bank, day: Day, random: np.random.Generator) -> Day:
        place = bank.contract.feature_names.index(name)
        moved = day.customers.copy()
        chosen = random.random(len(moved)) < share
        moved[chosen, place] = bank.contract.column(name).ordinals[category]
        return bank.answered(moved)

    return change


def shift_score(log_odds: float) -> Change:
    """The same customers with other answers, as from a model or a feature computed otherwise."""

    def change(bank: Bank, day: Day, random: np.random.Generator) -> Day:
        inside = np.clip(day.scores, 1e-9, 1 - 1e-9)
        return replace(day, scores=expit(logit(inside) + log_odds))

    return change


def more_leavers(share: float) -> Change:
    """Other customers: so large a share of them are such as leave."""

    def change(bank: Bank, day: Day, random: np.random.Generator) -> Day:
        return bank.draw(len(day.scores), random, leaving_share=share)

    return change


def true_effect(bank: Bank, change: Change, rules: DriftRules) -> tuple[str, float]:
    """What a change moves most, and by how large a share, without the chance of a single day."""
    changed = bank.counts(change(bank, bank.others, np.random.default_rng(0)))
    before = bank.counts(bank.others)
    pairs = bank.reference.compare(changed, "all").items()
    verdicts = statistics.judge({n: replace(p, reference=before[n]) for n, p in pairs}, rules)
    most = max(verdicts, key=lambda verdict: verdict.effect)
    return most.feature, most.effect
