"""`drift.json`: what one day's traffic was, how it differs, and what followed from that."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, TypeAlias

from pydantic import AwareDatetime, Field

from include.documents import Document, parse_document
from include.params import DriftRules
from include.store import Store

PREFIX = "monitoring"
DRIFT_FILE = "drift.json"
REPORT_PAGE = "report.html"
REPORT_FILE = "report.json"

Kind: TypeAlias = Literal["numeric", "categorical"]
Mix: TypeAlias = Literal["all", "existing"]  # of the reference rows: all, or who stayed
DayStatus: TypeAlias = Literal["drifted", "quiet", "too_few_rows", "no_predictions"]
GroupStatus: TypeAlias = Literal["drifted", "quiet", "too_few_rows", "no_reference"]


class Verdict(Document):
    """One feature's test: drifted when both significant among all features and large enough."""

    feature: str
    kind: Kind
    test: Literal["ks", "chi2"]
    statistic: float = Field(description="the KS statistic D, or chi-squared")
    p_value: float
    q_value: float = Field(description="the p-value after Benjamini-Hochberg over all features")
    effect: float = Field(
        description="share of customers by which the distributions differ at least: D for "
        "numeric features, half the sum of all changes in share for categorical ones"
    )
    effect_floor: float
    psi: float = Field(description="population stability index, for people; it decides nothing")
    significant: bool
    drifted: bool


class GroupDrift(Document):
    """What one version was asked that day, against its own reference."""

    version: str
    status: GroupStatus
    rows: int = Field(description="customers tested, each once; contract kept")
    repeated_rows: int = Field(description="further rows of the same customers, left out")
    repeated_anonymous_rows: int = Field(
        default=0, description="of those: rows without a customer and equal to an earlier such row"
    )
    rows_at_fault: int = Field(description="rows that break the contract, left out")
    faults: dict[str, int] = Field(description="how many values of each column break it")
    reference: Mix | None = Field(description="which reference rows the tests used")
    reference_rows: int | None
    score_reference_rows: int | None
    verdicts: tuple[Verdict, ...]
    drifted_features: tuple[str, ...]


class Guard(Document):
    """One condition of a retraining."""

    name: str
    passed: bool
    explanation: str


class Retraining(Document):
    """Whether drift or a loss of performance starts a training run, and if not, why."""

    triggered: bool
    reason: str = Field(
        description="'drift', 'performance', 'no_drift', or the guard that stopped it"
    )
    explanation: str
    guards: tuple[Guard, ...]
    run_id: str | None = Field(description="of churn_training, where one is started")
    decided_at: AwareDatetime | None = Field(description="when, where one is started")
    conf: dict[str, Any] | None = Field(description="the run's parameters")


class StartedRun(Document):
    """A training run that this day started; two where the champion changed in between."""

    run_id: str
    decided_at: AwareDatetime


class DriftDay(Document):
    """All of `drift.json`."""

    date: date
    status: DayStatus
    explanation: str
    drifted: bool
    drifted_features: tuple[str, ...]
    num_drifted_features: int
    threshold: float = Field(description="the rule's own number: of features, or their share")
    rows: int = Field(description="logged rows, each once")
    rows_of_other_sources: int = Field(description="what-if, bulk and test")
    rows_without_version: int
    unreadable_objects: tuple[str, ...] = Field(description="objects of the log that are none")
    groups: tuple[GroupDrift, ...]
    retraining: Retraining
    started_runs: tuple[StartedRun, ...] = Field(description="kept however often the day is run")
    report_uri: str | None
    rules: dict[str, Any] = Field(description="params.yaml's `drift`, as it was that day")


def day_key(day: date, name: str) -> str:
    """Where a day's findings lie."""
    return f"{PREFIX}/date={day.isoformat()}/{name}"


def read_day(store: Store, day: date) -> DriftDay:
    """A day's drift.json."""
    return read_day_at(store, day_key(day, DRIFT_FILE))


def read_day_at(store: Store, key: str) -> DriftDay:
    """The drift.json under a key; DocumentError where it is none."""
    return parse_document(DriftDay, store.read(key).data, key, any_release=True)


def status_of(groups: Sequence[GroupDrift]) -> DayStatus:
    """The day's status: that of its most telling version."""
    found = {group.status for group in groups if group.rows}
    if "drifted" in found:
        return "drifted"
    if "quiet" in found:
        return "quiet"
    return "too_few_rows" if found else "no_predictions"


def explain(status: str, groups: tuple[GroupDrift, ...], rules: DriftRules) -> str:
    """The day in one sentence."""
    if not groups:
        return "no customer was asked about on this day: nothing to compare"
    asked = ", ".join(_asked(group) for group in groups)
    if status in {"no_predictions", "too_few_rows"}:
        return f"too few customers to decide anything: {asked}; a day needs {rules.rows_min:,}"
    if status == "quiet":
        return f"no drift: {asked}"
    parts = [
        f"version {group.version} sees other customers: {_features(group)}"
        for group in groups
        if group.status == "drifted"
    ]
    return "; ".join(parts)


def _asked(group: GroupDrift) -> str:
    found = f"{group.rows:,} of version {group.version}"
    if group.status == "no_reference":
        return f"{found}, whose reference cannot be read"
    notes = {
        "more rows break the contract": group.rows_at_fault,
        "more rows without a customer repeat earlier ones": group.repeated_anonymous_rows,
    }
    told = ", ".join(f"{rows:,} {note}" for note, rows in notes.items() if rows)
    return f"{found} ({told})" if told else found


def _features(group: GroupDrift) -> str:
    drifted = [verdict for verdict in group.verdicts if verdict.drifted]
    largest = sorted(drifted, key=lambda verdict: -verdict.effect)
    return ", ".join(f"{each.feature} {each.effect:.2f}" for each in largest)
