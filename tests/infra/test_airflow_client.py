"""An event that a terminal tells Airflow of."""

import json
from typing import Any

import httpx
import pytest

from infra.airflow.client import AirflowClient, AirflowError

FACTS = {"version": "3", "verdict": "promoted by hand"}
# Airflow searches by the beginning of a name.
KNOWN = [{"name": "champion-of-others", "id": 4}, {"name": "champion", "id": 7}]


def client_of(assets: list[dict[str, Any]], posted: list[tuple[str, Any]]) -> AirflowClient:
    """An Airflow with these assets that keeps what is posted."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            posted.append((request.url.path, json.loads(request.content)))
            return httpx.Response(200, json={})
        assert request.url.params["name_prefix_pattern"] == "champion"
        return httpx.Response(200, json={"assets": assets})

    client = AirflowClient("http://airflow", user="a", password="b")
    client._http = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(answer))
    return client


def test_an_event_goes_to_the_asset_of_just_that_name() -> None:
    posted: list[tuple[str, Any]] = []
    client_of(KNOWN, posted).tell_asset("champion", FACTS)
    assert posted == [("/api/v2/assets/events", {"asset_id": 7, "extra": FACTS})]


def test_an_asset_that_airflow_has_not_read_is_named() -> None:
    posted: list[tuple[str, Any]] = []
    with pytest.raises(AirflowError, match="no asset champion: has it read dags/ yet"):
        client_of(KNOWN[:1], posted).tell_asset("champion", FACTS)
    assert posted == []
