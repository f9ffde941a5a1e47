"""How early a version sees who leaves: part of `evaluation.json` and of `gate.json`."""

from datetime import date

from pydantic import Field

from include.documents import Document
from include.target import Target


class LeadTimes(Document):
    """How one ranking does on the customers of one month, the most likely leavers first.

    Spans are days from the snapshot to leaving, such as `15–30`; None where nobody left in one.
    """

    roc_auc: float
    top_decile_lift: float = Field(description="share of leavers in the first tenth, over all's")
    recall: dict[str, float | None] = Field(description="on the list, of a span's leavers")


class OlderMonth(Document):
    """ROC-AUC on the hold-out customers of an older month."""

    as_of: date
    rows: int
    leavers: int
    model: float
    baseline: float
    champion: float | None = None


class LeavingMonth(Document):
    """Of those who left in a month, the share that was on the list so many days before.

    By the days, such as `30`: in the newest snapshot that lies at least so far back, and little
    further; None where the month has none.
    """

    month: str = Field(pattern=r"^\d{4}-\d{2}$")
    leavers: int
    model: dict[str, float | None]
    baseline: dict[str, float | None]


class Hindsight(Document):
    """A feature in the month that judges, beside its latest values for the same customers."""

    feature: str
    moved: float | None = Field(description="distance of the distributions, of who stayed")
    kept: float | None = Field(description="share of later leavers who left with that very value")


class EarlyWarning(Document):
    """All of it, on customers whom the version never saw; the month that judges is new to it, too.

    Older months partly taught it, by other customers.
    """

    target: Target
    as_of: date = Field(description="the month that judges")
    rows: int
    leavers: dict[str, int] = Field(description="by span")
    list_share: float
    listed: int = Field(description="customers on the list: the share, of these rows")
    model: LeadTimes
    baseline: LeadTimes = Field(description="months inactive and the fall in transactions")
    champion: LeadTimes | None = Field(default=None, description="in gate.json, where there is one")
    older: tuple[OlderMonth, ...] = ()
    months: tuple[LeavingMonth, ...] = ()

    @property
    def found_share(self) -> float | None:
        """Of all who left in the window, the share that was on the list; None if nobody left."""
        found = [self.leavers[span] * (self.model.recall[span] or 0) for span in self.leavers]
        return sum(found) / sum(self.leavers.values()) if any(self.leavers.values()) else None
