"""The months that judge, from the rows that a run hands on: whose answers count, and hindsight."""

from datetime import date, timedelta
from functools import partialmethod
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from include.champion.early_warning import Hindsight
from include.champion.registry import Registry
from include.contract import Contract, Share
from include.history.clock import AS_OF, LEFT_AFTER, OLDER
from include.history.lead_times import BASELINE, CHAMPION, MODEL
from include.params import Params
from include.store import Store
from include.target import STATE
from include.training.early_months import Months, band, read_hindsight, read_months
from include.training.fit import SPLIT
from include.training.run import TrainingRun

LAST = date(2026, 6, 1)
CUSTOMERS = 300


@pytest.fixture
def run(local_store: Store, engine: Engine, contract: Contract, params: Params) -> TrainingRun:
    """A run that asks MLflow nothing."""
    parts: dict[str, Any] = {"trigger": {}, "git_commit": "abc"}
    registry = cast(Registry, None)
    return TrainingRun("judging", local_store, engine, registry, contract, params, **parts)


@pytest.fixture
def holdout(people: pd.DataFrame) -> pd.DataFrame:
    """Customers as of the last month: every tenth leaves 80 days later."""
    left = np.where(np.arange(CUSTOMERS) % 10 == 0, 80, np.nan)
    days = pd.Series(left).astype("Int64")
    return people.head(CUSTOMERS).assign(**{AS_OF: LAST, LEFT_AFTER: days, SPLIT: "holdout"})


def months_of(run: TrainingRun, holdout: pd.DataFrame, champion: np.ndarray | None) -> Months:
    """The hold-out with three older months of the same customers, who all leave on one day."""
    older = [
        holdout.assign(
            **{
                AS_OF: LAST - timedelta(days=30 * back),
                LEFT_AFTER: holdout[LEFT_AFTER] + 30 * back,
                SPLIT: OLDER,
            }
        )
        for back in (1, 3, 2)
    ]
    customers = run.write_frame("transform_data", "customers.parquet", pd.concat([*older, holdout]))

    def rankings(frame: pd.DataFrame) -> dict[str, np.ndarray]:
        found = {MODEL: frame[LEFT_AFTER].notna().to_numpy() * 1.0}
        return found if champion is None else {**found, CHAMPION: np.resize(champion, len(frame))}

    return read_months(run, customers, holdout, rankings, run.params.horizon)


def test_months_ascend_and_the_naive_rule_ranks_within_each(
    run: TrainingRun, holdout: pd.DataFrame
) -> None:
    months = months_of(run, holdout, None)
    days = [month.as_of for month in (*months.older, months.holdout)]
    assert days == [LAST - timedelta(days=30 * back) for back in (3, 2, 1, 0)]
    naive = [month.answers[BASELINE] for month in (*months.older, months.holdout)]
    assert all((each == naive[0]).all() for each in naive)


def test_a_month_may_end_within_a_batch_and_keeps_no_more_than_its_arrays(
    run: TrainingRun, holdout: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = partialmethod(TrainingRun.read_batches, rows=70)
    monkeypatch.setattr(TrainingRun, "read_batches", batches)
    months = months_of(run, holdout, np.full(CUSTOMERS, 0.5))
    assert [len(month.keys) for month in months.older] == [CUSTOMERS] * 3
    assert all((month.keys == holdout["CLIENTNUM"]).all() for month in months.older)
    arrays = [a for m in months.older for a in (m.keys, m.left_after, *m.answers.values())]
    assert all(array.base is None for array in arrays)


def test_the_report_is_of_everybody_and_knows_no_champion(
    run: TrainingRun, holdout: pd.DataFrame
) -> None:
    half = np.where(np.arange(CUSTOMERS) % 2, np.nan, 0.5)
    report = months_of(run, holdout, half).report()
    assert (report.rows, report.champion, report.model.roc_auc) == (CUSTOMERS, None, 1.0)
    # 80 days ahead in June and 110 in May, when they were not yet about to leave.
    assert [month.as_of for month in report.older] == []
    assert report.leavers == {"15–30": 0, "31–60": 0, "61–104": CUSTOMERS // 10}
    (left,) = report.months
    assert (left.month, left.leavers) == ("2026-08", CUSTOMERS // 10)


def test_only_customers_who_may_judge_the_champion_count_in_the_gate(
    run: TrainingRun, holdout: pd.DataFrame
) -> None:
    half = np.where(np.arange(CUSTOMERS) % 4 == 0, 0.5, np.nan)
    early = months_of(run, holdout, half).judged({}, ())
    assert early is not None and early.figures.champion is not None
    assert early.figures.rows == len(early.naive) == CUSTOMERS // 4
    assert early.figures.champion.roc_auc == 0.5


def test_nobody_who_may_judge_leaves_the_gate_without_figures(
    run: TrainingRun, holdout: pd.DataFrame
) -> None:
    months = months_of(run, holdout, np.full(CUSTOMERS, np.nan))
    assert months.judged({}, ()) is None


def hindsight_of(run: TrainingRun, holdout: pd.DataFrame, name: str) -> Hindsight:
    return next(each for each in read_hindsight(run, holdout) if each.feature == name)


def test_a_history_that_was_filled_afterwards_shows(
    run: TrainingRun, holdout: pd.DataFrame
) -> None:
    column = "Total_Trans_Ct"
    honest = holdout.assign(**{column: holdout[column] + 7})
    assert hindsight_of(run, honest, column).kept == 0.0
    left = honest[LEFT_AFTER].notna()
    planted = honest.assign(**{column: holdout[column].where(left, honest[column])})
    assert hindsight_of(run, planted, column).kept == 1.0


def test_a_column_of_another_meaning_shows(run: TrainingRun, holdout: pd.DataFrame) -> None:
    column = "Total_Trans_Amt"
    yearly = hindsight_of(run, holdout, column)
    monthly = hindsight_of(run, holdout.assign(**{column: holdout[column] // 12}), column)
    assert yearly.moved == 0.0
    assert monthly.moved is not None and monthly.moved > 0.9


def test_customers_who_are_in_the_table_no_more_or_wrong_there_are_not_compared(
    run: TrainingRun, holdout: pd.DataFrame
) -> None:
    stranger = holdout.assign(CLIENTNUM=holdout["CLIENTNUM"] + 10**9)
    assert hindsight_of(run, stranger, "Credit_Limit").moved is None


def test_the_band_of_leavers_begins_lower_for_a_quarter_than_for_a_year(params: Params) -> None:
    share = Share(minimum=0.01, maximum=0.6)
    assert band(share, STATE) == share
    assert band(share, params.horizon) == Share(minimum=0.01 * 90 / 365, maximum=0.6)
