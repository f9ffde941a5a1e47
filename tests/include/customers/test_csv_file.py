"""CSV files of customers: what is read, what is refused, and with which words."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contract import load_contract
from include.customers import csv_file
from include.customers.__main__ import main
from include.customers.csv_file import read_csv, read_csv_customers
from include.errors import DataError
from tests.include.records import csv_text, customer

CONTRACT = load_contract()
THREE = csv_text(customer(1), customer(2), customer(3))
LINES = THREE.splitlines()


def frame(text: str | bytes) -> pd.DataFrame:
    return read_csv_customers(text.encode() if isinstance(text, str) else text, CONTRACT)


def faults(text: str | bytes, *, scoring: bool = False) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [str(fault) for fault in read_csv(data, CONTRACT, scoring=scoring).faults]


def test_the_real_customers_are_read_whole(bank_churners: Path) -> None:
    found = read_csv_customers(bank_churners, CONTRACT)
    assert len(found) == 8608
    assert (found["Attrition_Flag"] == "Attrited Customer").sum() == 1379


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda text: text.encode("utf-8-sig"), id="byte order mark"),
        pytest.param(lambda text: text.encode("utf-16"), id="utf-16"),
        pytest.param(lambda text: text.encode("utf-16-le"), id="utf-16 without its mark"),
        pytest.param(lambda text: text.encode("utf-16-be"), id="the other utf-16 without its mark"),
        pytest.param(lambda text: text.replace(",", "\t").encode("utf-16"), id="utf-16 with tabs"),
        pytest.param(lambda text: text.replace(",", "|"), id="bars"),
        pytest.param(lambda text: "sep=;,,,,\n" + text, id="a separator that is no longer true"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="crlf"),
        pytest.param(lambda text: text.replace("\n", "\r"), id="cr"),
        pytest.param(lambda text: text.rstrip("\n"), id="no last newline"),
        pytest.param(lambda text: text.replace("\n", "\n\n") + "\n ,,\n", id="empty rows"),
        pytest.param(lambda text: text + "," * 20 + "\n", id="a row of commas"),
        pytest.param(lambda text: text.replace("\n", ",,\n"), id="trailing commas"),
        pytest.param(lambda text: text.replace("45,", "45.0,"), id="45.0 is 45"),
        pytest.param(lambda text: text.replace("Married", '"Married"'), id="quotes"),
        pytest.param(lambda text: text.replace(",", " , "), id="spaces"),
        pytest.param(lambda text: text.replace(",", ";"), id="semicolons"),
        pytest.param(lambda text: text.replace(",", "\t"), id="tabs"),
        pytest.param(lambda text: "sep=,\r\n" + text, id="the separator in the first line"),
        pytest.param(lambda text: "sep=^\n" + text.replace(",", "^"), id="an unusual separator"),
        pytest.param(
            lambda text: (
                pd.read_csv(io.StringIO(text))
                .assign(Naive_Bayes_1=0.5, Naive_Bayes_2=0.5)
                .iloc[:, ::-1]
                .to_csv(index=False)
            ),
            id="as downloaded, in another order",
        ),
    ],
)
def test_the_same_customers_may_be_written_in_several_ways(
    written: Callable[[str], str | bytes],
) -> None:
    expected = frame(THREE)
    assert list(expected) == [column.name for column in CONTRACT.columns]
    pd.testing.assert_frame_equal(frame(written(THREE)), expected)


def test_an_empty_label_is_a_customer_without_a_label() -> None:
    assert frame(csv_text(customer(Attrition_Flag="")))["Attrition_Flag"].isna().all()


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026-11-01T10:00:00Z", "2026-11-01 10:00:00"),
        ("2026-11-01 10:00:00.250000", "2026-11-01 10:00:00.25"),
        ("2026-11-01T10:00:00+02:00", "2026-11-01 08:00:00"),
        ("2026-11-01", "2026-11-01"),
    ],
)
def test_labelled_at_is_read_as_utc(written: str, utc: str) -> None:
    found = frame(csv_text(customer(labelled_at=written)))["labelled_at"]
    assert found.tolist() == [pd.Timestamp(utc, tz="UTC")]


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e7), st.floats(0, 1000), st.integers(18, 120), st.sampled_from(["F", "M"])
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=20)
def test_every_value_survives_the_csv(values: list[tuple[float, float, int, str]]) -> None:
    names = ["Credit_Limit", "Total_Ct_Chng_Q4_Q1", "Customer_Age", "Gender"]
    rows = [customer(n, **dict(zip(names, v, strict=True))) for n, v in enumerate(values, 1)]
    found = frame(csv_text(*rows))[names]
    assert list(found.itertuples(index=False, name=None)) == values


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("Customer_Age", "abc", "expected an integer from 18 to 120, found 'abc'"),
        ("Customer_Age", "", "expected an integer from 18 to 120, found nothing"),
        ("Customer_Age", "45.5", "found 45.5"),
        ("Customer_Age", "9" * 400, "found inf"),
        ("Customer_Age", "4_5", "found '4_5'"),
        ("Customer_Age", "TRUE", "found 'TRUE'"),
        ("Customer_Age", "45 J.", "expected an integer from 18 to 120, found '45 J.'"),
        ("Customer_Age", "45%", "expected an integer from 18 to 120, of digits alone, found '45%'"),
        ("Credit_Limit", "$3200.0", "0, of digits and a decimal point alone, found '$3200.0'"),
        ("Credit_Limit", "3200 €", "0, of digits and a decimal point alone, found '3200 €'"),
        ("Credit_Limit", '"3200,5"', "0, of digits and a decimal point alone, found '3200,5'"),
        ("Credit_Limit", '"12.691,00"', "of digits and a decimal point alone, found '12.691,00'"),
        ("Credit_Limit", "12'691", 'of digits and a decimal point alone, found "12\'691"'),
        ("Customer_Age", "0x2d", "found '0x2d'"),
        ("Credit_Limit", "NaN", "found 'NaN'"),
        ("Credit_Limit", "inf", "found 'inf'"),
        ("Credit_Limit", "-0.01", "found -0.01"),
        ("Credit_Limit", '"3,200.0"', "found '3,200.0'"),
        ("Gender", "m", "expected one of F, M, found 'm'"),
        ("Gender", "", "found nothing"),
        ("Gender", "x" * 10_000, "found '" + "x" * 80 + "'…"),
    ],
)
@pytest.mark.parametrize("scoring", [False, True])
def test_a_bad_value_is_a_fault_with_its_row(
    name: str, value: str, told: str, scoring: bool
) -> None:
    bad = csv_text(customer(1), customer(2) | {name: "@"}).replace("@", value)
    (fault,) = faults(bad, scoring=scoring)
    assert fault.startswith(f"row 3: {name}: expected ") and fault.endswith(told)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("Attrition_Flag", "Gone", "found 'Gone'"),
        ("CLIENTNUM", "", "found nothing"),
        ("CLIENTNUM", "9007199254740993", "expected an integer from 1 to 9007199254740991"),
        ("CLIENTNUM", "2026-11-01", "1, of digits alone, found '2026-11-01'"),
        ("CLIENTNUM", "901 235", "1, of digits alone, found '901 235'"),
        ("labelled_at", "01/02/2026", "expected a date and time, found '01/02/2026'"),
        ("labelled_at", "today", "expected a date and time, found 'today'"),
        ("labelled_at", "now", "expected a date and time, found 'now'"),
    ],
)
def test_what_is_loaded_has_a_key_and_its_label_is_right(name: str, value: str, told: str) -> None:
    row = customer(labelled_at="") | {name: value}
    (fault,) = faults(csv_text(row))
    assert fault.startswith(f"row 2: {name}: ") and told in fault
    assert faults(csv_text(row), scoring=True) == []


@pytest.mark.parametrize("scoring", [False, True])
@pytest.mark.parametrize("number", ["9.01235E+08", "9e+08", "9,01E+08", "9.01e8", "9.0E+008"])
def test_a_number_that_a_spreadsheet_rounded_is_a_fault(number: str, scoring: bool) -> None:
    text = csv_text(customer(1), customer(2)).replace(",", ";").replace("\n2;", f"\n{number};")
    (fault, *_) = faults(text, scoring=scoring)
    assert fault.startswith("row 3: CLIENTNUM: expected every digit of the number")
    assert fault.endswith(f"found '{number}'")


@pytest.mark.parametrize("number", ["########", "#N/A", "#REF!", "#DIV/0!", "#NAME?"])
def test_a_number_that_a_spreadsheet_hid_is_a_fault(number: str) -> None:
    (fault,) = faults(csv_text(customer(1) | {"CLIENTNUM": number}), scoring=True)
    assert "expected every digit of the number" in fault and fault.endswith(f"found '{number}'")


@pytest.mark.parametrize("number", ["1E5", "9E8", "+1e5"])
def test_a_key_has_no_exponent_and_a_text_may_look_as_if(number: str) -> None:
    text = csv_text(customer(1) | {"CLIENTNUM": number})
    assert "expected every digit of the number" in faults(text)[0]
    assert faults(text, scoring=True) == []


@pytest.mark.parametrize(
    ("written", "expected"),
    [("000123", "000123"), ("123.0", "123"), ("C-1 x", "C-1 x"), ("9E8", "9E8"), ("1.05", "1.05")],
)
def test_a_number_to_score_stays_the_text_that_it_is(written: str, expected: str) -> None:
    text = csv_text(customer(1) | {"CLIENTNUM": written}).encode()
    assert read_csv(text, CONTRACT, scoring=True).frame["customer_id"].tolist() == [expected]


@pytest.mark.parametrize("scoring", [False, True])
@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([LINES[1] + ",1", LINES[2]], "row 2: expected 21 fields, found 22"),
        ([LINES[1], LINES[2].rpartition(",")[0]], "row 3: expected 21 fields, found 20"),
        (["", LINES[1] + ",", LINES[2]], "row 3: expected 21 fields, found 22"),
        ([LINES[1] + '"1,2"', LINES[2]], "row 2: expected 21 fields, found 22"),
        ([LINES[1], LINES[2].replace("M", '"M', 1)], "row 3: expected 21 fields, found 4"),
        (
            ["", LINES[1], " ,", LINES[2].replace("M,", "X,")],
            "row 5: Gender: expected one of F, M, ",
        ),
        (
            [LINES[1].replace("Married", '"a\nb"')],
            "row 2: Marital_Status: expected one of Unknown, Single, Married, Divorced, found ",
        ),
    ],
)
def test_rows_keep_their_number_and_lose_no_field(
    rows: list[str], told: str, scoring: bool
) -> None:
    (fault,) = faults("\n".join([LINES[0], *rows]), scoring=scoring)
    assert fault.startswith(told)


def test_a_value_below_no_name_is_a_fault() -> None:
    told = faults(LINES[0] + ",\n" + LINES[1] + ",x\n")
    assert told == ["row 2: expected nothing in column 22, which has no name, found 'x'"]


def test_a_header_that_ends_in_a_separator_is_told() -> None:
    expected = "22 fields, the last of the header without a name"
    assert faults(LINES[0] + ",\n" + LINES[1]) == [f"row 2: expected {expected}, found 21"]


def test_rows_keep_their_number_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 1000)
    lines = csv_text(*(customer(key) for key in range(1, 201))).splitlines()
    lines[50] += ",1"
    lines[100] = lines[100].replace("M,", "X,")
    lines[150] = lines[5]
    assert [told.partition(": expected")[0] for told in faults("\n".join(lines))] == [
        *("row 6: CLIENTNUM", "row 51", "row 101: Gender", "row 151: CLIENTNUM")
    ]
    read = read_csv("\n".join(lines).encode(), CONTRACT, scoring=True)
    assert np.array_equal(read.frame.index, [n for n in range(2, 202) if n != 51])


def test_twenty_faults_are_listed_and_the_rest_counted() -> None:
    with pytest.raises(DataError) as refused:
        frame(csv_text(*(customer(key, Customer_Age=-key) for key in range(1, 31))))
    assert str(refused.value).count("\n  row ") == 20
    assert str(refused.value).endswith(
        "row 21: Customer_Age: expected an integer from 18 to 120, found -20\n  and 10 more"
    )


@pytest.mark.parametrize(
    ("change", "message", "is_scored"),
    [
        (lambda r: {k: v for k, v in r.items() if k != "Gender"}, "missing: Gender", False),
        (lambda r: {k: v for k, v in r.items() if k != "Attrition_Flag"}, "missing: Att", True),
        (lambda r: {"Age": 45} | {k: v for k, v in r.items() if k[:2] == "CL"}, "1. more", False),
        (
            lambda r: {k.lower(): v for k, v in r.items()},
            "written otherwise: .*'gender' for Gender.* and 1. more",
            False,
        ),
        (
            lambda r: {"\ufeff'ClientNum'": 1} | r | {"CLIENTNUM ": 1},
            "repeated: CLIENTNUM",
            False,
        ),
        (lambda r: {k.replace("CL", "\u200bCL"): v for k, v in r.items()}, "for CLIENTNUM$", False),
        (lambda r: {k.replace("_", " "): v for k, v in r.items()}, "'Card Category' for C", False),
        (lambda r: r | {"Naive_Bayes_1": 1}, "too many: Naive_Bayes_1", True),
        (lambda r: r | {"Churn": 1}, "unknown: 'Churn'", True),
        (lambda r: {"": 0} | r, "an index that a program wrote .*: ''", False),
        (lambda r: {"Unnamed: 0": 0} | r, "an index that a program wrote .*: 'Unnamed: 0'", False),
        (lambda r: {"Unnamed: 0.1": 0} | r, "an index .*: 'Unnamed: 0.1'$", False),
        (lambda r: {"index": 0} | r, "an index .*: 'index'$", False),
        (lambda r: {"level_0": 0} | r, "an index .*: 'level_0'$", False),
        (lambda r: r | {"Gender ": "F"}, "repeated: Gender", False),
    ],
)
def test_wrong_columns_are_refused(
    change: Callable[[dict[str, object]], dict[str, object]], message: str, is_scored: bool
) -> None:
    text = csv_text(change(customer())).encode()
    for scoring in (False, True):
        if scoring and is_scored:
            assert faults(text, scoring=True) == []
            continue
        with pytest.raises(DataError, match=f"does not have the columns .*{message}"):
            read_csv(text, CONTRACT, scoring=scoring)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "is empty", id="nothing"),
        pytest.param(b"\n , \n", "is empty", id="line breaks"),
        pytest.param(LINES[0].encode(), "has a header and no customers", id="header"),
        pytest.param(bytes(range(256)) * 100, "is not UTF-8 text", id="bytes"),
        pytest.param(b"PK\x03\x04\x14\x00\x08\x00\xff\xfe", "CSV .UTF-8., not as a", id="zip"),
        pytest.param(b"\x00" * 100, "is not UTF-8 text", id="zeros"),
        pytest.param(THREE.encode() * 9_000 + b"\0", "zero in line 36001", id="late zero"),
        pytest.param(THREE.encode("utf-16")[:-1], "is not UTF-8 text", id="half a utf-16"),
        pytest.param(THREE.encode("utf-32"), "a byte of zero", id="utf-32"),
        pytest.param(b"PK\x03\x04", "text .a workbook or a zip archive.: save it", id="xlsx"),
        pytest.param(gzip.compress(THREE.encode()), "text .packed by gzip.: save it", id="gzip"),
        pytest.param(b"sep=^\n^^^\n", "begins with '': expected a header of", id="no names"),
        pytest.param(b"sep=\xc2\xa7\n", "begins with 'sep=§': expected", id="sep of two bytes"),
        pytest.param(
            "\n".join(LINES[1:]).encode(), "begins with '1, Exist.*expected a header of", id="rows"
        ),
        pytest.param(
            b"Customers" + b"," * 20 + b"\n" + THREE.encode(),
            "begins with 'Customers': expected a header of the columns CLIENTNUM, ",
            id="title",
        ),
        pytest.param(
            "\n".join(f'"{line}"' for line in LINES).encode(),
            "begins with 'CLIENTNUM,Attr.*: expected a header of",
            id="whole rows in quotes",
        ),
        pytest.param(
            (LINES[0] + "\n" + LINES[1] + "x" * 2**22).encode(),
            "a row of more than 1,048,576 bytes",
            id="endless row",
        ),
        pytest.param(THREE.replace("Marr", "\xe9").encode("latin1"), "0xe9 in line 2", id="latin1"),
        pytest.param(b"x" * 200_000, "begins with 'x{80}'…: expected a header", id="endless line"),
        pytest.param(LINES[0].encode() + b'\n"' + b"1\n" * 2**20, "a quote", id="open quote"),
        pytest.param(THREE.encode() * 20_000 + b"\xff", "byte 0xff in line 80001", id="late byte"),
    ],
)
def test_what_is_no_customer_file_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        frame(data)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    ("text", "options", "code", "told"),
    [
        (THREE, [], 0, "no fault, can be loaded. Customers: 3.\nwarning: training needs 500 cus"),
        (THREE, ["--scoring"], 0, "can be scored. Customers: 3. Columns that are not used: Attri"),
        (THREE.replace(",45,", ",7,", 1), [], 1, "Faults: 1\n  row 2: Customer_Age: expected an"),
        (None, [], 1, "No such file"),
        (csv_text(customer(labelled_at="2999-01-01")), [], 1, "at: expected a date and time up to"),
    ],
)
def test_the_command_checks_a_file_and_changes_nothing(
    text: str | None,
    options: list[str],
    code: int,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHURN_DATABASE_URL", f"sqlite:///{tmp_path / 'churn.db'}")
    path = tmp_path / "customers.csv"
    if text is not None:
        path.write_text(text)
    assert main(["check", str(path), *options]) == code
    assert told in "".join(capsys.readouterr())
    assert set(tmp_path.iterdir()) <= {path}


def test_a_check_holds_one_block_and_the_keys() -> None:
    read = read_csv(THREE.encode(), CONTRACT, keeps_rows=False)
    assert (read.customers, len(read.frame)) == (3, 0)


def test_too_many_rows_to_score_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "SCORED_ROWS_MAX", 2)
    with pytest.raises(DataError, match="has more than 2 rows: split it"):
        read_csv(THREE.encode(), CONTRACT, scoring=True)
