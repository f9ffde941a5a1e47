"""What a request may carry: so many bytes, and to Dash only what its own pages send."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

from dash import Dash
from dash.exceptions import DependencyException
from flask import Flask, Response, request
from pydantic import BaseModel, ValidationError, validate_call
from werkzeug.exceptions import BadRequest, LengthRequired, RequestEntityTooLarge

from include.customers.csv_file import SCORED_BYTES_MAX

logger = logging.getLogger(__name__)

CALLBACKS = "/_dash-update-component"
BYTES_MAX = 16 * 2**10
# An uploaded file comes as base64 within JSON: four bytes for three, and what stands around it.
CALLBACK_BYTES_MAX = SCORED_BYTES_MAX * 4 // 3 + 2**20
PLAIN = "text/plain; charset=utf-8"
ADVICE = "load the page again and repeat what you did"


def limit_size(server: Flask) -> None:
    """Refuse what is too long before a byte of it is read."""
    server.config["MAX_CONTENT_LENGTH"] = BYTES_MAX

    @server.before_request
    def _check_length() -> None:
        if request.path == CALLBACKS:
            request.max_content_length = CALLBACK_BYTES_MAX
        if request.headers.get("Transfer-Encoding"):  # in pieces, until there are no more
            raise LengthRequired("a body is read here where Content-Length says how long it is")
        found, most = request.content_length or 0, request.max_content_length or 0
        if found > most:
            raise RequestEntityTooLarge(f"at most {most:,} bytes are read here, found {found:,}")


class Property(BaseModel):
    """A component's property, with its value where it has one."""

    id: str | dict[str, str]
    property: str
    value: Any = None


class CallbackBody(BaseModel):
    """What Dash's script in the browser sends; a list stands where a pattern is asked for."""

    output: str
    outputs: Property | list[Property | list[Property]]
    inputs: list[Property | list[Property]]
    state: list[Property | list[Property]] = []
    changedPropIds: list[str] = []


def refuse_odd_bodies(app: Dash) -> None:
    """Answer 400 to what no page of this dashboard sends, and 404 for files that it does not have.

    Dash itself would fail over them.
    """
    server: Flask = app.server

    @server.before_request
    def _check_body() -> None:
        if request.path == CALLBACKS and request.method == "POST":
            _check(_read_body(), app.callback_map)

    @server.errorhandler(DependencyException)
    def _unknown_file(_error: DependencyException) -> Response:
        return Response("there is no such file", 404, content_type=PLAIN)


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A callback that answers 400 to values which its annotations exclude."""
    guarded = validate_call(function)

    @wraps(function)
    def call(*given: Any) -> Any:
        try:
            return guarded(*given)
        except ValidationError as error:
            if error.title != function.__qualname__:  # a fault of what the callback does
                raise
            raise _odd(error, function.__name__) from error

    return call


def _odd(error: ValidationError, name: str) -> BadRequest:
    """What was wrong, without the values, which may be a customer's."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)[:5]
    told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in faults)
    told = f"{name} got {told}".encode(errors="replace").decode()
    logger.warning("a callback was given what no page sends: %s", told)
    return BadRequest(f"{told}: {ADVICE}")


def _read_body() -> CallbackBody:
    try:
        return CallbackBody.model_validate(request.get_json())
    except ValidationError as error:
        raise _odd(error, "Dash") from error
    except RecursionError as error:
        raise BadRequest("the body is nested too deeply") from error


def _check(body: CallbackBody, callbacks: Mapping[str, Any]) -> None:
    """BadRequest where the body is none of this callback's."""
    known = callbacks.get(body.output, {})
    if "callback" not in known:  # there is none, or it runs in the browser
        raise BadRequest(f"no callback here has the output {body.output[:200]!r}: {ADVICE}")
    outputs = body.outputs if isinstance(body.outputs, list) else [body.outputs]
    wanted = known["output"] if isinstance(known["output"], list | tuple) else [known["output"]]
    parts = {
        "inputs": (body.inputs, known["inputs"]),
        "state": (body.state, known["state"]),
        "outputs": (outputs, [each.to_dict() for each in wanted]),
    }
    for name, (given, expected) in parts.items():
        if len(given) != len(expected) or not all(map(_fits, given, expected)):
            raise BadRequest(f"the {name} are not those of {body.output[:200]!r}: {ADVICE}")
    names = {f"{_text(each.id)}.{each.property}" for each in _each(body.inputs)}
    if not names.issuperset(map(_without_spaces, body.changedPropIds)):
        raise BadRequest(f"changedPropIds names what is no input: {ADVICE}")


def _fits(given: Property | list[Property], expected: Mapping[str, str]) -> bool:
    """Whether it is the property that the callback asks for, or all of a pattern's."""
    # What several callbacks write has a mark of its own behind an @.
    if any(each.property.partition("@")[0] != expected["property"] for each in _each([given])):
        return False
    if not expected["id"].startswith("{"):
        return isinstance(given, Property) and given.id == expected["id"]
    pattern = json.loads(expected["id"])
    return isinstance(given, list) and all(
        isinstance(each.id, dict)
        and each.id.keys() == pattern.keys()
        and all(value in (each.id[key], ["ALL"]) for key, value in pattern.items())
        for each in given
    )


def _each(given: Sequence[Property | list[Property]]) -> Iterator[Property]:
    for each in given:
        yield from each if isinstance(each, list) else [each]


def _text(name: str | dict[str, str]) -> str:
    """An id as it stands in a property's name."""
    if isinstance(name, str):
        return name
    return json.dumps(name, separators=(",", ":"), sort_keys=True)


def _without_spaces(changed: str) -> str:
    name, _, property_name = changed.rpartition(".")
    try:
        return f"{_text(json.loads(name))}.{property_name}"
    except (ValueError, RecursionError):  # no pattern's
        return changed
