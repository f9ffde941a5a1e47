"""What browsers and others send: too much of it, or what no page sends, is refused in words."""

import io
import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import sqlalchemy as sa
from dash import Dash
from flask.testing import FlaskClient
from pydantic import ValidationError
from werkzeug.exceptions import BadRequest

from dashboard.request_bodies import CALLBACKS, CallbackBody, checked

ODD = (None, True, -1, 10**30, 1.5, "", "x", [], [None], [[]], {}, {"a": {"b": []}}, "\ud800")
# What looks right from afar: to the grid, the list's state, an upload, the figures of a minute.
NEARLY = (
    {"startRow": 10**30, "endRow": 0},
    {"startRow": 0, "endRow": 50, "sortModel": [{"colId": []}], "filterModel": 7},
    {"startRow": 50, "endRow": 0, "filterModel": {"risk": {"type": [], "filter": {}}}},
    {"sort": ":::", "filters": "[[", "rose": "9" * 16, "years": "nan", "budget": "1e999"},
    *({"token": odd} for odd in (7, "x", "0" * 32, "../" * 10)),
    *([{"customer": odd}] for odd in (None, "x", 10**30, -1)),
    [{"at": 0, "counters": {"a": "x"}}],
    [{"at": 1e308, "counters": {"prediction_requests_total": 1e308}}],
)


class Stream(io.BytesIO):
    """A body without an end, which says how much of it was read."""

    count = 0

    def readinto(self, buffer: Any) -> int:
        """As much as is asked for."""
        self.count += len(buffer)
        buffer[:] = b"a" * len(buffer)
        return len(buffer)


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/health", CALLBACKS])
def test_a_long_body_is_refused_unread(client: FlaskClient, path: str) -> None:
    stream = Stream()
    size = {"CONTENT_LENGTH": str(200 * 2**20), "CONTENT_TYPE": "application/json"}
    answer = client.post(path, input_stream=stream, environ_overrides=size)
    assert (answer.status_code, stream.count) == (413, 0)
    assert "bytes are read here, found 209,715,200" in answer.text


@pytest.mark.parametrize("path", ["/sign-in", CALLBACKS])
def test_a_body_of_unknown_length_is_refused_unread(client: FlaskClient, path: str) -> None:
    stream = Stream()
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    answer = client.post(path, input_stream=stream, environ_overrides=chunked)
    assert (answer.status_code, stream.count) == (411, 0)
    assert "where Content-Length says how long it is" in answer.text


@pytest.fixture(scope="module")
def app(client: FlaskClient) -> Dash:
    """The bank's dashboard, whose callbacks are known once it was asked."""
    client.get("/_dash-dependencies")
    dash: Dash = client.application.view_functions["/"].__closure__[0].cell_contents
    return dash


def bodies(app: Dash) -> Iterator[dict[str, Any]]:
    """A body for each callback, as a page that shows nothing yet would send it."""
    for output, known in app.callback_map.items():
        if "callback" not in known:
            continue
        several = isinstance(known["output"], list)
        outputs = known["output"] if several else [known["output"]]
        properties = [_sent(each.to_dict()) for each in outputs]
        yield {
            "output": output,
            "outputs": properties if several else properties[0],
            "inputs": [_sent(each) for each in known["inputs"]],
            "state": [_sent(each) for each in known["state"]],
            "changedPropIds": [],
        }


def _sent(wanted: dict[str, str]) -> Any:
    value = 1 if wanted["property"] == "n_clicks" else None
    if not wanted["id"].startswith("{"):
        return {**wanted, "value": value}
    pattern = json.loads(wanted["id"])
    found = {key: "x" if value == ["ALL"] else value for key, value in pattern.items()}
    return [{"id": found, "property": wanted["property"], "value": value}]


