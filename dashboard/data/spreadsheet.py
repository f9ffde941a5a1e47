"""CSV files as spreadsheets open them rightly, and safely."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def spreadsheet(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file as spreadsheets open it rightly: UTF-8 with its mark, formulas neutralised."""
    return csv_lines([header, *rows]).encode("utf-8-sig")


def csv_lines(rows: Iterable[Sequence[Any]]) -> str:
    """Lines as RFC 4180 has them, formulas neutralised."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([*map(neutral, row)] for row in rows)
    return text.getvalue()


def neutral(value: Any) -> Any:
    """The value, or a text that a spreadsheet shows instead of computing.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if isinstance(value, str) and value.lstrip(" \u00a0").startswith(FORMULA_STARTS):
        return "'" + value
    return value
