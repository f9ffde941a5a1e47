"""A history small enough for tests: who leaves grows quiet in the months before."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Engine

from include.customers.loading import create_table, load_customers
from include.customers.sample import sample_customers
from include.history.tables import AS_OF, EXITS, LOADED_AT, SNAPSHOTS, exits_table, snapshots_table
from include.params import HistoryRules, Params

MONTH_HAZARD = 0.08
QUIET_DAYS = 150
RULES = HistoryRules(leavers_min=40)


@dataclass(frozen=True)
class Tiny:
    """What was written: a frame with a row for each customer and month, and the exits."""

    snapshots: pd.DataFrame
    exits: pd.DataFrame
    days: tuple[date, ...]


def tiny_history(*, customers: int = 700, months: int = 10, seed: int = 3) -> Tiny:
    """So many months up to the present one; exits are known three days after leaving."""
    random, now = np.random.default_rng(seed), datetime.now(UTC)
    last = pd.Timestamp(now.date()) - pd.Timedelta(days=2)
    days = [last - pd.DateOffset(months=back) for back in reversed(range(months))]
    people = sample_customers(customers, seed=seed).drop(columns="Attrition_Flag")
    stays = random.exponential(30 / MONTH_HAZARD, customers).astype(int) + 1
    left_on = pd.Series([days[0] + pd.Timedelta(days=int(stay)) for stay in stays])
    parts = []
    for day in days:
        active = (left_on > day).to_numpy()
        frame = people[active].copy()
        quiet = (left_on[active] - day).dt.days.to_numpy() < QUIET_DAYS
        quiet &= random.random(len(quiet)) < 0.8
        frame["Total_Trans_Ct"] = np.where(quiet, 20, 75) + random.integers(0, 20, len(frame))
        frame[AS_OF], frame[LOADED_AT] = day.date(), day.to_pydatetime() + timedelta(hours=3)
        parts.append(frame)
    gone = left_on <= last - pd.Timedelta(days=3)
    exits = pd.DataFrame(
        {
            "CLIENTNUM": people["CLIENTNUM"][gone],
            "left_on": [day.date() for day in left_on[gone]],
            "known_at": [day.to_pydatetime() + timedelta(days=3) for day in left_on[gone]],
            "voluntary": True,
        }
    )
    snapshots = pd.concat(parts, ignore_index=True)
    return Tiny(snapshots, exits, tuple(day.date() for day in days))


def fill(engine: Engine, tiny: Tiny) -> None:
    """Write a history into its tables, and what is known of its customers last into theirs."""
    create_table(engine)
    for table, frame in ((snapshots_table(), tiny.snapshots), (exits_table(), tiny.exits)):
        table.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(table), frame.to_dict("records"))
    latest = tiny.snapshots.drop_duplicates("CLIENTNUM", keep="last")
    left = latest["CLIENTNUM"].isin(tiny.exits["CLIENTNUM"])
    flags = np.where(left, "Attrited Customer", "Existing Customer")
    people = latest.drop(columns=[AS_OF, LOADED_AT]).assign(Attrition_Flag=flags)
    load_customers(engine, people, now=datetime.now(UTC))


def empty(engine: Engine) -> None:
    """Delete all history."""
    with engine.begin() as connection:
        for name in (SNAPSHOTS, EXITS):
            connection.execute(sa.text(f"DELETE FROM {name}"))


def warned_early(params: Params, **rules: object) -> Params:
    """Parameters under which so small a history is enough."""
    split = params.split.model_copy(update={"holdout_share": 0.3})
    history = RULES.model_copy(update=rules)
    return params.model_copy(update={"split": split, "history": history})
