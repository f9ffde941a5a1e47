"""What of the call list somebody looks at, as the URL and the grid's requests say it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from dashboard.data.rules import CallRules
from include.scoring.earlier import RISES, Span

STATUSES = ("open", "listed", "called", "snoozed", "control", "all")
SHOWN = (
    *("customer", "risk", "band", "call_value", "value", "spend", "balance", "credit_limit"),
    *("card", "months_inactive", "transactions"),
    *RISES.values(),
    *("flagged_since", "call_by", "sign"),
)
FILTERED = tuple(n for n in SHOWN if n not in {"band", "flagged_since", "call_by", "sign"})
SORTED = tuple(name for name in SHOWN if name != "sign")
SIGNS = ("flagged", "new", "quiet")
DUES = ("week", "passed")


@dataclass(frozen=True)
class ListView:
    """What of the list somebody looks at, and in which order."""

    rules: CallRules = field(default_factory=CallRules)
    bands: tuple[str, ...] = ()
    status: str = "open"
    with_left: bool = False
    campaign_only: bool = False
    rose: Span | None = None  # since when the risk rose; None for those whose risk fell, too
    sign: str | None = None  # why on the list of early warning; None for those not on it, too
    due: str | None = None  # until when to call those who are
    filters: Mapping[str, Any] = field(default_factory=dict)
    sort: tuple[tuple[str, str], ...] = (("call_value", "desc"),)

    @property
    def flagged_only(self) -> bool:
        """Whether it shows nobody but those on the list of early warning."""
        return bool(self.sign or self.due)

    @classmethod
    def from_values(cls, values: Mapping[str, str]) -> Self:
        """A view from a URL's query; what cannot be understood keeps its default."""
        status = values.get("status", "open")
        rose = next((span for span in RISES if span == values.get("rose")), None)
        usual = RISES[rose] if rose else "call_value"
        return cls(
            rules=CallRules.from_values(dict(values)),
            bands=tuple(band for band in values.get("bands", "").split(",") if band),
            status=status if status in STATUSES else "open",
            with_left=values.get("left") == "1",
            campaign_only=values.get("view") == "campaign",
            rose=rose,
            sign=_one_of(SIGNS, values.get("sign")),
            due=_one_of(DUES, values.get("due")),
            filters=_filters(values.get("filters", "")),
            sort=_sort(values.get("sort", "")) or ((usual, "desc"),),
        )


def _one_of(known: tuple[str, ...], value: str | None) -> str | None:
    return value if value in known else None


def _filters(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    known = found.items() if isinstance(found, dict) else ()
    return {n: m for n, m in known if n in FILTERED and _is_filter(m)}


def _is_filter(model: Any) -> bool:
    """Whether it is a filter as AG Grid makes them: plain, or joined of plain ones."""
    if not isinstance(model, dict):
        return False
    conditions = model.get("conditions") or []
    return isinstance(conditions, list) and all(
        isinstance(each, dict) and "conditions" not in each for each in conditions
    )


def _sort(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.partition(":")[::2] for part in text.split(",")]
    found = tuple((n, d) for n, d in pairs if n in SORTED and d in {"asc", "desc"})
    return found[:3]
