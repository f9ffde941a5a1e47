"""Single values: how a message shows a wrong one, and what moment one means."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

FOUND_CHARACTERS = 80  # how much of a wrong value an error message repeats


def describe(value: object) -> str:
    """A wrong value for an error message, shortened; of arrays and objects only their kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, list | dict):
        return f"a JSON {'array' if isinstance(value, list) else 'object'}"
    try:
        if isinstance(value, str | np.str_):
            return repr(value[:FOUND_CHARACTERS]) + ("…" if len(value) > FOUND_CHARACTERS else "")
        return str(value)[:FOUND_CHARACTERS]
    except ValueError:  # Python refuses to print integers of thousands of digits
        return "an integer too long to print"


def moments(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """A table's moments in UTC, NaT where a value is none."""
    import pandas as pd

    if values.dtype.kind == "O":
        values = values.mask(values.isin(["now", "today"]))  # which pandas reads as the present
    return pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
