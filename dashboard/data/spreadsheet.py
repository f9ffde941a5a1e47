"""CSV files as spreadsheets open them rightly, and safely."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def spreadsheet(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file as spreadsheets open it rightly: UTF-8 with its mark, formulas neutralised."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([neutral(name) for name in header])
    writer.writerows([neutral(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def neutral(value: Any) -> Any:
    """The value, or a text that a spreadsheet shows instead of computing.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if isinstance(value, str) and value.lstrip(" \u00a0").startswith(FORMULA_STARTS):
        return "'" + value
    return value
