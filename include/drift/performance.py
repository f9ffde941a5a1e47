"""`monitoring/performance.json`: how good each version's answers were, and were expected to be.

Of each version and ISO week there are two sets of figures. The estimate needs no outcome: it is
what the probabilities promise if each of them is right, so it is blind to changed rules. The
realised figures need customers who are ripe: `outcome_days` have passed since they were asked
about, and the table knows whether they left within these days. Beside realised figures stands the
estimate of the same customers, because the two may only be compared where nobody differs.
"""

from datetime import date
from typing import Literal, TypeAlias

from pydantic import AwareDatetime, Field

from include.documents import Document, parse_document
from include.drift.findings import PREFIX
from include.errors import ObjectNotFound
from include.store import Store

KEY = f"{PREFIX}/performance.json"
CAUTION = "blind to changed rules"

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
    roc_auc: Figure | None = Field(description="null where nobody left, or everybody did")
    recall: Figure | None = Field(description="at the version's threshold; null where nobody left")
    brier: Figure
    calibration_slope: Figure | None = Field(
        description="of the outcomes on the log-odds of the probabilities: 1 is right, less is too "
        "sure; null where it cannot be fitted"
    )
    calibration_intercept: Figure | None = Field(
        description="with the slope held at 1: 0 is right, below 0 fewer left than was promised"
    )
    calibration_groups: tuple[CalibrationGroup, ...] = Field(
        description="at most ten, by rising probability, about equally large"
    )


class VersionWeek(Document):
    """One version's predictions of one ISO week: of each known customer the first."""

    version: str
    week: str = Field(description="such as 2026-W19, of the prediction")
    begins: date = Field(description="the week's Monday")
    customers: int = Field(description="asked about; who was called or had left is not among them")
    ripe: int
    unlabelled: int = Field(description="old enough, and the table has no label of them")
    final: bool = Field(description="will not change any more, whatever is labelled later")
    estimate: Estimate = Field(description="of all `customers`")
    realised: Realised | None = Field(description="of the ripe; null while there are none")
    estimate_of_ripe: Estimate | None = Field(description="of the same customers as `realised`")
    verdict: WeekVerdict
    explanation: str = Field(description="the verdict in one sentence, with its numbers")


class Version(Document):
    """A version that has weeks, and what its own hold-out promised."""

    version: str
    champion: bool = Field(description="in production when this was written")
    threshold: float
    promised_roc_auc: float | None = Field(description="on its hold-out; null where unknown")
    promised_recall: float | None
    promised_brier: float | None
    judged_week: str | None = Field(description="the latest with enough ripe customers")
    lost: bool = Field(description="whether that week's verdict is `lost`")


class Performance(Document):
    """All of `performance.json`."""

    as_of: AwareDatetime
    day: date = Field(description="the last day whose predictions are in it")
    outcome_days: float
    confidence: float = Field(description="of every interval, such as 0.95")
    ripe_min: int = Field(description="fewer ripe customers of a week decide nothing")
    leavers_min: int = Field(description="nor do fewer of them who left, or who stayed")
    loss_min: float = Field(description="ROC-AUC below the promise that is a loss at least")
    retrains: bool = Field(description="drift.performance.retrain: a loss may start a training run")
    caution: str = Field(default=CAUTION, description="what every estimate is")
    rows_without_customer: int = Field(description="predictions that no label can be joined to")
    customers_called: int = Field(description="left out, because a call had a part in the outcome")
    unreadable_objects: tuple[str, ...] = Field(description="objects of the log that are none")
    versions: tuple[Version, ...] = Field(description="by number")
    weeks: tuple[VersionWeek, ...] = Field(description="by week, then version")


def read_performance(store: Store) -> Performance | None:
    """The last performance.json; None where none was written yet, DocumentError where it is none."""
    try:
        found = store.read(KEY)
    except ObjectNotFound:
        return None
    return parse_document(Performance, found.data, KEY, any_release=True)
