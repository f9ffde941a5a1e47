"""The OpenAPI document, made from the contract that the champion's manifest carries."""

from collections.abc import Sequence
from typing import Any

from include.contract import (
    CUSTOMER_ID,
    CUSTOMER_ID_CHARACTERS,
    LARGEST_INTEGER,
    Column,
    Contract,
)
from webapp.problems import FAULTS_LISTED, MEDIA_TYPE

TITLE, VERSION = "Churn prediction", "1.0.0"
SOURCES = ("customer", "what-if", "bulk", "test")
JSON = "application/json"
EXAMPLES: dict[str, Any] = {"integer": 3, "float": 1.5}
DESCRIPTION = (
    "Answers whether a credit-card customer will leave. Every answer carries the version of the "
    "model that computed it; every fault of a request is listed, with what was expected and what "
    "came. Columns that the present model does not use may be sent: they are checked and ignored."
)


def document(
    contract: Contract,
    columns: Sequence[str],
    *,
    version: str | None,
    max_batch_rows: int,
    with_keys: bool,
) -> dict[str, Any]:
    """OpenAPI 3.1 for a champion that uses `columns` of `contract`."""
    served = f"model version {version}" if version else "no model yet"
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": VERSION,
            "summary": f"Serving {served}",
            "description": DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "components": {"schemas": _schemas(contract, columns, max_batch_rows)},
    }
    if with_keys:
        found["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        found["security"] = [{"bearer": []}, {"header": []}]
    return found


def _paths() -> dict[str, Any]:
    return {
        "/predict": _post("predict", "Answer for one customer", "Record", "Answer"),
        "/predict_batch": _post("predictBatch", "Answer for many customers", "Batch", "Answer"),
        "/explain": _post(
            "explain", "Say what moved one customer's score, and how far", "Record", "Explanation"
        ),
        "/model": _get("model", "The champion's manifest", "Anything", needs_champion=True),
        "/": _get("index", "Name, version and links", "Anything"),
        "/health": _get("health", "That the process lives", "Health", is_open=True),
        "/ready": _get(
            "ready",
            "That there is a model to answer with",
            "Ready",
            is_open=True,
            needs_champion=True,
        ),
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "Prometheus metrics of all workers",
                "tags": ["Status"],
                "security": [],
                "responses": {
                    "200": {
                        "description": "Prometheus' text format",
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    }
                },
            }
        },
    }


def _post(operation: str, summary: str, body: str, answer: str) -> dict[str, Any]:
    parameters = [_request_id()]
    if answer == "Answer":
        parameters.append(
            {
                "name": "X-Churn-Source",
                "in": "header",
                "description": "Where the request comes from; only customers count for drift.",
                "schema": {"type": "string", "enum": list(SOURCES), "default": SOURCES[0]},
            }
        )
    problems = {"400": "Not JSON", "413": "Body or batch too large", "415": "Not sent as JSON"}
    problems |= {"422": f"Every fault, at most {FAULTS_LISTED} of them"}
    if answer == "Explanation":
        problems["501"] = "This champion cannot be explained here"
    return {
        "post": {
            "operationId": operation,
            "summary": summary,
            "tags": ["Answers"],
            "parameters": parameters,
            "requestBody": {"required": True, "content": {JSON: {"schema": _ref(body)}}},
            "responses": {
                "200": _content("The answer", JSON, answer),
                **_problems({**problems, **_guarded(), "503": "No model yet"}),
            },
        }
    }


def _get(
    operation: str,
    summary: str,
    answer: str,
    *,
    is_open: bool = False,
    needs_champion: bool = False,
) -> dict[str, Any]:
    problems = {} if is_open else _guarded()
    if needs_champion:
        problems["503"] = "No model yet"
    found: dict[str, Any] = {
        "operationId": operation,
        "summary": summary,
        "tags": ["Status"],
        "parameters": [_request_id()],
        "responses": {"200": _content(summary, JSON, answer), **_problems(problems)},
    }
    if is_open:
        found["security"] = []
    return {"get": found}