def odd_values(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The body with each odd value in each place, as if that had triggered it."""
    changed = [next(iter(_properties(body["inputs"])))]
    name = changed[0]["id"]
    name = name if isinstance(name, str) else json.dumps(name, separators=(",", ":"))
    for kind in ("inputs", "state"):
        for place in range(len(list(_properties(body[kind])))):
            for value in (*ODD, *NEARLY):
                found = deepcopy(body)
                list(_properties(found[kind]))[place]["value"] = value
                found["changedPropIds"] = [f"{name}.{changed[0]['property']}"]
                yield found


def _properties(given: list[Any]) -> Iterator[dict[str, Any]]:
    for each in given:
        yield from each if isinstance(each, list) else [each]


def test_odd_values_are_no_failure(app: Dash, client: FlaskClient, bank_engine: sa.Engine) -> None:
    failed = []
    for body in (odd for each in bodies(app) for odd in odd_values(each)):
        answer = client.post(CALLBACKS, json=body)
        if answer.status_code not in {200, 204, 400}:
            failed.append((answer.status_code, body))
    assert failed == []


@pytest.mark.parametrize("value", [*ODD, 0, "[" * 100_000, "{"])
def test_odd_bodies_are_refused(client: FlaskClient, value: Any) -> None:
    data = value if isinstance(value, str) else json.dumps(value)
    data = data.encode("utf-8", "surrogatepass")
    assert client.post(CALLBACKS, data=data, content_type="application/json").status_code == 400


def test_what_is_no_json_is_refused(client: FlaskClient) -> None:
    assert client.post(CALLBACKS, data=b"{}", content_type="text/plain").status_code == 415


@pytest.mark.parametrize(
    "change",
    [
        *({"output": name} for name in ("", "x", "page.x", "..page.children..", None, [], 7)),
        {"output": "risk-view.data"},  # the browser's own
        *({"inputs": odd} for odd in (None, {}, [], [None], [{}], [{"id": "url"}])),
        {"inputs": [{"id": "url", "property": "search", "value": "/"}]},
        {"inputs": [{"id": {"type": "x"}, "property": "pathname", "value": "/"}]},
        {"state": []},
        *({"outputs": odd} for odd in (None, [], {}, "page.children", [[[]]])),
        *({"changedPropIds": odd} for odd in (None, ["x"], [{}], ["page.children"], "url")),
    ],
    ids=str,
)
def test_a_body_of_another_callback_is_refused(
    app: Dash, client: FlaskClient, change: dict[str, Any]
) -> None:
    body = next(each for each in bodies(app) if each["output"] == "page.children")
    assert client.post(CALLBACKS, json=body).status_code == 200
    answer = client.post(CALLBACKS, json={**body, **change})
    assert answer.status_code == 400


def test_a_refusal_says_what_to_do(app: Dash, client: FlaskClient) -> None:
    body = next(each for each in bodies(app) if each["output"] == "page.children")
    body["inputs"][0]["value"] = 7
    text = client.post(CALLBACKS, json=body).text
    assert "show_page got 0: Input should be a valid string" in text
    assert "load the page again and repeat what you did" in text


def test_a_fault_of_our_own_is_none_of_the_body() -> None:
    @checked
    def read_state(_state: str) -> None:
        CallbackBody.model_validate({})

    with pytest.raises(ValidationError, match="CallbackBody"):
        read_state("x")
    with pytest.raises(BadRequest, match="read_state got 0: Input should be a valid string"):
        read_state(7)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/_dash-component-suites/nobody/x.js", 404),
        ("/_dash-component-suites/dash/../../etc/passwd", 404),
        ("/_dash-component-suites/dash_ag_grid/none.js", 404),
        ("/assets/none.css", 404),
        ("/_reload-hash", 200),
        ("/assets/%00", 404),
        ("/drift/report/%00", 404),
        ("/score/result/..csv", 404),
        (f"/?customer={10**30}&rose={10**30}&filters=[[[&sort=:::", 200),
        ("/campaign.csv?campaign=%00&budget=nan&rose=%00", 200),
        (f"/customer?number=%00{10**30}", 200),
        (f"/crm/v1.csv?sort=:::&filters=[[[&bands=%00&budget={10**400}", 200),
    ],
)
def test_odd_paths_are_no_failure(client: FlaskClient, path: str, status: int) -> None:
    assert client.get(path).status_code == status


@pytest.mark.parametrize("referrer", ["http://[", "http://localhost:x/", "//", "http://localhost"])
def test_an_odd_referrer_is_no_failure(client: FlaskClient, referrer: str) -> None:
    assert client.get("/_dash-layout", headers={"Referer": referrer}).status_code == 200
