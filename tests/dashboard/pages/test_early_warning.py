"""What the pages say where a version of early warning has scored: who leaves, when, which sign."""

import csv
import io
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from dashboard import create_server
from dashboard.components import record_form, what_if
from dashboard.data.list_view import ListView
from dashboard.data.sources import Sources, open_sources
from dashboard.pages import customer, customers
from include.contract import load_contract
from include.settings import Settings
from include.target import STATE
from tests.dashboard import bank

ROWS = 300


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A bank whose champion warns, and whose API is down."""
    found = Settings(var_dir=tmp_path_factory.mktemp("warned"), api_url="http://127.0.0.1:9")
    bank.open_bank(found, rows=ROWS, target=bank.WARNING)
    return found


@pytest.fixture(scope="module")
def sources(settings: Settings) -> Iterator[Sources]:
    """What its pages read from."""
    found = open_sources(settings)
    yield found
    found.close()


@pytest.fixture(scope="module")
def warned(settings: Settings) -> Iterator[FlaskClient]:
    """Its dashboard in this process."""
    server = create_server(settings)
    yield server.test_client()
    server.extensions["churn"].close()


def lines_of(data: bytes) -> list[dict[str, str]]:
    """A CSV file's lines."""
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_the_list_says_who_leaves_when_and_by_which_sign(sources: Sources) -> None:
    found = str(customers.create_page(sources, {"sign": "new"}))
    assert "which says who leaves within 90 days, after the first 14" in found
    for told in ("'Leaves within 90 days'", "'Call by'", "'New sign'", "/crm/v2.csv"):
        assert told in found
    assert "Risk of leaving" not in found and "of them would leave within 90 days" in found


def test_a_version_that_says_who_has_left_shows_none_of_it(client: FlaskClient) -> None:
    sources = client.application.extensions["churn"]
    found = str(customers.create_page(sources, {}))
    assert "'Risk of leaving'" in found and "/crm/v1.csv" in found
    for told in ("leaves within", "'field': 'flagged_since'", "'headerName': 'Sign'"):
        assert told not in found


def test_a_customers_page_says_since_when_and_by_when(sources: Sources) -> None:
    (row,) = sources.calls(ListView.from_values({"sign": "new"})).page(0, 1)
    found = str(customer.create_page(sources, {"number": str(row["customer"])}))
    since = f"On the list since {row['flagged_since']:%d %b %Y}, a new sign: call by "
    assert f"{since}{row['call_by']:%d %b %Y}." in found
    assert "risk of leaving within 90 days, after the first 14, as last scored" in found
    everybody = sources.calls(ListView()).page(0, ROWS)
    other = next(each for each in everybody if each["sign"] is None)
    assert "On the list" not in str(
        customer.create_page(sources, {"number": str(other["customer"])})
    )


def test_the_files_say_it_too(warned: FlaskClient, sources: Sources) -> None:
    rows = {row["customer"]: row for row in sources.calls(ListView()).page(0, ROWS)}
    lines = lines_of(warned.get("/crm/v2.csv").data)
    assert {line["customer_id"] for line in lines} == {str(key) for key in rows}
    for line in lines:
        row = rows[int(line["customer_id"])]
        told = (line["flagged_since"], line["sign"], line["call_by"])
        assert told == tuple(str(row[n] or "") for n in ("flagged_since", "sign", "call_by"))
        assert (line["gap_days"], line["horizon_days"]) == ("14", "90")
    assert "sign" not in lines_of(warned.get("/crm/v1.csv").data)[0]
    listed = lines_of(warned.get("/campaign.csv?sign=quiet").data)
    assert {line["Sign"] for line in listed} == {"already quiet"}
    assert all(line["Call by"] and line["Leaves within 90 days (%)"] for line in listed)


def test_a_version_that_warns_of_nothing_has_no_window(client: FlaskClient) -> None:
    line = lines_of(client.get("/crm/v2.csv").data)[0]
    assert [line[n] for n in ("gap_days", "horizon_days", "flagged_since", "sign", "call_by")] == [
        *("", "", "", "", ""),
    ]
    assert "Sign" not in lines_of(client.get("/campaign.csv").data)[0]


@pytest.mark.parametrize("asked", ["sign=new", "sign=flagged", "due=week"])
def test_signs_and_dates_do_not_count_where_nobody_has_one(client: FlaskClient, asked: str) -> None:
    for path in ("/crm/v1.csv?bands=critical", "/campaign.csv?bands=critical"):
        found = lines_of(client.get(f"{path}&{asked}").data)
        assert found and found == lines_of(client.get(path).data)


@pytest.mark.parametrize(
    ("target", "told"), [(STATE, "risk of leaving"), (bank.WARNING, "leaving within 90 days")]
)
def test_answers_of_the_api_are_told_in_the_same_words(target: object, told: str) -> None:
    answer = {"probabilities": [0.2], "predictions": [0], "model_version": "1"}
    shown = str(record_form.create_answer(answer, None, target))
    assert told in shown and ("counts as staying" in shown) is (target is STATE)
    assert told in str(what_if.create_what_if({}, load_contract(), {}, target))


def test_a_version_that_cannot_be_read_is_told_of_in_general_words(sources: Sources) -> None:
    assert sources.targets.shown("nowhere") == STATE
    assert sources.targets.shown("1") == bank.WARNING
