"""Bodies: JSON in UTF-8 as it is, each key once; everything else is named and refused."""

import gzip
import json
import time
from contextlib import suppress
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from tests.webapp.champions import records
from tests.webapp.conftest import body
from webapp.json_body import MANY_BYTES, parse
from webapp.problems import FAULTS_LISTED, NotJson, Unprocessable

ROUTES = ("/predict", "/predict_batch", "/explain")


def sent(client: FlaskClient, path: str, data: bytes, headers: dict[str, str]) -> Any:
    return client.post(path, data=data, headers={"Content-Type": "application/json", **headers})


def right(path: str, **more: Any) -> bytes:
    record = {**records(1)[0], **more}
    return body({"records": [record]} if path == "/predict_batch" else record)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "coding", ["gzip", "GZIP", "x-gzip", "br", "deflate", "zstd", "identity, gzip", "aws-chunked"]
)
def test_a_coded_body_is_refused_with_what_is_accepted(
    client: FlaskClient, path: str, coding: str
) -> None:
    for data in (gzip.compress(right(path)), right(path)):
        answer = sent(client, path, data, {"Content-Encoding": coding})
        assert answer.status_code == 415 and answer.headers["Accept-Encoding"] == "identity"
        detail = answer.get_json(force=True)["detail"]
        assert "JSON as it is, without Content-Encoding, found " in detail
        assert coding.lower() in detail or coding == "identity, gzip"


@pytest.mark.parametrize("coding", ["identity", "", "Identity"])
def test_a_body_as_it_is_may_say_so(client: FlaskClient, coding: str) -> None:
    answer = sent(client, "/predict", right("/predict"), {"Content-Encoding": coding})
    assert answer.status_code == 200


def test_a_byte_order_mark_before_utf_8_is_no_fault(client: FlaskClient) -> None:
    data = "﻿".encode() + right("/predict")
    assert sent(client, "/predict", data, {}).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        *((f"application/json; charset={name}", 200) for name in ("utf-8", '"UTF-8"', "us-ascii")),
        *((f"application/json; charset={name}", 415) for name in ("latin-1", "utf-16", "x")),
        *(("application/vnd.bank+json", 200), ("text/json", 415), ("", 415)),
    ],
)
def test_what_a_body_says_it_is(client: FlaskClient, content_type: str, status: int) -> None:
    answer = sent(client, "/predict", right("/predict"), {"Content-Type": content_type})
    assert answer.status_code == status
    if status == 415:
        assert answer.headers["Accept"] == "application/json"
        found = content_type or "none"
        assert f"Content-Type: application/json, found {found!r}" in answer.get_json(True)["detail"]


def repeated(text: str) -> list[tuple[str, str, int | None]]:
    with pytest.raises(Unprocessable) as caught:
        parse(text.encode())
    errors = caught.value.members()["errors"]
    assert {error["expected"] for error in errors} == {"each key once"}
    return [(error["field"], error["found"], error.get("row")) for error in errors]


TWICE = "it 2 times"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a":1,"a":1}', [("a", TWICE, None)]),
        ('{"a" : 1, "b":2, "a"\n:3,"a":3}', [("a", "it 3 times", None)]),
        ('{"a":1,"\\u0061":2}', [("a", TWICE, None)]),
        ('{"a:b":":","a:b":"::"}', [("a:b", TWICE, None)]),
        ('{"a":"\\u003a","a":"\\u003a"}', [("a", TWICE, None)]),
        ('{"a":{"b":[{"c":1,"c":2}]}}', [("c", TWICE, None)]),
        ('[[{"c":1,"c":2}]]', [("c", TWICE, None)]),
        ('{"records":[],"records":[]}', [("records", TWICE, None)]),
        ('{"records":[{"a":1},{"a":1,"a":2},{"a":1}]}', [("a", TWICE, 1)]),
        ('{"records":[{"a":1},7,{"a":1,"a":2}]}', [("a", TWICE, 2)]),
        (
            '{"records":[{"a":{"x":1,"x":2}},{"a":NaN,"a":1}]}',
            [("x", TWICE, None), ("a", TWICE, 1)],
        ),
        ('{"a":{"b":1,"b":2},"a":1}', [("b", TWICE, None), ("a", TWICE, None)]),
    ],
)
def test_a_key_that_stands_twice_is_named_at_any_depth(text: str, found: list[Any]) -> None:
    assert repeated(text) == found


@pytest.mark.parametrize("path", ROUTES)
def test_every_route_refuses_a_repeated_key(client: FlaskClient, path: str) -> None:
    data = right(path).replace(b'"Gender"', b'"Credit_Limit": 1438.3, "Gender"')
    answer = sent(client, path, data, {})
    assert answer.status_code == 422
    (error,) = answer.get_json(force=True)["errors"]
    assert (error["field"], error["found"]) == ("Credit_Limit", "it 2 times")


def test_one_among_many_records_is_found() -> None:
    text = body({"records": records(1000)}).decode()
    assert len(text) > MANY_BYTES
    place = text.rindex('"Gender"')
    assert repeated(f'{text[:place]}"Gender": "F", {text[place:]}') == [
        ("Gender", "it 2 times", 999)
    ]


def test_a_long_list_of_them_is_cut() -> None:
    text = json.dumps({"records": [{"a": 1, "b": 1}] * 10_000}).replace('"b"', '"a"')
    assert len(repeated(text)) == FAULTS_LISTED


@pytest.mark.parametrize("path", ROUTES)
def test_colons_in_texts_are_no_keys(client: FlaskClient, path: str) -> None:
    data = right(path, customer_id='urn:"customer":7,"customer_id":8')
    assert sent(client, path, data, {}).status_code == 200


def test_looking_for_repeated_keys_costs_a_batch_little() -> None:
    data = body({"records": records(1000)})
    parsing, loading = (
        min(_seconds(function, data) for _ in range(15)) for function in (parse, json.loads)
    )
    assert parsing < 0.8 * loading  # by json's own hook for pairs it would be 1.5 times as long


def _seconds(function: Any, data: bytes) -> float:
    started = time.perf_counter()
    function(data)
    return time.perf_counter() - started


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"{", b"\xff", b"{'a':1}", b"[" * 5000, b'{"a": NaN', b"[NaN" * 3000, b'"\\ud800"'),
        *(gzip.compress(b"{}", mtime=0), '{"a": 1}'.encode("utf-16")),
    ],
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(NotJson, match="the body is not JSON"):
        parse(text)


def test_nesting_that_not_every_reader_takes_is_refused_or_read() -> None:
    text = b'{"a:b":' + b"[" * 1000 + b"]" * 1000 + b"}"
    with suppress(NotJson):  # by Python 3.11 and 3.12
        assert parse(text) == orjson.loads(text)


@pytest.mark.parametrize("text", [b"NaN", b"[-Infinity]", b"1e999", b"-1e999", b"9" * 400])
def test_numbers_beyond_json_pass_so_that_their_fields_can_be_named(text: bytes) -> None:
    parse(text)


def test_an_integer_of_thousands_of_digits_is_refused_without_advice_for_our_code() -> None:
    with pytest.raises(NotJson, match="has 5000 digits$"):
        parse(b"[NaN, " + b"9" * 5000 + b"]")
