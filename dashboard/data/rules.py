"""What a call is worth, and what a campaign may cost: small values that check themselves."""

from dataclasses import dataclass, fields
from typing import Any, Self
from urllib.parse import parse_qsl

CALLS_MAX = 50_000  # of one campaign


@dataclass(frozen=True)
class CallRules:
    """Expected value of a call = P(churn) × yearly revenue × years × success rate - cost."""

    years: float = 2.0
    success: float = 0.30
    cost: float = 12.0
    budget: float = 3000.0
    control: float = 0.10

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must be from {low:g} to {high:g}, found {value!r}")

    @property
    def calls(self) -> int:
        """How many calls the budget pays for, within what one campaign may have."""
        return min(self._paid_calls, CALLS_MAX)

    @property
    def is_capped(self) -> bool:
        """Whether the budget pays for more calls than one campaign may have."""
        return self._paid_calls > CALLS_MAX

    @property
    def _paid_calls(self) -> int:
        return int(self.budget / self.cost + 1e-9)

    @property
    def weight(self) -> float:
        """What a call saves, as a multiple of P(churn) × yearly revenue."""
        return self.years * self.success

    def at_risk(self, call_value: float) -> float:
        """The P(churn) × yearly revenue of a customer whose call has this expected value."""
        return (call_value + self.cost) / self.weight

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """Rules from a form or a URL; what is missing or impossible keeps its default."""
        found = {}
        for field in fields(cls):
            number = _number(values.get(field.name))
            low, high = LIMITS[field.name]
            if number is not None and low <= number <= high:
                found[field.name] = number
        return cls(**found)


FIELDS_MAX = 50
LIMITS: dict[str, tuple[float, float]] = {
    "years": (0.1, 20.0),
    "success": (0.01, 1.0),
    "cost": (0.01, 10_000.0),
    "budget": (0.0, 1_000_000.0),
    "control": (0.0, 0.5),
}


def query_values(search: str | None) -> dict[str, str]:
    """A URL's query as a plain dictionary, the last value of each name; {} if it has too many."""
    try:
        return dict(parse_qsl((search or "").removeprefix("?"), max_num_fields=FIELDS_MAX))
    except ValueError:
        return {}


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
