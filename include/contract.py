"""The data contract: one object that checks the customer table, CSV files and requests alike."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.errors import ConfigurationError
from include.values import describe, moments
from include.yaml_file import read_yaml

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

SCHEMA_FILE = Path(__file__).parent / "config" / "schema.yaml"

# Columns that training adds to the customers' own.
_CAMPAIGN = ("campaign", "campaign_side", "campaign_at")
RESERVED = ("split", "probability", *_CAMPAIGN, "as_of", "left_after_days")
CUSTOMER_ID = "customer_id"  # what a record may carry beside the features; no model sees it
CUSTOMER_ID_CHARACTERS = 128
LARGEST_INTEGER = 2**53 - 1  # that every JSON reader keeps exact
_NUMBERS = frozenset({int, float})


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Share(_Frozen):
    """A band that a share must stay in, both ends included."""

    minimum: Annotated[float, Field(ge=0, le=1)]
    maximum: Annotated[float, Field(ge=0, le=1)]

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.minimum < self.maximum:
            raise ValueError("minimum must be below maximum")
        return self

    def __contains__(self, share: float) -> bool:
        return self.minimum <= share <= self.maximum


class Column(_Frozen):
    """What one column may hold."""

    name: str
    role: Literal["key", "target", "labelled_at", "feature"] = "feature"
    type: Literal["integer", "float", "category", "date", "timestamp"]
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    positive: str | None = None
    unknown_as: str | None = None
    required: bool = True
    default: float | None = None  # of a number that a record may leave out
    meaning: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.type == "category" and len(set(self.categories)) != max(len(self.categories), 1):
            raise ValueError(f"{self.name}: a category column lists its categories, each once")
        if self.type != "category" and self.categories:
            raise ValueError(f"{self.name}: only a category column lists categories")
        if self.type in {"integer", "float"} and not self.low < self.high:
            raise ValueError(f"{self.name}: minimum must be below maximum")
        for choice in (self.positive, self.unknown_as):
            if choice is not None and choice not in self.categories:
                raise ValueError(f"{self.name}: {choice!r} is not one of its categories")
        return self

    @property
    def expected(self) -> str:
        """What the column wants, for people."""
        if self.type == "category":
            return "one of " + ", ".join(self.categories)
        if self.type in {"date", "timestamp"}:
            return "a day such as 2026-01-31" if self.type == "date" else "a date and time"
        noun = "an integer" if self.type == "integer" else "a number"
        return f"{noun} from {self.low:.16g} to {self.high:.16g}"

    @cached_property
    def ordinals(self) -> dict[str, float]:
        """Each category's place, which is what the model sees."""
        return {category: float(place) for place, category in enumerate(self.categories)}

    @property
    def low(self) -> float:
        """The least that it may hold."""
        return -sys.float_info.max if self.minimum is None else self.minimum

    @property
    def high(self) -> float:
        """The most that it may hold."""
        return sys.float_info.max if self.maximum is None else self.maximum

    @cached_property
    def number(self) -> "Callable[[object], float | None]":
        """Judges one value: the number that the model sees, or None where it breaks the contract.

        A closure over the rules, because requests pass here value by value.
        """
        if self.type in {"date", "timestamp"}:
            return lambda value: None  # no request and no model has one
        return self._ordinal_judge() if self.categories else self._number_judge()

    def numbers(self, values: "Sequence[object] | NDArray[Any]") -> "NDArray[np.float64]":
        """The same for many values at once, as float64: NaN where one breaks the contract."""
        try:
            if self.categories:
                # Only texts equal a category, and what cannot be looked up raises.
                return np.fromiter(map(self.ordinals.__getitem__, values), np.float64, len(values))
            if isinstance(values, np.ndarray) or set(map(type, values)) <= _NUMBERS:
                return self._in_range(np.asarray(values, dtype=np.float64))
        except (KeyError, TypeError, OverflowError):
            pass
        found = map(self.number, values)
        return np.fromiter((math.nan if n is None else n for n in found), np.float64, len(values))

    def _ordinal_judge(self) -> "Callable[[object], float | None]":
        ordinals, kinds = self.ordinals, {str}
        other = None if self.unknown_as is None else ordinals[self.unknown_as]

        def number(value: object) -> float | None:
            return ordinals.get(value, other) if type(value) in kinds else None  # type: ignore[call-overload]

        return number

    def _number_judge(self) -> "Callable[[object], float | None]":
        low, high, whole = self.low, self.high, self.type == "integer"

        def number(value: Any) -> float | None:
            kind = type(value)
            # bool is neither. NaN fails both comparisons, infinity and larger integers one of them.
            if (kind is float or kind is int) and low <= value <= high:
                return None if whole and kind is float and not value.is_integer() else value
            return None

        return number

    def _in_range(self, data: "NDArray[np.float64]") -> "NDArray[np.float64]":
        # NaN fails both comparisons, and so do the infinities where there are no bounds.
        right = (data >= self.low) & (data <= self.high) & np.isfinite(data)
        if self.type == "integer":
            right &= data == np.floor(data)
        return data if right.all() else np.where(right, data, np.nan)


