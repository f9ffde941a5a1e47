"""Customers into a run: who is read, counted, and dated."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from include.champion.registry import Registry
from include.contract import Contract
from include.customers import contacts
from include.customers.contacts import Mark
from include.customers.treatment import TAGS
from include.errors import DataError
from include.params import CampaignRules, Params
from include.store import Store
from include.target import STATE
from include.training.ingest_data import Called, ingest_data
from include.training.run import TrainingRun
from include.training.validate_data import validate_data
from tests.include.conftest import MakeRun, sql
from tests.include.history.tiny import fill, tiny_history, warned_early

NOW = datetime.now(UTC)


def test_unlabelled_customers_are_counted_and_never_trained_on(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame
) -> None:
    sql(engine, "UPDATE churners SET Attrition_Flag = NULL WHERE CLIENTNUM % 10 = 0")
    found = ingest_data(make_run("some"))
    unlabelled = int((people["CLIENTNUM"] % 10 == 0).sum())
    assert (found.rows, found.unlabelled_rows) == (len(people) - unlabelled, unlabelled)


def test_a_plain_insert_of_21_columns_counts_as_labelled_from_now_on(
    make_run: MakeRun, engine: Engine
) -> None:
    sql(engine, "UPDATE churners SET labelled_at = NULL")
    ingest_data(make_run("stamps"))
    with engine.connect() as connection:
        unstamped = "SELECT COUNT(*) FROM churners WHERE labelled_at IS NULL"
        assert connection.execute(text(unstamped)).scalar() == 0


def test_text_among_numbers_is_told_without_showing_it(make_run: MakeRun, engine: Engine) -> None:
    sql(engine, "UPDATE churners SET Customer_Age = 'Zorg' WHERE CLIENTNUM % 100 = 0")
    with pytest.raises(DataError, match="column Customer_Age .* holds what is no number") as told:
        ingest_data(make_run("wordy"))
    assert "Zorg" not in str(told.value)


def test_keys_that_are_text_are_refused(make_run: MakeRun, engine: Engine) -> None:
    sql(engine, "ALTER TABLE churners RENAME TO kept")
    sql(engine, "CREATE VIEW churners AS SELECT * FROM kept")
    sql(engine, "ALTER TABLE kept RENAME COLUMN CLIENTNUM TO number")
    sql(engine, "ALTER TABLE kept ADD COLUMN CLIENTNUM TEXT")
    with pytest.raises(DataError, match="CLIENTNUM .* is text: expected integers"):
        ingest_data(make_run("words"))


def test_who_is_left_out_may_stand_on_any_page(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.training.ingest_data.BATCH_ROWS", 700)
    last = people.sort_values("CLIENTNUM").tail(300)
    begin_campaign(engine, last, days_ago=10)
    run = make_run("pages")
    found = ingest_data(run)
    assert found.called.left_out == 200
    assert len(run.read_frame(run.key("ingest_data", "left_out.parquet"))) == 200


def test_labels_dated_in_several_spellings_count_alike(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame
) -> None:
    date_labels(engine, days_ago=30)
    begin_campaign(engine, people, days_ago=100)
    sql(engine, "UPDATE churners SET labelled_at = substr(labelled_at, 1, 19) WHERE CLIENTNUM % 2")
    assert ingest_data(make_run("spellings")).called.left_out == 200


def test_a_number_that_the_table_has_as_text_is_a_fault_of_its_column(
    make_run: MakeRun, engine: Engine
) -> None:
    sql(engine, "ALTER TABLE churners RENAME TO kept")
    sql(engine, "ALTER TABLE kept RENAME COLUMN Customer_Age TO age")
    sql(engine, "ALTER TABLE kept ADD COLUMN Customer_Age TEXT")
    sql(engine, "UPDATE kept SET Customer_Age = 'of age'")
    sql(engine, "ALTER TABLE kept RENAME TO churners")
    run = make_run("texts")
    with pytest.raises(DataError, match="Customer_Age expected an integer"):
        validate_data(run, ingest_data(run))


def begin_campaign(engine: Engine, people: pd.DataFrame, *, days_ago: float, **facts: Any) -> None:
    """200 customers on the list of a campaign and 50 kept aside."""
    contacts.create_contacts(engine)
    keys = [int(key) for key in people["CLIENTNUM"].head(250)]
    sides: list[Any] = 200 * ["listed"] + 50 * ["control"]
    facts = {"campaign": "spring", **facts}
    marks = [Mark(key, side, **facts) for key, side in zip(keys, sides, strict=True)]
    contacts.mark(engine, marks, now=datetime.now(UTC) - timedelta(days=days_ago))


def date_labels(engine: Engine, *, days_ago: float) -> None:
    moment = contacts.utc(datetime.now(UTC) - timedelta(days=days_ago))
    sql(engine, f"UPDATE churners SET labelled_at = '{moment.isoformat(sep=' ')}'")


@pytest.mark.parametrize(
    ("began", "labelled", "left_out"),
    [
        (10, 0, 200),  # the window is open, whatever the label
        (10, 30, 200),
        (100, 30, 200),  # closed, and a label from within
        (100, 5, 0),  # from after
        (100, 120, 0),  # from before
    ],
)
def test_listed_customers_are_left_out_while_nobody_knows_what_the_call_did(
    make_run: MakeRun,
    engine: Engine,
    people: pd.DataFrame,
    began: float,
    labelled: float,
    left_out: int,
) -> None:
    begin_campaign(engine, people, days_ago=began)
    date_labels(engine, days_ago=labelled)
    run = make_run("called")
    found = ingest_data(run)
    kept = set(run.read_frame(found.customers)["CLIENTNUM"])
    assert kept == set(people["CLIENTNUM"].iloc[left_out:])
    assert (found.rows, found.called) == (3000 - left_out, Called(left_out, 200 - left_out, 50))
    why = run.read_frame(run.key("ingest_data", "left_out.parquet"))
    assert len(why) == left_out and set(why["campaign"]) == ({"spring"} if left_out else set())


def test_a_customer_carries_his_last_campaign(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame
) -> None:
    begin_campaign(engine, people, days_ago=300)
    begin_campaign(engine, people.iloc[200:], days_ago=150, campaign="autumn")
    contacts.mark(engine, [Mark(1, "listed", campaign="of somebody who is gone")], now=NOW)
    date_labels(engine, days_ago=400)
    run = make_run("tagged")
    frame = run.read_frame(ingest_data(run).customers).set_index("CLIENTNUM")
    tags = frame.loc[people["CLIENTNUM"].iloc[[0, 220, 410, 2999]], list(TAGS)]
    assert tags["campaign"].tolist()[:3] == ["spring", "autumn", "autumn"]
    assert tags["campaign_side"].tolist()[:3] == ["listed", "listed", "control"]
    assert (NOW - tags["campaign_at"].iloc[0]).days == 299
    assert tags.iloc[3].isna().all()


class OneRun:
    """Takes a parameter once, as MLflow does: a second value is refused."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.columns: list[str] = []

    def ensure_run(self, *_: Any) -> str:
        return "the only one"

    def log(self, _: str, *, params: dict[str, Any], tags: dict[str, str], **__: Any) -> None:
        assert {**self.params, **params} == {**params, **self.params}
        self.params |= params
        self.columns.append(tags["columns"])


