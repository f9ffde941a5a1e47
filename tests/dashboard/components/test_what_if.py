"""The drawer of a customer whose record has gaps."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from dashboard.components.customer_drawer import create_customer, create_profile
from dashboard.components.what_if import CHANGEABLE, create_what_if
from dashboard.data.champions import Typical
from dashboard.data.sources import open_sources
from include.contract import load_contract
from include.settings import Settings
from tests.dashboard import bank
from tests.webapp.champions import records

CONTRACT = load_contract()
TYPICAL = {"Credit_Limit": Typical(5000.0, 3000.0, 9000.0)}


def slider_names(component: Any) -> list[str]:
    """The columns that have a slider."""
    ids = [getattr(each, "id", None) for each in component._traverse()]
    return [each["name"] for each in ids if isinstance(each, dict)]


def test_a_whole_record_has_every_slider() -> None:
    shown = create_what_if(records(1)[0], CONTRACT, TYPICAL)
    assert slider_names(shown) == list(CHANGEABLE)
    assert "incomplete" not in str(shown)


@pytest.mark.parametrize("name", CHANGEABLE)
def test_a_missing_value_has_no_slider(name: str) -> None:
    record = {**records(1)[0], name: None, "Education_Level": None}
    shown = create_what_if(record, CONTRACT, TYPICAL)
    assert slider_names(shown) == [each for each in CHANGEABLE if each != name]
    assert "The record is incomplete" in str(shown) and "Education" in str(shown)


def test_a_missing_value_is_a_dash_in_the_profile() -> None:
    record: dict[str, Any] = {**records(1)[0], "Credit_Limit": None, "Gender": None}
    shown = str(create_profile(record, TYPICAL, CONTRACT))
    assert shown.count("Td(['–', ' ', Span(children=''") == 2
    assert "None" not in shown.replace("title=None", "")


def test_the_drawer_opens_on_an_incomplete_record(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path, api_url="http://127.0.0.1:9")
    bank.open_bank(settings, rows=50)
    sources = open_sources(settings)
    customer = int(bank.people(50)["CLIENTNUM"].iloc[0])
    with sources.engine.begin() as connection:
        blank = "UPDATE churners SET Credit_Limit = NULL, Gender = NULL WHERE CLIENTNUM = :customer"
        connection.execute(sa.text(blank), {"customer": customer})
    shown = str(create_customer(sources, customer))
    assert "The prediction service does not answer" in shown
    assert "no value for: Gender; Credit limit." in shown
    sources.engine.dispose()
