"""What Airflow does with a task's answer on its way to the next task."""

import json
from typing import TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

T = TypeVar("T")


def handed_on(answer: T) -> T:
    """The answer after its way through JSON."""
    text = json.dumps(to_jsonable_python(answer), allow_nan=False)
    return TypeAdapter(type(answer)).validate_json(text)
