"""The OpenAPI document, from the answers' types, the contract and the problems' classes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from flask import Flask
from pydantic import TypeAdapter

from include.build import project_version
from include.champion.versions import Manifest
from include.contract import (
    CUSTOMER_ID,
    CUSTOMER_ID_CHARACTERS,
    LARGEST_INTEGER,
    Column,
    Contract,
)
from webapp import answers
from webapp.json_body import JSON
from webapp.problems import (
    MEDIA_TYPE,
    Misdirected,
    NoChampion,
    NotJson,
    Problem,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unexplained,
    Unprocessable,
    UnsupportedMedia,
)

TITLE = "Churn prediction"
SOURCES = ("customer", "what-if", "bulk", "test")
EXAMPLES: dict[str, Any] = {"integer": 3, "float": 1.5}
DESCRIPTION = (
    "Answers whether a credit-card customer will leave: the summary tells what the present model "
    "says, and /model's `target` in full. Every answer carries the version of the model that "
    "computed it; every fault of a request is listed, with what was expected and what "
    "came. Columns that the present model does not use may be sent: they are checked and ignored."
)
REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "description": "Comes back in the answer; one is made where none is sent.",
    "schema": {"type": "string"},
}
SOURCE = {
    "name": "X-Churn-Source",
    "in": "header",
    "description": "Where the request comes from; only customers count for drift.",
    "schema": {"type": "string", "enum": list(SOURCES), "default": SOURCES[0]},
}
GUARDED = (Unauthorized, TooManyRequests)
POSTED = (*GUARDED, NotJson, TooLarge, UnsupportedMedia, Unprocessable, NoChampion)


class Route(NamedTuple):
    """What a route takes and answers; its words are the docstring of its function."""

    answer: Any
    problems: tuple[type[Problem], ...] = GUARDED
    body: str | None = None
    parameters: tuple[dict[str, Any], ...] = (REQUEST_ID,)


ROUTES = {
    "inference.predict": Route(answers.Answer, POSTED, "Record", (REQUEST_ID, SOURCE)),
    "inference.predict_batch": Route(answers.Answer, POSTED, "Batch", (REQUEST_ID, SOURCE)),
    "inference.explain": Route(answers.Explained, (*POSTED, Unexplained), "Record"),
    "status.model": Route(dict[str, Any], (*GUARDED, NoChampion)),
    "status.index": Route(answers.Index),
    "status.health": Route(answers.Health, ()),
    "status.ready": Route(answers.Ready, (NoChampion,)),
    "status.metrics": Route(str, ()),
}


def document(
    app: Flask,
    contract: Contract,
    columns: Sequence[str],
    *,
    champion: Manifest | None,
    max_batch_rows: int,
    with_keys: bool,
) -> dict[str, Any]:
    """OpenAPI 3.1 for a champion that uses `columns` of `contract`."""
    schemas, shared = TypeAdapter.json_schemas(
        [
            *((name, "serialization", TypeAdapter(route.answer)) for name, route in ROUTES.items()),
            ("problem", "serialization", TypeAdapter(answers.ProblemDocument)),
        ],
        ref_template="#/components/schemas/{model}",
    )
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": project_version(),
            "summary": f"Serving {_served(champion)}",
            "description": DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "paths": {
            rule.rule: {_method(rule): _operation(app, endpoint, schemas)}
            for endpoint in ROUTES
            for rule in app.url_map.iter_rules(endpoint)
        },
        "components": {
            "schemas": {
                **shared["$defs"],
                "Record": _record(contract, columns),
                "Batch": _batch(max_batch_rows),
            }
        },
    }
    if with_keys:
        found["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        found["security"] = [{"bearer": []}, {"header": []}]
    return found


def _served(champion: Manifest | None) -> str:
    if champion is None:
        return "no model yet"
    return f"model version {champion.version}, whose probabilities say who {champion.target}"


def _method(rule: Any) -> str:
    return "post" if "POST" in rule.methods else "get"


def _operation(app: Flask, endpoint: str, schemas: Any) -> dict[str, Any]:
    route = ROUTES[endpoint]
    words = (app.view_functions[endpoint].__doc__ or "").strip()
    kinds: tuple[type[Problem], ...] = (*route.problems, Misdirected)
    problem = _content(MEDIA_TYPE, schemas["problem", "serialization"])
    media_type = "text/plain" if route.answer is str else JSON
    found: dict[str, Any] = {
        "operationId": endpoint.partition(".")[2],
        "summary": words.rstrip("."),
        "tags": [endpoint.partition(".")[0]],
        "parameters": list(route.parameters),
        "responses": {
            "200": {
                "description": "The answer",
                **_content(media_type, schemas[endpoint, "serialization"]),
            },
            **{
                str(int(kind.status)): {"description": kind.__doc__, **problem}
                for kind in sorted(kinds, key=lambda kind: kind.status)
            },
        },
    }
    if route.body:
        reference = {"$ref": f"#/components/schemas/{route.body}"}
        found["requestBody"] = {"required": True, **_content(JSON, reference)}
    if Unauthorized not in route.problems:
        found["security"] = []
    return found


def _content(media_type: str, schema: Any) -> dict[str, Any]:
    return {"content": {media_type: {"schema": schema}}}


def _batch(max_rows: int) -> dict[str, Any]:
    records = {"type": "array", "items": {"$ref": "#/components/schemas/Record"}}
    return _object({"records": {**records, "minItems": 1, "maxItems": max_rows}}, ["records"])


def _record(contract: Contract, columns: Sequence[str]) -> dict[str, Any]:
    properties = {column.name: _property(column) for column in contract.features}
    properties[CUSTOMER_ID] = {
        "description": "Logged as a keyed hash, never used by the model.",
        "oneOf": [
            {"type": "integer", "minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER},
            {"type": "string", "minLength": 1, "maxLength": CUSTOMER_ID_CHARACTERS},
            {"type": "null"},
        ],
    }
    required = [name for name in columns if name not in contract.defaults]
    record = _object(properties, required)
    record["example"] = {name: _example(contract.column(name)) for name in required}
    return record


def _property(column: Column) -> dict[str, Any]:
    found: dict[str, Any] = {"description": column.meaning}
    if column.categories:
        words = "enum" if column.unknown_as is None else "examples"
        return {**found, "type": "string", words: list(column.categories)}
    found["type"] = "integer" if column.type == "integer" else "number"
    limits = {"minimum": column.minimum, "maximum": column.maximum, "default": column.default}
    return found | {word: limit for word, limit in limits.items() if limit is not None}


def _example(column: Column) -> Any:
    if column.categories:
        return column.categories[0]
    wanted = EXAMPLES[column.type]
    low = wanted if column.minimum is None else max(wanted, column.minimum)
    value = low if column.maximum is None else min(low, column.maximum)
    return int(value) if column.type == "integer" else value


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