def _guarded() -> dict[str, str]:
    return {"401": "No key, or an unknown one", "429": "Too many requests"}


def _request_id() -> dict[str, Any]:
    return {
        "name": "X-Request-ID",
        "in": "header",
        "description": "Comes back in the answer; one is made where none is sent.",
        "schema": {"type": "string"},
    }


def _problems(found: dict[str, str]) -> dict[str, Any]:
    return {
        status: _content(description, MEDIA_TYPE, "Problem")
        for status, description in sorted(found.items())
    }


def _content(description: str, media_type: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": _ref(schema)}}}


def _ref(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _schemas(contract: Contract, columns: Sequence[str], max_batch_rows: int) -> dict[str, Any]:
    return {
        "Record": _record(contract, columns),
        "Batch": _object(
            {
                "records": {
                    "type": "array",
                    "items": _ref("Record"),
                    "minItems": 1,
                    "maxItems": max_batch_rows,
                }
            }
        ),
        "Answer": _object(
            {
                "predictions": {"type": "array", "items": {"enum": [0, 1]}},
                "probabilities": {"type": "array", "items": _probability()},
                "num_samples": {"type": "integer", "minimum": 1},
                **_stamp(),
            }
        ),
        "Explanation": _explanation(),
        "Health": _object(
            {
                "status": {"const": "OK"},
                "model_loaded": {"type": "boolean"},
                "model_version": {"type": ["string", "null"]},
            }
        ),
        "Ready": _object({"status": {"const": "ready"}, "model_version": {"type": "string"}}),
        "Anything": {"type": "object"},
        "Problem": _problem(),
    }


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
    record = _object(properties, required=list(columns))
    record["example"] = {name: _example(contract.column(name)) for name in columns}
    return record


def _property(column: Column) -> dict[str, Any]:
    found: dict[str, Any] = {"description": column.meaning}
    if column.categories:
        found["type"] = "string"
        if column.unknown_as is None:
            found["enum"] = list(column.categories)
        else:
            found["examples"] = list(column.categories)
        return found
    found["type"] = "integer" if column.type == "integer" else "number"
    if column.minimum is not None:
        found["minimum"] = column.minimum
    if column.maximum is not None:
        found["maximum"] = column.maximum
    return found


def _example(column: Column) -> Any:
    if column.categories:
        return column.categories[0]
    wanted = EXAMPLES[column.type]
    low = wanted if column.minimum is None else max(wanted, column.minimum)
    value = low if column.maximum is None else min(low, column.maximum)
    return int(value) if column.type == "integer" else value


def _object(properties: dict[str, Any], *, required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def _probability() -> dict[str, Any]:
    return {"type": "number", "minimum": 0, "maximum": 1}


def _stamp() -> dict[str, Any]:
    return {
        "model_version": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
        "request_id": {"type": "string"},
    }


def _explanation() -> dict[str, Any]:
    contribution = _object(
        {
            "feature": {"type": "string"},
            "value": {"type": ["number", "string"]},
            "contribution": {"type": "number", "description": "Log-odds that it adds"},
            "engineered": {"type": "boolean", "description": "Computed from other columns"},
        }
    )
    return _object(
        {
            "probability": _probability(),
            "prediction": {"enum": [0, 1]},
            "log_odds": {
                "type": "number",
                "description": "Of the probability: the base value and all contributions, added",
            },
            "base_value": {"type": "number", "description": "Log-odds before any feature"},
            "contributions": {"type": "array", "items": contribution},
            **_stamp(),
        }
    )


def _problem() -> dict[str, Any]:
    fault = {
        "type": "object",
        "properties": {
            "field": {"type": "string"},
            "expected": {"type": "string"},
            "found": {"type": "string"},
            "row": {"type": "integer", "description": "Of the batch, counted from 0"},
        },
        "required": ["field", "expected", "found"],
    }
    return {
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "request_id": {"type": ["string", "null"]},
            "errors": {"type": "array", "maxItems": FAULTS_LISTED, "items": fault},
        },
        "required": ["title", "status", "detail"],
    }
