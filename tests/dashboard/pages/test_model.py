"""The page of the model: which kind it is, and what it says of the campaigns' outcomes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from dashboard.components.campaign_outcomes import campaigns_text, create_campaigns
from dashboard.data.ml_test_score import read_ml_test_score, score_text
from dashboard.data.sources import Sources, open_sources
from dashboard.pages import model
from include.champion.gate_decision import Decision
from include.champion.versions import POINTER_KEY
from include.contract import load_contract
from include.customers import contacts
from include.customers.campaign_effect import Group
from include.customers.campaigns import CampaignOutcome
from include.customers.contacts import Mark
from include.settings import Settings
from tests.dashboard import bank
from tests.dashboard.horizon import horizon_version
from tests.webapp.champions import publish

pytestmark = pytest.mark.slow

LONG_AGO = datetime.now(UTC) - timedelta(days=200)
KEYS = [int(key) for key in bank.people(3000)[load_contract().key.name]]


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    """A bank of 3,000 customers, none of whom has left."""
    settings = Settings(var_dir=tmp_path)
    bank.open_bank(settings, rows=3000, scored=False)
    found = open_sources(settings)
    contacts.create_contacts(found.engine)
    label(found.engine, KEYS, "Existing Customer", LONG_AGO - timedelta(days=100))
    yield found
    found.close()


def test_the_page_says_which_kind_of_model_serves_and_how_early_it_sees_leavers(
    sources: Sources,
) -> None:
    told = str(model.create_page(sources, {}))
    assert "It says who has left" in told and "How early it sees who leaves" not in told
    assert "By gender the share of leavers who are selected differs by" in told
    assert "Gender F" in told and score_text(read_ml_test_score()) in told
    publish(sources.store, horizon_version())
    told = str(model.create_page(sources, {}))
    assert "It says who leaves within 90 days" in told and "How early it sees who leaves" in told
    assert "Seen 61–104 days ahead" in told and "Version 1, before" in told
    assert "Confusion matrix" in told and "it is predicted who leaves within 90 days" in told


def test_without_a_champion_the_page_says_why_a_first_candidate_was_refused(
    sources: Sources,
) -> None:
    sources.store.delete(POINTER_KEY)
    decision = Decision(
        outcome="rejected",
        reasons=("worse than the naive rule",),
        decided_at=LONG_AGO,
        challenger="1",
        champion=None,
        holdout_rows=900,
        holdout_attrited_share=0.2,
        rules={},
    )
    assert "Latest decisions" not in str(model.create_page(sources, {}))
    sources.store.write("runs/manual__1/evaluate_model/gate.json", decision.to_bytes())
    told = str(model.create_page(sources, {}))
    assert "No champion yet" in told and "worse than the naive rule" in told


def label(engine: sa.Engine, keys: list[int], flag: str, at: datetime) -> None:
    """What the bank knows of customers, and since when."""
    values = {"Attrition_Flag": flag, "labelled_at": contacts.utc(at).isoformat(sep=" ")}
    people = sa.table("churners", *(sa.column(name) for name in ("CLIENTNUM", *values)))
    with engine.begin() as connection:
        connection.execute(sa.update(people).where(people.c.CLIENTNUM.in_(keys)).values(**values))


def run_campaign(
    engine: sa.Engine,
    first: int,
    *,
    listed: tuple[int, int],
    control: tuple[int, int],
    began: datetime = LONG_AGO,
) -> None:
    """A campaign over the customers from `first` on; of each side so many left after 30 days."""
    for kind, (count, left) in (("listed", listed), ("control", control)):
        keys = KEYS[first : first + count]
        marks = [Mark(key, kind, campaign=f"campaign {first // 1000}") for key in keys]  # type: ignore[arg-type]
        contacts.mark(engine, marks, now=began)
        label(engine, keys[:left], "Attrited Customer", began + timedelta(days=30))
        first += count


def test_uneven_campaigns_without_effect_show_none(sources: Sources) -> None:
    run_campaign(sources.engine, 0, listed=(900, 450), control=(100, 50))
    run_campaign(sources.engine, 1000, listed=(100, 5), control=(100, 5))
    told = str(model.create_page(sources, {}))
    assert "too early to say" in told and "2 closed campaigns with 1,200 customers" in told
    assert "the calls helped" not in told and "the calls did harm" not in told


@pytest.mark.parametrize(
    ("listed", "control", "verdict"),
    [
        ((900, 90), (100, 10), "too early to say"),
        ((45, 0), (5, 0), "Everybody did the same"),
        ((45, 45), (5, 5), "Everybody did the same"),
        ((45, 1), (5, 0), "too early to say"),
        ((900, 90), (300, 75), "+15.0 points more left than of the lists (95% interval +9.8 to"),
        ((900, 90), (300, 75), ": the calls helped."),
        ((900, 225), (300, 30), ": the calls did harm."),
        ((900, 90), (0, 0), "No campaign with a control group"),
    ],
)
def test_calls_are_judged_by_their_control_group(
    listed: tuple[int, int], control: tuple[int, int], verdict: str
) -> None:
    assert verdict in campaigns_text([outcome(Group(*listed), Group(*control))], outcome_days=90)


def outcome(listed: Group, control: Group, *, days_ago: float = 200) -> CampaignOutcome:
    began = datetime.now(UTC) - timedelta(days=days_ago)
    return CampaignOutcome(
        name=f"{days_ago} days ago",
        started_at=began,
        closes_at=began + timedelta(days=90),
        is_closed=days_ago >= 90,
        listed=listed,
        control=control,
        not_counted=0,
    )


def test_open_campaigns_are_not_judged_and_say_when_they_can_be() -> None:
    young, younger = (outcome(Group(900, 9), Group(300, 99), days_ago=d) for d in (60, 10))
    told = campaigns_text([younger, young], outcome_days=90)
    assert f"can be judged on {young.closes_at:%d %b %Y}" in told and "helped" not in told
    closed = outcome(Group(900, 90), Group(300, 75))
    assert "1 closed campaign with 1,200 customers" in campaigns_text(
        [younger, young, closed], outcome_days=90
    )


def test_every_campaign_has_its_row(sources: Sources) -> None:
    run_campaign(sources.engine, 0, listed=(100, 20), control=(50, 20))
    run_campaign(sources.engine, 1000, listed=(100, 20), control=(0, 0))
    just_now = datetime.now(UTC) - timedelta(days=1)
    run_campaign(sources.engine, 2000, listed=(100, 0), control=(10, 0), began=just_now)
    with sources.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM churners WHERE CLIENTNUM = {KEYS[149]}")
    told = str(create_campaigns(sources))
    assert "100, 20.0% left" in told and "49, 40.8% left" in told and "+20.8 points" in told
    assert "no control group" in told
    assert f"open until {just_now + timedelta(days=90):%d %b %Y}" in told
