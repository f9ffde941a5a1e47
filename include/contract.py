"""The data contract: one object that checks the customer table, CSV files and requests alike."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

SCHEMA_FILE = Path(__file__).parent / "config" / "schema.yaml"
FOUND_CHARACTERS = 80  # how much of a wrong value an error message repeats

RESERVED = ("split", "probability")  # columns that training adds to the customers' own

_ABSENT = object()


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
    type: Literal["integer", "float", "category", "timestamp"]
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    positive: str | None = None
    unknown_as: str | None = None
    required: bool = True
    meaning: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.type == "category" and len(set(self.categories)) != max(len(self.categories), 1):
            raise ValueError(f"{self.name}: a category column lists its categories, each once")
        if self.type != "category" and self.categories:
            raise ValueError(f"{self.name}: only a category column lists categories")
        if self.type in {"integer", "float"} and not self._low < self._high:
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
        if self.type == "timestamp":
            return "a date and time"
        noun = "an integer" if self.type == "integer" else "a number"
        return f"{noun} from {self._low:.16g} to {self._high:.16g}"

    @cached_property
    def ordinals(self) -> dict[str, float]:
        """Each category's place, which is what the model sees."""
        return {category: float(place) for place, category in enumerate(self.categories)}

    @property
    def _low(self) -> float:
        return -math.inf if self.minimum is None else self.minimum

    @property
    def _high(self) -> float:
        return math.inf if self.maximum is None else self.maximum

    def number(self, value: object) -> float | None:
        """The value as the model's float64, or None where it breaks the contract."""
        kind = type(value)
        if self.categories:
            if kind is not str:
                return None
            found = self.ordinals.get(value)  # type: ignore[call-overload]
            if found is None and self.unknown_as is not None:
                return self.ordinals[self.unknown_as]
            return found  # type: ignore[no-any-return]
        if kind is not int and kind is not float:  # bool is neither
            return None
        # NaN fails both comparisons; an int beyond float's range fails them before it is converted.
        if not self._low <= value <= self._high:  # type: ignore[operator]
            return None
        if kind is float and self.type == "integer" and not value.is_integer():  # type: ignore[attr-defined]
            return None
        return float(value)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Fault:
    """One value that breaks the contract."""

    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True)
class FrameCheck:
    """What a table's check found: `valid` by row, and one row of `faults` per wrong value."""

    valid: "NDArray[np.bool_]"
    faults: "pd.DataFrame"  # position, column, expected, found

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
        taken = sorted(set(names) & set(RESERVED))
        if taken:
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
            value = record.get(column.name, _ABSENT)
            if value is _ABSENT:
                continue
            number = column.number(value)
            if number is None:
                faults.append(Fault(column.name, column.expected, describe(value)))
            else:
                numbers[column.name] = number
        for name in required:
            if name not in record:
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

    def check_frame(self, frame: "pd.DataFrame") -> FrameCheck:
        """Check a table's rows; an empty label is no fault, an empty feature is one."""
        import pandas as pd

        parts = [
            self._column_faults(column, frame) for column in self.columns if column.name in frame
        ]
        found = pd.concat([*parts, self._repeated_keys(frame)], ignore_index=True)
        texts = {"column": "str", "expected": "str", "found": "str"}  # also where there is no fault
        faults = found.astype(texts).sort_values(["position", "column"], ignore_index=True)
        valid = np.ones(len(frame), dtype=bool)
        valid[faults["position"].to_numpy(dtype=np.int64)] = False
        return FrameCheck(valid, faults)

    def matrix(self, frame: "pd.DataFrame", names: Sequence[str]) -> "NDArray[np.float64]":
        """The model's input for checked rows: float64, rows × names, categories as ordinals."""
        data = np.empty((len(frame), len(names)), dtype=np.float64)
        for place, name in enumerate(names):
            data[:, place] = _numbers(self.column(name), frame[name])
        return data

    def labels(self, frame: "pd.DataFrame") -> "NDArray[np.int64]":
        """1 for a customer who left, 0 for one who stayed."""
        return np.asarray(frame[self.target.name] == self.target.positive, dtype=np.int64)

    def _column_faults(self, column: Column, frame: "pd.DataFrame") -> "pd.DataFrame":
        import pandas as pd

        values = frame[column.name]
        wrong = np.isnan(_numbers(column, values))
        if not column.required:
            wrong &= values.notna().to_numpy()
        positions = np.flatnonzero(wrong)
        found = zip(values.iloc[positions], values.iloc[positions].isna(), strict=True)
        return pd.DataFrame(
            {
                "position": positions,
                "column": column.name,
                "expected": column.expected,
                "found": [describe(None if empty else value) for value, empty in found],
            }
        )

    def _repeated_keys(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        import pandas as pd

        keys = frame[self.key.name]
        repeated = keys.duplicated(keep=False) & keys.notna()
        return pd.DataFrame(
            {
                "position": np.flatnonzero(repeated.to_numpy()),
                "column": self.key.name,
                "expected": "each key once",
                "found": [f"{describe(value)} again" for value in keys[repeated]],
            }
        )


def load_contract(path: Path = SCHEMA_FILE) -> Contract:
    """Read the contract from schema.yaml; ConfigurationError says what is wrong with it."""
    try:
        return Contract.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise ConfigurationError(f"cannot use the data contract {path}: {error}") from error


def describe(value: object) -> str:
    """A wrong value for an error message, shortened; of arrays and objects only their kind."""
    if value is None or value is _ABSENT:
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


def _numbers(column: Column, values: "pd.Series[Any]") -> "NDArray[np.float64]":
    """The column as float64, NaN where a value breaks the contract."""
    if column.type == "timestamp":
        return np.where(_timestamps(values), 0.0, np.nan)
    if column.categories:
        mapped = values.map(column.ordinals)
        if column.unknown_as is not None:
            texts = np.fromiter((isinstance(value, str) for value in values), np.bool_, len(values))
            mapped = mapped.where(mapped.notna() | ~texts, column.ordinals[column.unknown_as])
        return np.asarray(mapped.to_numpy(dtype=np.float64, na_value=np.nan))
    if values.dtype.kind in "iuf":
        data = values.to_numpy(dtype=np.float64)
        low, high = column.minimum, column.maximum
        wrong = ~np.isfinite(data)
        wrong |= False if low is None else data < low
        wrong |= False if high is None else data > high
        if column.type == "integer":
            wrong |= data != np.floor(data)
        return np.where(wrong, np.nan, data)
    found = (column.number(_plain(value)) for value in values)
    return np.fromiter((math.nan if n is None else n for n in found), np.float64, len(values))


def _plain(value: Any) -> object:
    """A NumPy scalar or a database's Decimal as the Python number that it is."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value).__name__ == "Decimal":
        return float(value)
    return value


def _timestamps(values: "pd.Series[Any]") -> "NDArray[np.bool_]":
    import pandas as pd

    return pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601").notna().to_numpy()
