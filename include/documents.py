"""JSON documents in the store: checked when they are written, and again when they are read."""

import hashlib
import json
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from include.errors import ChurnError, DocumentError


class Document(BaseModel):
    """A JSON object in the store; an unknown field is an error, not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
    fault: ClassVar[type[ChurnError]] = DocumentError  # what one that cannot be read raises

    def to_bytes(self) -> bytes:
        """The document as stable, readable JSON."""
        data = self.model_dump(mode="json")
        return (json.dumps(data, indent=2, allow_nan=False) + "\n").encode()


DocumentT = TypeVar("DocumentT", bound=Document)


def parse_document(
    kind: type[DocumentT], data: bytes, key: str, *, any_release: bool = False
) -> DocumentT:
    """A JSON document from the store; the kind's `fault` when it is not one of that kind.

    `any_release` leaves out fields that this release does not know: for what people look at.
    """
    try:
        return kind.model_validate_json(data, extra="ignore" if any_release else None)
    except ValidationError as error:
        first = error.errors()[0]
        raise kind.fault(
            f"{key} is not a {kind.__name__}. Faults: {error.error_count()}, the first at "
            f"{'.'.join(map(str, first['loc'])) or 'the top'}: {first['msg']}"
        ) from error


def sha256(data: bytes) -> str:
    """The hash that names a file everywhere."""
    return hashlib.sha256(data).hexdigest()