@dataclass(frozen=True)
class Fault:
    """One value that breaks the contract."""

    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, found {self.found}"


class TableFault(NamedTuple):
    """One value of a table that breaks the contract."""

    position: int
    column: str
    expected: str
    found: str


@dataclass(frozen=True)
class FrameCheck:
    """What a table's check found: `valid` by row, and one row of `faults` per wrong value."""

    valid: "NDArray[np.bool_]"
    faults: "pd.DataFrame"  # TableFault's fields

    @property
    def rejected_rows(self) -> int:
        """How many rows have at least one fault."""
        return int((~self.valid).sum())


class Contract(_Frozen):
    """Every column's rules, in the order of the model's input."""

    version: int
    attrited_share: Share
    columns: tuple[Column, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError("each column is listed once")
        if taken := sorted(set(names) & set(RESERVED)):
            raise ValueError(f"{', '.join(taken)}: training adds a column of that name")
        for role in ("key", "target", "labelled_at"):
            if sum(column.role == role for column in self.columns) != 1:
                raise ValueError(f"exactly one column has the role {role}")
        if not self.features:
            raise ValueError("at least one column is a feature")
        if self.target.positive is None or len(self.target.categories) != 2:
            raise ValueError("the target has two categories and says which one is positive")
        return self

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """The columns that a model may use."""
        return tuple(column for column in self.columns if column.role == "feature")

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns that a model may use."""
        return tuple(column.name for column in self.features)

    @cached_property
    def key(self) -> Column:
        """The column that identifies a customer."""
        return self._role("key")

    @cached_property
    def target(self) -> Column:
        """The column that says who left."""
        return self._role("target")

    @cached_property
    def labelled_at(self) -> Column:
        """The column that says when the label became known."""
        return self._role("labelled_at")

    @cached_property
    def defaults(self) -> dict[str, float]:
        """The features that a record may leave out, each with what it then counts as."""
        return {c.name: c.default for c in self.features if c.default is not None}

    @cached_property
    def of_records(self) -> "Contract":
        """The same without them: what the customer table holds, and a form asks for."""
        if not self.defaults:
            return self
        kept = tuple(column for column in self.columns if column.default is None)
        return self.of_columns(kept)

    def of_columns(self, columns: tuple[Column, ...]) -> "Contract":
        """The same contract with other columns."""
        return Contract(version=self.version, attrited_share=self.attrited_share, columns=columns)

    def _role(self, role: str) -> Column:
        return next(column for column in self.columns if column.role == role)

    def column(self, name: str) -> Column:
        """One column by its name; ConfigurationError when the contract has none such."""
        for column in self.columns:
            if column.name == name:
                return column
        raise ConfigurationError(f"the contract has no column {name!r}: schema.yaml lists them")

    def chosen(self, names: Sequence[str] | Literal["all"]) -> tuple[str, ...]:
        """The features that a model is to use, in the contract's order."""
        if names == "all":
            return self.feature_names
        unknown = sorted(set(names) - set(self.feature_names))
        if unknown or not names:
            raise ConfigurationError(
                f"model columns must be features of the contract, found {unknown or 'none'}"
            )
        return tuple(name for name in self.feature_names if name in names)

    def check_record(
        self, record: Mapping[str, object], *, required: Iterable[str]
    ) -> tuple[dict[str, float], list[Fault]]:
        """Check one request record: what is there must be right, what is required must be there.

        Returns the record's numbers (categories as ordinals) by column, and every fault.
        """
        numbers: dict[str, float] = {}
        faults: list[Fault] = []
        for column in self.features:
            if column.name not in record:
                continue
            number = column.number(record[column.name])
            if number is None:
                found = describe(record[column.name])
                faults.append(Fault(column.name, column.expected, found))
            else:
                numbers[column.name] = number
        for name in required:
            if name not in record and name not in self.defaults:
                faults.append(Fault(name, self.column(name).expected, "nothing"))
        faults.extend(
            Fault(describe(name), "a column of the contract", "an unknown field")
            for name in record
            if name not in self._feature_set
        )
        return numbers, faults

    @cached_property
    def _feature_set(self) -> frozenset[str]:
        return frozenset(self.feature_names)

    def missing_columns(self, names: Iterable[str]) -> list[str]:
        """The columns that a table must have and `names` lacks; `labelled_at` may be absent."""
        present = set(names)
        return [c.name for c in self.columns if c.name not in present and c.role != "labelled_at"]

    def check_frame(self, frame: "pd.DataFrame", also: Iterable[TableFault] = ()) -> FrameCheck:
        """Check a table's rows; an empty label is no fault, an empty feature is one."""
        import pandas as pd

        found = {*self.column_faults(frame), *self.repeated_keys(frame[self.key.name]), *also}
        table = pd.DataFrame(sorted(found), columns=list(TableFault._fields))
        texts = {"column": "str", "expected": "str", "found": "str"}
        faults = table.astype({"position": np.int64, **texts})  # also where there is no fault
        valid = np.ones(len(frame), dtype=bool)
        valid[faults["position"].to_numpy(dtype=np.int64)] = False
        return FrameCheck(valid, faults)

    def column_faults(self, frame: "pd.DataFrame") -> list[TableFault]:
        """Every value of a table that breaks its column's rule, of the columns that are there."""
        faults = []
        for column in self.columns:
            if column.name not in frame:
                continue
            values = frame[column.name]
            empty = values.isna().to_numpy()
            wrong = np.isnan(_numbers(column, values)) & (column.required | ~empty)
            if not wrong.any():
                continue
            found = values[wrong].astype(object).where(~empty[wrong], None)
            positions, expected = np.flatnonzero(wrong).tolist(), column.expected
            faults += [
                TableFault(position, column.name, expected, describe(value))
                for position, value in zip(positions, found, strict=True)
            ]
        return faults

    def repeated_keys(self, keys: "pd.Series[Any]", elsewhere: Any = ()) -> list[TableFault]:
        """A fault for every row whose key stands in another row, or is among those elsewhere."""
        repeated = (keys.notna() & (keys.duplicated(keep=False) | keys.isin(elsewhere))).to_numpy()
        return [
            TableFault(place, self.key.name, "each key once", f"{describe(value)} again")
            for place, value in zip(
                np.flatnonzero(repeated).tolist(), keys[repeated].tolist(), strict=True
            )
        ]

    def matrix(self, frame: "pd.DataFrame", names: Sequence[str]) -> "NDArray[np.float64]":
        """The model's input for checked rows: float64, rows × names, categories as ordinals."""
        data = np.empty((len(frame), len(names)), dtype=np.float64)
        for place, name in enumerate(names):
            data[:, place] = _numbers(self.column(name), frame[name])
        return data

    def labels(self, frame: "pd.DataFrame") -> "NDArray[np.int64]":
        """1 for a customer who left, 0 for one who stayed."""
        return np.asarray(frame[self.target.name] == self.target.positive, dtype=np.int64)


def load_contract(path: Path = SCHEMA_FILE) -> Contract:
    """Read the contract from schema.yaml; ConfigurationError says what is wrong with it."""
    try:
        return Contract.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigurationError(f"cannot use the data contract {path}: {error}") from error


def _numbers(column: Column, values: "pd.Series[Any]") -> "NDArray[np.float64]":
    """A table's column as float64, NaN where a value breaks the contract."""
    if column.type in {"date", "timestamp"}:
        found = moments(values)
        right = found == found.dt.normalize() if column.type == "date" else found.notna()
        return np.where(right, 0.0, np.nan)
    data = values.to_numpy() if values.dtype.kind in "iuf" else None
    if data is not None and data.dtype.kind in "iuf":
        return column.numbers(data)
    listed = values.tolist()
    return column.numbers([_plain(v) for v in listed] if values.dtype == object else listed)


def _plain(value: Any) -> object:
    """A NumPy scalar or a database's Decimal as the Python number that it is."""
    if isinstance(value, np.generic):
        return value.item()
    return float(value) if type(value).__name__ == "Decimal" else value
