"""From raw columns to the model's features: engineered columns and the deterministic split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from include.errors import ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUOTIENT_MAX = 1e15  # far beyond any customer; without it a tiny divisor breaks the trees' float32


class SplitRule(BaseModel):
    """Which side of the split a customer is on, now and for ever: a hash of the key decides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    salt: str
    calibration_share: float = Field(gt=0, lt=1)
    holdout_share: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> "SplitRule":
        if self.calibration_share + self.holdout_share >= 1:
            raise ValueError("calibration_share and holdout_share must leave rows to train on")
        return self

    def sides(self, keys: Sequence[int]) -> "NDArray[np.str_]":
        """Each customer's side: 'holdout', 'calibration' or 'training'."""
        place = np.fromiter((self._place(key) for key in keys), np.float64, len(keys))
        held, aside = self.holdout_share, self.holdout_share + self.calibration_share
        return np.select([place < held, place < aside], ["holdout", "calibration"], "training")

    def _place(self, key: int) -> float:
        """A number from 0 to 1 that depends on nothing but the salt and the key."""
        digest = hashlib.blake2b(f"{self.salt}:{int(key)}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64


@dataclass(frozen=True)
class Engineered:
    """A feature computed from raw columns: the product of its factors, over its divisor if any."""

    name: str
    factors: tuple[str, ...]
    divisor: str | None = None

    def needs(self) -> frozenset[str]:
        """The raw columns that it is computed from."""
        return frozenset(self.factors) | ({self.divisor} if self.divisor else frozenset())


ENGINEERED = (
    Engineered("Activity_Growth", ("Total_Amt_Chng_Q4_Q1",), divisor="Total_Trans_Amt"),
    Engineered("Customer_Value", ("Total_Revolving_Bal", "Avg_Utilization_Ratio", "Credit_Limit")),
)


def engineered_for(columns: Sequence[str]) -> tuple[Engineered, ...]:
    """The engineered features; ConfigurationError when the model's columns lack what they need."""
    missing = sorted(set().union(*(e.needs() for e in ENGINEERED)) - set(columns))
    if missing:
        raise ConfigurationError(
            f"the engineered features need the columns {missing}: add them to model.columns"
        )
    return ENGINEERED


def engineer(matrix: "NDArray[np.float64]", columns: Sequence[str]) -> "NDArray[np.float64]":
    """Append the engineered features to raw columns: float64, rows × (columns + engineered).

    A quotient is 0 where its divisor is 0, and at most QUOTIENT_MAX. The graph repeats these
    operations in this order.
    """
    place = {name: matrix[:, i] for i, name in enumerate(columns)}
    added = []
    for feature in engineered_for(columns):
        value = place[feature.factors[0]]
        for name in feature.factors[1:]:
            value = value * place[name]
        if feature.divisor is not None:
            below = place[feature.divisor]
            with np.errstate(over="ignore"):
                quotient = value / np.where(below == 0, 1.0, below)
            value = np.where(below == 0, 0.0, np.minimum(quotient, QUOTIENT_MAX))
        added.append(value)
    return np.column_stack([matrix, *added])
