"""Whether a run warns early or recognises the state: as asked, and as far as history allows."""

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime

import sqlalchemy as sa

from include.contract import Contract
from include.errors import DataError
from include.history import clock, cohorts
from include.history.clock import Months
from include.history.cohorts import Exits
from include.params import Params
from include.target import STATE, Target

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """What a run predicts, and why; the history where that is what it learns from."""

    target: Target
    reason: str
    months: Months | None = None
    exits: Exits | None = None


def choose(engine: sa.Engine, contract: Contract, params: Params, *, now: datetime) -> Choice:
    """The target of params.yaml, `auto` by whether there is history enough.

    DataError where params.yaml insists on a horizon and something is missing.
    """
    if params.target == "state":
        return Choice(STATE, "params.yaml asks for the state")
    months, exits, missing = _found(engine, contract, params, now=now)
    if not missing and months:
        return Choice(params.horizon, clock.described(months), months, exits)
    if params.target == "horizon":
        raise DataError(
            f"params.yaml asks for the target horizon, and there is not enough history: {missing}. "
            "Load history (make load-history), wait, or set target to auto"
        )
    return Choice(STATE, missing)


def _found(
    engine: sa.Engine, contract: Contract, params: Params, *, now: datetime
) -> tuple[Months | None, Exits | None, str]:
    """The months and exits that there are, and what is missing; '' where nothing is."""
    rules, horizon, today = params.history, params.horizon, now.astimezone(UTC).date()
    if not cohorts.is_there(engine):
        return None, None, clock.too_few_months([], None, horizon, rules, delay_days=0, today=today)
    exits = cohorts.read_exits(engine, contract, now=now)
    months = clock.months_of(exits.days, horizon, cutoff=exits.cutoff, delay_days=exits.delay_days)
    if months:
        newest = _newest(months, rules.months_max)
        months = clock.months_of(newest, horizon, cutoff=exits.cutoff, delay_days=exits.delay_days)
    missing = clock.too_few_months(
        exits.days, months, horizon, rules, delay_days=exits.delay_days, today=today
    )
    if not missing and months:
        missing = _too_few_leavers(engine, contract, params, months)
    return months, exits, missing


def _newest(months: Months, months_max: int) -> list[date]:
    """The days of so many closed calendar months."""
    found = sorted({day.replace(day=1) for day in months.closed})
    return [day for day in months.closed if day >= found[-months_max:][0]]


def _too_few_leavers(engine: sa.Engine, contract: Contract, params: Params, months: Months) -> str:
    """What is missing of those who left, each counted once; '' where nothing is."""
    rules, taught, wanted = params.history, set[int](), params.history.leavers_min
    for day in reversed(months.training):
        keys = cohorts.leavers_of(engine, contract, months, day, rules=rules)
        sides = params.split.sides(keys)
        taught |= {key for key, side in zip(keys, sides, strict=True) if side == "training"}
        if len(taught) >= wanted:
            break
    if len(taught) < wanted:
        return (
            f"{len(taught)} of {wanted} leavers in the windows of the {len(months.training)} "
            f"months that teach (history.leavers_min), rows loaded more than "
            f"{rules.loaded_days_max:g} days late left out{_with_called(params)}"
        )
    keys = cohorts.leavers_of(engine, contract, months, months.holdout, rules=rules)
    judging = params.split.sides(keys)
    found, least = int((judging == "holdout").sum()), params.gate.slice_class_rows_min
    if found < least:
        return (
            f"{found} of {least} leavers among the hold-out customers of {months.holdout}, whose "
            f"month judges (gate.slice_class_rows_min){_with_called(params)}"
        )
    return ""


def _with_called(params: Params) -> str:
    """That fewer may be left: calls are looked at when the rows are read."""
    if not params.campaigns.leaves_out:
        return ""
    return ", those who were called (campaigns.listed_customers) still among them"
