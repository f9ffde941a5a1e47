"""CSV files as spreadsheets open them rightly, and safely."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

# At a cell's start, or behind what separates cells where a comma is the decimal point.
FORMULA = re.compile(r"(^|;)(?=[ \u00a0]*[=+@\t\r\n＝＋－＠-])")


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
    return FORMULA.sub(r"\1'", value) if isinstance(value, str) else value