def test_a_run_that_is_cleared_once_there_is_history_enough_warns_early(
    local_store: Store, engine: Engine, contract: Contract, params: Params
) -> None:
    tracked, early = OneRun(), warned_early(params)
    registry = cast(Registry, tracked)
    run = TrainingRun("cleared", local_store, engine, registry, contract, early, {}, "abc")
    targets = [ingest_data(run).target]
    fill(engine, tiny_history())
    targets.append(ingest_data(run).target)
    assert targets == [STATE, params.horizon]
    assert tracked.columns == ["19", "28"]


def test_a_call_outside_campaigns_leaves_out_too(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame
) -> None:
    contacts.create_contacts(engine)
    called, noted, put_off = (int(key) for key in people["CLIENTNUM"].head(3))
    marks = [
        Mark(called, "called"),
        Mark(noted, "result", result="stays"),
        Mark(put_off, "snoozed"),
    ]
    contacts.mark(engine, marks, now=NOW)
    run = make_run("by hand")
    found = run.read_frame(ingest_data(run).customers)["CLIENTNUM"]
    assert set(people["CLIENTNUM"]) - set(found) == {called, noted}


def test_the_parameters_can_say_that_listed_customers_are_used(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame, params: Params
) -> None:
    begin_campaign(engine, people, days_ago=10)
    used = params.model_copy(update={"campaigns": CampaignRules(listed_customers="used")})
    assert ingest_data(make_run("used", params=used)).called == Called(0, 200, 50)


def test_campaigns_leave_the_hash_of_the_data_alone(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame
) -> None:
    date_labels(engine, days_ago=200)
    digests = set()
    for days_ago in (190, 100):
        begin_campaign(engine, people, days_ago=days_ago, campaign=f"{days_ago} days ago")
        run = make_run(f"{days_ago} days ago")
        digests.add(validate_data(run, ingest_data(run)).data_sha256)
    assert len(digests) == 1


def test_a_table_of_listed_customers_trains_nobody(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame
) -> None:
    contacts.create_contacts(engine)
    marks = [Mark(int(key), "listed", campaign="all") for key in people["CLIENTNUM"]]
    contacts.mark(engine, marks, now=NOW)
    with pytest.raises(DataError, match="all 3000 labelled customers were .*listed_customers"):
        ingest_data(make_run("nobody"))
