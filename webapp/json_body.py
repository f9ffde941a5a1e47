"""A request's body as JSON: in UTF-8, uncompressed, each key once; or what is wrong with it.

Readers of JSON disagree on what a key that stands twice means (RFC 8259, 4): the last one, for
most. A caller who sends two credit limits is not answered for one of them.
"""

import codecs
import json
from collections import Counter
from typing import Any

import numpy as np
import orjson
from flask import Request

from include.contract import Fault
from include.values import FOUND_CHARACTERS
from webapp.problems import FAULTS_LISTED, NotJson, Unprocessable, UnsupportedMedia

JSON = "application/json"
CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
COLON, MANY_BYTES = 0x3A, 10_000


def check_media(request: Request) -> None:
    """UnsupportedMedia unless a request says that its body is JSON in UTF-8 as it is."""
    environ = request.environ
    if "HTTP_CONTENT_ENCODING" in environ:
        codings = {each.strip().lower() for each in environ["HTTP_CONTENT_ENCODING"].split(",")}
        if not codings <= {"", "identity"}:
            found = ", ".join(sorted(codings))[:FOUND_CHARACTERS]
            raise UnsupportedMedia(
                "the body must be JSON as it is, without Content-Encoding, found "
                f"{found!r}: send it uncompressed",
                Accept_Encoding="identity",
            )
    if environ.get("CONTENT_TYPE") == JSON:
        return
    charset = request.mimetype_params.get("charset", "utf-8")
    if not request.is_json or charset.lower() not in CHARSETS:
        raise UnsupportedMedia(
            f"the body must be JSON in UTF-8 with Content-Type: {JSON}, found "
            f"{environ.get('CONTENT_TYPE', '')[:FOUND_CHARACTERS] or 'none'!r}",
            Accept=JSON,
        )


def parse(body: bytes) -> Any:
    """The JSON in a body; NotJson says where it stops being JSON, Unprocessable repeated keys.

    NaN and the infinities are not JSON, but common writers emit them: they pass here, so that the
    record's check can name their fields.
    """
    body = body.removeprefix(codecs.BOM_UTF8)  # as RFC 8259, 8.1 allows
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" in body or b"Infinity" in body or "infinity" in error.msg:
            return _parse_thoroughly(body)
        raise NotJson(f"the body is not JSON: {error}") from error
    # Each key has a colon. Where there are more, some stand in texts, or a key stands twice.
    if _colons(body) != _keys(document):
        del document  # or a large body were in memory twice
        _parse_thoroughly(body)
        return orjson.loads(body)
    return document


def _colons(body: bytes) -> int:
    if len(body) < MANY_BYTES:
        return body.count(b":")
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == COLON))  # 15 times as fast there


def _keys(document: Any) -> int:
    """How many keys a record has, or a batch with its records; of what is neither, no more."""
    if type(document) is not dict:
        return 0
    records = document.get("records")
    if type(records) is not list or set(map(type, records)) != {dict}:
        return len(document)
    return len(document) + sum(map(len, records))


def _parse_thoroughly(body: bytes) -> Any:
    """Five times slower: looks at each object's keys, and takes NaN and the infinities."""
    repeating: list[tuple[dict[str, Any], list[str]]] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs) and len(repeating) <= FAULTS_LISTED:
            repeating.append((found, [name for name, _ in pairs]))
        return found

    try:
        document = json.loads(body, object_pairs_hook=members)
    except (ValueError, RecursionError) as error:
        told = str(error)[:200].partition("; use sys.")[0]  # Python's advice is not for callers
        raise NotJson(f"the body is not JSON: {told}") from error
    if repeating:
        raise _repeated(document, repeating)
    return document


def _repeated(document: Any, repeating: list[tuple[dict[str, Any], list[str]]]) -> Unprocessable:
    records = document.get("records") if type(document) is dict else None
    rows = {id(record): row for row, record in enumerate(records if type(records) is list else ())}
    faults, places = [], []
    for found, names in repeating:
        for name, times in Counter(names).items():
            if times > 1:
                faults.append(Fault(name[:FOUND_CHARACTERS], "each key once", f"it {times} times"))
                places.append(rows.get(id(found)))
    return Unprocessable(faults, rows=places)
