"""Records: a request's JSON in, the model's numbers out, or every fault found on the way."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from include.contract import CUSTOMER_ID, CUSTOMER_ID_CHARACTERS, LARGEST_INTEGER, Contract, Fault
from include.values import describe
from webapp.problems import FAULTS_LISTED, Unprocessable

if TYPE_CHECKING:
    from numpy.typing import NDArray

CUSTOMER_ID_EXPECTED = f"an integer, or a text of 1 to {CUSTOMER_ID_CHARACTERS} characters"
LABEL_EXPECTED = "no {role}: it is the answer or the bank's own bookkeeping, so leave it out"
KEY_EXPECTED = f"no customer key: send it as {CUSTOMER_ID}"


class Accepted(NamedTuple):
    """Records that passed: the model's input, and what the log keeps."""

    matrix: "NDArray[np.float64]"  # rows × the champion's columns
    records: list[dict[str, Any]]
    customer_ids: list[int | str | None]
    defaulted: list[str]  # columns that some record left out


class RecordReader:
    """Reads records as one champion wants them; what its contract implies is worked out once."""

    def __init__(self, contract: Contract, columns: Sequence[str]) -> None:
        self.contract = contract
        self.columns = tuple(columns)
        self._used = tuple(contract.column(name) for name in self.columns)
        # What single records meet, without a look at the contract. Callers may send every column
        # of it whatever the champion uses.
        self._judges = tuple((column.name, column.number) for column in self._used)
        self._all_judges = tuple((column.name, column.number) for column in contract.features)
        self._pick: Callable[[Any], Any] = itemgetter(
            *(contract.feature_names.index(name) for name in self.columns)
        )
        self._defaults = {n: v for n, v in contract.defaults.items() if n in self.columns}
        self._others = {
            column.name: KEY_EXPECTED
            if column.role == "key"
            else LABEL_EXPECTED.format(role=column.name)
            for column in contract.columns
            if column.role != "feature"
        }

    def read(self, record: Any) -> Accepted:
        """Check one record; Unprocessable lists its faults."""
        if type(record) is not dict:
            raise Unprocessable([Fault("body", "a JSON object", describe(record))])
        customer_id = record.pop(CUSTOMER_ID, None)
        numbers = self._numbers(self._whole(record))
        if numbers is None or not _is_customer_id(customer_id):
            numbers, faults = self._check(record, customer_id)
            if faults:
                raise Unprocessable(faults)
        return self._accepted(np.array((numbers,), dtype=np.float64), [record], [customer_id])

    def read_all(self, records: list[Any]) -> Accepted:
        """Check many records; Unprocessable lists the faults, each with its row."""
        if set(map(type, records)) == {dict}:
            customer_ids = [record.pop(CUSTOMER_ID, None) for record in records]
            matrix = self._matrix(list(map(self._whole, records)))
            if matrix is not None and all(map(_is_customer_id, customer_ids)):
                return self._accepted(matrix, records, customer_ids)
        else:
            customer_ids = [_take_customer_id(record) for record in records]
        return self._read_each(records, customer_ids)

    def _read_each(self, records: list[Any], customer_ids: list[Any]) -> Accepted:
        rows: list[Any] = []
        faults: list[Fault] = []
        places: list[int] = []
        for place, (record, customer_id) in enumerate(zip(records, customer_ids, strict=True)):
            numbers, found = self._check(record, customer_id)
            rows.append(numbers)
            faults += found
            places += [place] * len(found)
            if len(faults) > FAULTS_LISTED:
                break
        if faults:
            raise Unprocessable(faults, rows=places)
        return self._accepted(np.array(rows, dtype=np.float64), records, customer_ids)

    def _whole(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with what it may leave out, or give as null; the log keeps it as it came."""
        if not self._defaults:
            return record
        return record | {n: v for n, v in self._defaults.items() if record.get(n) is None}

    def _accepted(
        self, matrix: "NDArray[np.float64]", records: list[dict[str, Any]], ids: list[Any]
    ) -> Accepted:
        left_out = [n for n in self._defaults if any(r.get(n) is None for r in records)]
        return Accepted(matrix, records, ids, left_out)

    def _numbers(self, record: dict[str, Any]) -> Any:
        """The row of a record that is right, else None; `_check` then says what is wrong."""
        every = len(record) == len(self._all_judges)
        judges = self._all_judges if every else self._judges
        try:
            numbers = [number(record[name]) for name, number in judges]
        except KeyError:
            return None
        if None in numbers or len(numbers) != len(record):
            return None
        return self._pick(numbers) if every else numbers

    def _matrix(self, records: list[dict[str, Any]]) -> "NDArray[np.float64] | None":
        """The rows of records that are right and of one shape, else None; column by column."""
        every = len(records[0]) == len(self._all_judges)
        columns = self.contract.features if every else self._used
        if set(map(len, records)) != {len(columns)}:
            return None
        try:
            rows = list(map(itemgetter(*(column.name for column in columns)), records))
        except KeyError:
            return None
        pairs = zip(columns, zip(*rows, strict=True), strict=True)
        matrix = np.column_stack([column.numbers(values) for column, values in pairs])
        if np.isnan(matrix).any():
            return None
        return matrix[:, self._pick(range(len(columns)))] if every else matrix

    def _check(self, record: Any, customer_id: Any) -> tuple[Any, list[Fault]]:
        """The row of any record, and all that is wrong with it."""
        if type(record) is not dict:
            return None, [Fault("record", "a JSON object", describe(record))]
        names = self.contract.feature_names
        known = {name: value for name, value in self._whole(record).items() if name in names}
        numbers, faults = self.contract.check_record(known, required=self.columns)
        for name in record.keys() - known.keys():
            expected = self._others.get(name, "a column of the contract")
            faults.append(Fault(name[:80], expected, "an unknown field"))
        if not _is_customer_id(customer_id):
            faults.append(Fault(CUSTOMER_ID, CUSTOMER_ID_EXPECTED, describe(customer_id)))
        return [numbers.get(name) for name in self.columns], faults


def _take_customer_id(record: Any) -> Any:
    return record.pop(CUSTOMER_ID, None) if type(record) is dict else None


def _is_customer_id(value: Any) -> bool:
    if value is None:
        return True
    if type(value) is int or (type(value) is float and value.is_integer()):
        return abs(value) <= LARGEST_INTEGER
    return type(value) is str and 0 < len(value) <= CUSTOMER_ID_CHARACTERS
