"""Whom somebody means who says a number or an id, and whose a row is."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.erasure.forget import forget
from include.erasure.objects import without
from include.erasure.person import person_of
from include.errors import ConfigurationError
from include.predictions.log import customer_key, write_table
from tests.include.bank_days import ID_KEY, NOW
from tests.include.erasure.bank import KEY, ONE, PEOPLE, Bank, logged
from tests.leaks import numbers_in


@pytest.mark.parametrize("given", ["CIF-0815", " CIF-1 ", f"000{ONE}"])
def test_an_id_that_the_log_alone_knows(laptop: Bank, given: str) -> None:
    """To the letter; also one that begins with zeros, and is not the customer of that number."""
    table = logged(PEOPLE.head(1))
    key = customer_key(given, ID_KEY)
    place = table.column_names.index("customer_key")
    write_table(laptop.store, table.set_column(place, "customer_key", pa.array([key])), name="crm")
    person = person_of(given, ID_KEY, log_only=True)
    done = forget(laptop.places, person, asked_by="case 17", now=NOW)
    assert done.rows == {"prediction log": 1}
    assert ONE in laptop.keys_of("churners", KEY)


def test_a_number_of_the_log_alone_is_in_no_table(laptop: Bank) -> None:
    """Where callers of the API count customers otherwise than the bank's tables."""
    person = person_of(str(ONE), ID_KEY, log_only=True)
    done = forget(laptop.places, person, asked_by="case 17", now=NOW)
    assert done.rows["prediction log"] == 2 and "churners" not in done.rows
    rejected = laptop.store.read("runs/manual__2026/validate_data/rejected.parquet").data
    assert ONE in numbers_in(rejected)


@pytest.mark.parametrize(
    ("given", "found"),
    [(f"000{ONE}", "zeros"), ("-0", "zeros"), ("abc", "a text"), ("7.0", "a text"), (2**63, "a t")],
)
def test_what_can_be_in_no_table_is_asked_about(given: object, found: str) -> None:
    with pytest.raises(ConfigurationError, match=f"such as 708082083, found {found}.* API_ID="):
        person_of(str(given), ID_KEY)


@pytest.mark.parametrize("column", [pa.array([1.0, 2.0**53]), pa.array([1, 2], pa.int8())])
def test_a_column_that_cannot_hold_the_number_has_nobody(column: pa.Array) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({KEY: column}), sink)
    person = person_of(str(2**53 + 1), ID_KEY)
    data = sink.getvalue().to_pybytes()
    assert without(person, "runs/r/ingest_data/customers.parquet", data) is None


@pytest.mark.parametrize("given", ["", "  \n", "x" * 129])
def test_whom_to_forget_must_be_said(given: str) -> None:
    with pytest.raises(ConfigurationError, match="name the customer"):
        person_of(given, ID_KEY)
