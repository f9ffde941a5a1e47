"""The drawer of a customer whose record has gaps."""

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from dashboard.components.customer_drawer import create_customer, create_profile
from dashboard.components.what_if import CHANGEABLE, changed_record, create_what_if, integer_names
from dashboard.data.api_client import ChurnApi
from dashboard.data.champions import TypicalValue
from dashboard.data.sources import open_sources
from include.contract import load_contract
from include.settings import Settings
from include.store import LocalStore
from tests.dashboard import bank
from tests.webapp.champions import records

pytestmark = pytest.mark.slow

CONTRACT = load_contract()
TYPICAL = {"Credit_Limit": TypicalValue(5000.0, 3000.0, 9000.0)}


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
    sources.close()


@pytest.mark.parametrize(("moved", "sent"), [(61.2, 61), (None, 50)])
def test_whole_numbers_stay_whole(moved: float | None, sent: int) -> None:
    record = {**records(1)[0], "Total_Trans_Ct": 50}
    found = changed_record(record, {"Total_Trans_Ct": moved}, integer_names(CONTRACT))
    assert found == {**record, "Total_Trans_Ct": sent}
    assert type(found["Total_Trans_Ct"]) is int


def test_a_drag_asks_the_api_and_never_the_store(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, read, asked = records(1)[0], [], []
    read_object = LocalStore.read

    def count_read(store: LocalStore, key: str) -> Any:
        read.append(key)
        return read_object(store, key)

    def predict(_api: ChurnApi, given: dict[str, Any], *, source: str) -> dict[str, Any]:
        asked.append((given, source))
        return {"probabilities": [0.25], "model_version": "1"}

    monkeypatch.setattr(LocalStore, "read", count_read)
    monkeypatch.setattr(ChurnApi, "predict", predict)
    answer = client.post("/_dash-update-component", json=drag("Total_Trans_Ct", 61.0, record))
    assert "25.0%" in answer.text and "leaves soon" in answer.text
    assert asked == [({**record, "Total_Trans_Ct": 61}, "what-if")]
    assert read == []


def drag(name: str, value: float, record: dict[str, Any]) -> dict[str, Any]:
    """What the browser sends while a slider moves."""
    slider = {"name": name, "type": "what-if"}
    known = {
        "what-if-record": record,
        "what-if-integers": integer_names(CONTRACT),
        "what-if-words": "leaves soon",
        "now-probability": 0.5,
    }
    return {
        "output": "what-if-answer.children",
        "outputs": {"id": "what-if-answer", "property": "children"},
        "inputs": [[{"id": slider, "property": "value", "value": value}]],
        "changedPropIds": [f"{json.dumps(slider)}.value"],
        "state": [
            [{"id": slider, "property": "id", "value": slider}],
            *({"id": each, "property": "data", "value": data} for each, data in known.items()),
        ],
    }
