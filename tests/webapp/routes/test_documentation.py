"""The OpenAPI document follows the contract and the champion; the page needs nobody else."""

import re

from flask.testing import FlaskClient
from openapi_spec_validator import validate

from include.contract import load_contract
from include.settings import Settings
from include.store import LocalStore
from include.target import Target
from research.customers import EIGHT_COLUMNS
from tests.webapp.champions import make_version, publish
from tests.webapp.conftest import client_of


def test_the_document_is_valid_openapi(client: FlaskClient) -> None:
    validate(client.get("/openapi.json").get_json())


def test_every_route_is_described(client: FlaskClient) -> None:
    rules = {rule.rule for rule in client.application.url_map.iter_rules()}
    described = set(client.get("/openapi.json").get_json()["paths"])
    assert rules - described == {"/docs", "/docs/<path:name>", "/openapi.json"}


def test_it_changes_when_a_champion_with_other_columns_arrives(
    client: FlaskClient, var_store: LocalStore
) -> None:
    def required() -> list[str]:
        found = client.get("/openapi.json").get_json()
        return list(found["components"]["schemas"]["Record"]["required"])

    assert required() == list(load_contract().feature_names)
    publish(var_store, make_version("8", columns=EIGHT_COLUMNS))
    client.application.extensions["churn"].holder.poll()
    assert required() == list(EIGHT_COLUMNS)


def test_the_example_is_accepted(client: FlaskClient) -> None:
    found = client.get("/openapi.json").get_json()["components"]["schemas"]["Record"]
    assert client.post("/predict", json=found["example"]).status_code == 200


def test_without_a_champion_the_contract_is_described(settings: Settings) -> None:
    found = client_of(settings).get("/openapi.json").get_json()
    assert "no model yet" in found["info"]["summary"]
    assert len(found["components"]["schemas"]["Record"]["properties"]) == 20


def test_what_a_probability_says_is_told(client: FlaskClient, var_store: LocalStore) -> None:
    def told() -> tuple[str, str]:
        client.application.extensions["churn"].holder.poll()
        summary = client.get("/openapi.json").get_json()["info"]["summary"]
        return summary, client.get("/model").get_json()["target"]["kind"]

    assert told() == ("Serving model version 1, whose probabilities say who has left", "state")
    manifest, files = make_version("9")
    target = Target(kind="horizon", gap_days=14, horizon_days=90)
    publish(var_store, (manifest.model_copy(update={"target": target}), files))
    summary, kind = told()
    assert summary.endswith("say who leaves within 90 days, after the first 14")
    assert kind == "horizon"


def test_the_page_needs_no_other_host(client: FlaskClient) -> None:
    page = client.get("/docs")
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) == 3 and not re.search(r"https?://|@import|url\(", page.text)
    assert [client.get(file, buffered=True).status_code for file in files] == [200, 200, 200]
    nonce = re.search(r"script-src 'self' 'nonce-([^']+)'", page.headers["Content-Security-Policy"])
    assert nonce and f'nonce="{nonce[1]}"' in page.text
