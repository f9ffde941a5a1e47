"""`monitoring/performance.json`: how good each version's answers were, and were expected to be.

Of each version and ISO week there are two sets of figures. The estimate needs no outcome: it is
what the probabilities promise if each of them is right, so it is blind to changed rules. The
realised figures come once, when the whole week is ripe: `outcome_days`, or the window of a version
that says who will leave, have passed since its last customer was asked about, and `label_days` more
in which labels could come. Beside them stands the estimate of the same customers, because the two
may only be compared where nobody differs.
"""

from datetime import date
from typing import Literal, TypeAlias

from pydantic import AwareDatetime, Field

from include.documents import Document, parse_document
from include.drift.findings import PREFIX
from include.errors import ObjectNotFound
from include.store import Store
from include.target import STATE, Target

FILE = "performance.json"
KEY = f"{PREFIX}/{FILE}"
CAUTION = "blind to changed rules"
CONFIDENCE = 0.95  # of every interval

WeekVerdict: TypeAlias = Literal["unripe", "too_few_ripe", "kept", "lost"]


class Figure(Document):
    """A figure with its interval at the confidence of the document."""

    value: float
    low: float
    high: float


class Estimate(Document):
    """What a version's probabilities promise of so many customers, without any outcome."""

    customers: int
    left: float = Field(description="how many are expected to leave: the sum of probabilities")
    left_share: Figure
    roc_auc: Figure | None = Field(description="null where nobody could leave, or nobody stay")
    recall: Figure | None = Field(description="at the version's threshold; null as above")
    brier: Figure


class CalibrationGroup(Document):
    """Customers with like probabilities: what these say, and what the customers did."""

    customers: int
    probability: float = Field(description="their mean")
    left_share: float


class Realised(Document):
    """What came of the answers to ripe customers."""

    customers: int
    left: int
    left_share: Figure
    roc_auc: Figure | None = Field(description="null with fewer than two who left, or who stayed")
    recall: Figure | None = Field(description="at the version's threshold; null where nobody left")
    brier: Figure
    calibration_slope: Figure | None = Field(
        description="of the outcomes on the log-odds of the probabilities: 1 is right, less is too "
        "sure; null where it cannot be fitted"
    )
    calibration_groups: tuple[CalibrationGroup, ...] = Field(
        description="at most ten, by rising probability, about equally large"
    )


class VersionWeek(Document):
    """One version's predictions of one ISO week: of each known customer the first."""

    version: str
    week: str = Field(description="such as 2026-W19, of the prediction")
    begins: date = Field(description="the week's Monday")
    ripe_on: date = Field(description="from when the week's outcomes are known, and do not change")
    customers: int = Field(description="asked about, each once")
    ripe: int = Field(description="whose outcome is known; 0 before the week is ripe")
    called: int = Field(description="left out, because a call had a part in the outcome")
    gone_before: int = Field(description="left out, because they had left when they were asked for")
    unlabelled: int = Field(description="left out of a ripe week, because the table has no label")
    too_late: int = Field(default=0, description="left out, because they left within the gap")
    involuntary: int = Field(default=0, description="left out, because the bank had them leave")
    estimate: Estimate = Field(description="of all `customers`")
    realised: Realised | None = Field(description="of the ripe; null while there are none")
    estimate_of_ripe: Estimate | None = Field(description="of the same customers as `realised`")
    verdict: WeekVerdict
    explanation: str = Field(description="the verdict in one sentence, with its numbers")

    @property
    def settled(self) -> bool:
        """Whether its outcomes were looked up: everybody is ripe, or left out for a reason."""
        return self.ripe + self.left_out == self.customers

    @property
    def left_out(self) -> int:
        """Customers of whom nothing follows, whatever they did."""
        gone = self.gone_before + self.too_late + self.involuntary
        return self.called + gone + self.unlabelled


class Version(Document):
    """A version that has weeks, and what its own hold-out promised."""

    version: str
    champion: bool = Field(description="in production when this was written")
    target: Target = Field(default=STATE, description="what it says of a customer")
    threshold: float | None = Field(description="null, as below, where its manifest is gone")
    promised_roc_auc: float | None = Field(description="on its hold-out")
    promised_recall: float | None
    promised_brier: float | None
    judged_week: str | None = Field(description="the latest with enough ripe customers")
    lost: bool = Field(description="whether that week's verdict is `lost`")


class Performance(Document):
    """All of `performance.json`."""

    as_of: AwareDatetime
    day: date = Field(description="the last day whose predictions are in it")
    outcome_days: float = Field(description="of a version that says who has left")
    label_days: float = Field(description="in which labels may still come, after `outcome_days`")
    confidence: float = Field(description="of every interval, such as 0.95")
    ripe_min: int = Field(description="fewer ripe customers of a week decide nothing")
    leavers_min: int = Field(description="nor do fewer of them who left, or who stayed")
    loss_min: float = Field(description="ROC-AUC below the promise that is a loss at least")
    retrains: bool = Field(description="drift.performance.retrain: a loss may start a training run")
    caution: str = Field(default=CAUTION, description="what every estimate is")
    rows_without_customer: int = Field(description="of the last week: no label can be joined to it")
    unreadable_objects: tuple[str, ...] = Field(description="of the last week's log")
    versions: tuple[Version, ...] = Field(description="by number")
    weeks: tuple[VersionWeek, ...] = Field(description="by week, then version")

    def days_until_known(self, version: Version) -> float:
        """How long after a version's week its outcomes are known."""
        return days_that_decide(version.target, self.outcome_days) + self.label_days


def days_that_decide(target: Target, outcome_days: float) -> float:
    """How many days after an answer say whether it was right: a window's, or `outcome_days`."""
    return target.last_day if target.is_early_warning else outcome_days


def read_performance(store: Store) -> Performance | None:
    """The last performance.json; None where there is none yet, DocumentError where it is broken."""
    try:
        found = store.read(KEY)
    except ObjectNotFound:
        return None
    return parse_document(Performance, found.data, KEY, any_release=True)
