"""What a model predicts: who has left by a snapshot, or who leaves in the days that follow it."""

from datetime import date, timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Target(BaseModel):
    """What a label says of a customer at a moment.

    `state`: the customer has left by then. `horizon`: the customer, who is active then, leaves
    more than `gap_days` and at most `gap_days + horizon_days` days later.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["state", "horizon"] = "state"
    gap_days: int = Field(default=0, ge=0, le=365)
    horizon_days: int = Field(default=0, ge=0, le=730)

    @model_validator(mode="after")
    def _days_of_a_horizon(self) -> Self:
        if (self.kind == "horizon") != (self.horizon_days > 0):
            raise ValueError("a horizon has at least one day, a state has none")
        return self

    @property
    def is_early_warning(self) -> bool:
        """Whether it says who will leave."""
        return self.kind == "horizon"

    @property
    def last_day(self) -> int:
        """How many days after the snapshot the label's window ends."""
        return self.gap_days + self.horizon_days

    def window_ends(self, as_of: date) -> date:
        """The last day that a label of this snapshot depends on."""
        return as_of + timedelta(days=self.last_day)

    def __str__(self) -> str:
        if not self.is_early_warning:
            return "has left"
        return f"leaves within {self.horizon_days} days, after the first {self.gap_days}"


STATE = Target()
