"""One customer by number, from anywhere: the page, and what else somebody may type."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from dashboard.data.customer import customer_number
from dashboard.data.sources import Sources, open_sources
from dashboard.pages import customer
from include.settings import Settings
from tests.dashboard import bank
from tests.dashboard.conftest import Dashboard, OpenPage, until


@pytest.fixture
def sources(bank_settings: Settings) -> Iterator[Sources]:
    """The bank's database and store, while its API is down."""
    found = open_sources(bank_settings.model_copy(update={"api_url": "http://127.0.0.1:9"}))
    yield found
    found.close()


def somebody(engine: sa.Engine) -> int:
    """A customer of the list whose risk has risen."""
    query = "SELECT customer FROM churn_scores WHERE rise_night > 0.3 ORDER BY rise_night"
    with engine.connect() as connection:
        return int(connection.scalar(sa.text(query)) or 0)


def test_a_number_leads_to_score_notes_and_profile(
    sources: Sources, bank_engine: sa.Engine
) -> None:
    found = str(customer.create_page(sources, {"number": f" {somebody(bank_engine)} "}))
    assert "points more than last night" in found and "than last week" not in found
    assert "Nothing noted yet" in found and "Typical of who stays" in found
    assert "risk of leaving, as last scored" in found  # today's record nobody was asked about


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("", "Which customer?"),
        ("   ", "Which customer?"),
        ("1", "There is no customer 1"),
        ("9007199254740991", "There is no customer 9007199254740991"),
        ("9007199254740992", "is no customer's number"),
        ("9" * 5000, "is no customer's number"),
        ("-1", "“-1” is no customer's number"),
        ("1e3", "is no customer's number"),
        ("12 34", "is no customer's number"),
        ("٣٤", "is no customer's number"),
        ("²", "is no customer's number"),
        ("<script>alert(1)</script>", "“<script>alert(1)</script>” is no customer's number"),
        ("1 OR 1=1; DROP TABLE churners", "is no customer's number"),
        ("\0", "is no customer's number"),
    ],
)
def test_whatever_is_typed_has_a_clear_answer(sources: Sources, typed: str, told: str) -> None:
    found = str(customer.create_page(sources, {"number": typed}))
    assert told in found and len(found) < 1500


def test_before_the_first_scoring_a_customer_is_found_too(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path, api_url="http://127.0.0.1:9")
    bank.open_bank(settings, rows=20, scored=False)
    sources = open_sources(settings)
    key = bank.people(20)["CLIENTNUM"].iloc[0]
    found = str(customer.create_page(sources, {"number": str(key)}))
    sources.close()
    assert "Typical of who stays" in found and "At the scoring" not in found


@pytest.mark.parametrize(
    ("text", "number"), [("007", 7), (" 12\n", 12), ("1.0", None), ("+1", None)]
)
def test_a_number_is_digits(text: str, number: int | None) -> None:
    assert customer_number(text) == number


@pytest.mark.slow
@pytest.mark.parametrize("width", [1440, 390])
def test_the_header_finds_a_customer_from_any_page(
    dashboard: Dashboard, open_page: OpenPage, bank_engine: sa.Engine, width: int
) -> None:
    page = open_page(dashboard.url + "/drift")
    page.set_viewport_size({"width": width, "height": 844})
    number = somebody(bank_engine)
    field = page.get_by_label("Look up a customer by number")
    field.fill(str(number))
    field.press("Enter")
    page.get_by_role("heading", name=f"Customer {number}").wait_for()
    page.get_by_text("Most towards leaving").wait_for()
    until(page, "document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Note").fill("asked on the phone")
    page.get_by_role("button", name="Called", exact=True).click()
    page.get_by_text("called – asked on the phone").wait_for()
    field.fill("no such one")
    field.press("Enter")
    page.get_by_text("“no such one” is no customer's number").wait_for()
