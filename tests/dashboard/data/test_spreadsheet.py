"""What a spreadsheet may make of the files that it opens."""

import csv
import io

import pytest

from dashboard.data.campaign import CSV_COLUMNS, campaign_csv
from dashboard.data.spreadsheet import neutral


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\n=1", "\r=1", "＝1", "\u00a0-1"]
)
def test_formulas_are_neutralised(text: str) -> None:
    assert neutral(text) == "'" + text


@pytest.mark.parametrize(
    ("text", "shown"), [("a;=1+1", "a;'=1+1"), (";@x; -1", ";'@x;' -1"), ("=1;2", "'=1;2")]
)
def test_a_semicolon_begins_no_formula_either(text: str, shown: str) -> None:
    assert neutral(text) == shown


def test_a_call_list_has_no_formulas() -> None:
    numbers = dict.fromkeys(CSV_COLUMNS, -3.25)
    row = {**numbers, "band": "+high", "card": "=1+1", "reasons": [("@sum(a1)", 1.0)]}
    text = campaign_csv([row]).decode("utf-8-sig")
    (line,) = csv.DictReader(io.StringIO(text))
    assert (line["Risk band"], line["Card"], line["Why"]) == ("'+high", "'=1+1", "'@sum(a1)")
    assert float(line["Expected value of a call ($)"]) == -3.25


@pytest.mark.parametrize("value", [-12.5, 3, "Blue", "60 %", "", "a-b", "a;b", "1;2=3"])
def test_other_cells_stay_as_they_are(value: object) -> None:
    assert neutral(value) == value
