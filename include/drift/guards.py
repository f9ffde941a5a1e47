"""Whether drift, or a loss of performance, starts a training run: the guards in between."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, TypeAlias

from include.drift.findings import Guard, Retraining, StartedRun
from include.drift.performance import VersionWeek
from include.params import DriftRules
from include.target import STATE, Target

Reason: TypeAlias = Literal["drift", "performance"]


@dataclass(frozen=True)
class PinnedChampion:
    """The champion that a run found when it began, whatever is in production by now."""

    version: str
    promoted_at: datetime
    snapshot_at: datetime  # when its training read the customer table
    target: Target = STATE

    def is_younger_than(self, day: date) -> bool:
        """Whether it was promoted only after that day."""
        return day < self.promoted_at.date()


@dataclass(frozen=True)
class NewLabels:
    """What a training could learn that the champion's could not."""

    found: int  # customers
    needed: int
    told: str  # both, in a sentence


@dataclass(frozen=True)
class Situation:
    """All that the guards look at."""

    day: date
    now: datetime
    champion: PinnedChampion | None
    new_labels: NewLabels | None  # where there is a champion
    earlier: Sequence[StartedRun]
    in_flight: int  # training runs that have not ended, this day's own left out
    report_uri: str | None
    approval_page: str | None = None  # where one of them waits for a person


@dataclass(frozen=True)
class Cause:
    """What speaks for replacing a version: its traffic drifted, or it lost what it promised."""

    reason: Reason
    version: str
    drifted_features: int = 0
    week: str | None = None  # that was lost, such as 2026-W19
    week_begins: datetime | None = None

    @classmethod
    def loss(cls, version: str, week: VersionWeek) -> "Cause":
        """What a lost week speaks for."""
        begins = datetime.combine(week.begins, time(), UTC)
        return cls("performance", version, week=week.week, week_begins=begins)

    def run_id(self, day: date) -> str:
        """The one training run that a day's drift, or a lost week, can start."""
        return run_id_of(self.week or day, self.version, self.reason)


def run_id_of(when: date | str, version: str, reason: Reason = "drift") -> str:
    """The one training run that a day, or a lost week, and a version can start."""
    return f"{reason}__{when}__v{version}"


def is_run_of(run_id: str, versions: Iterable[str]) -> bool:
    """Whether a training run was started for one of these versions, whatever the reason."""
    return run_id.endswith(tuple(f"__v{version}" for version in versions))


def own_cause(causes: Sequence[Cause], champion: PinnedChampion | None) -> Cause | None:
    """The champion's own first cause."""
    return next((each for each in causes if champion and each.version == champion.version), None)


def decide(causes: Sequence[Cause], situation: Situation, rules: DriftRules) -> Retraining:
    """Start a training run for the champion's own first cause, if every guard lets it."""
    champion = situation.champion
    own = own_cause(causes, champion)
    guards = tuple(_guards(own, situation, rules))
    stopped = next((guard for guard in guards if not guard.passed), None)
    if stopped or own is None:
        found, reason = stopped or guards[0], (own or causes[0]).reason
        return _none(found.name, f"{reason}, and no training: {found.explanation}", guards)
    run_id = own.run_id(situation.day)
    drift = {
        "threshold": rules.rule.threshold,
        "num_drifted_features": own.drifted_features,
        "report_uri": situation.report_uri,
    }
    return Retraining(
        triggered=True,
        reason=own.reason,
        explanation=f"{own.reason} starts the training run {run_id}",
        guards=guards,
        run_id=run_id,
        decided_at=situation.now,
        conf={
            "trigger_reason": own.reason,
            "drift_date": situation.day.isoformat(),
            **(drift if own.reason == "drift" else {}),
        },
    )


def no_drift() -> Retraining:
    """The decision of a quiet day, which needs to look at nothing."""
    return _none("no_drift", "no drift", ())


def overtaken(champion: PinnedChampion, day: date, reason: Reason) -> Retraining:
    """The decision of a day whose training run has led to a later champion, or lost to one."""
    return _stopped(_older_than(champion, day), reason)


def moved(champion: PinnedChampion | None, present: str | None, reason: Reason) -> Retraining:
    """The decision of a run under which the champion has moved."""
    was = f"version {champion.version}" if champion else "nobody"
    return _stopped(
        Guard(
            name="other_version",
            passed=False,
            explanation=f"the champion was {was} when this run began and is "
            f"{f'version {present}' if present else 'nobody'} now; run the day again to judge it "
            "against that one",
        ),
        reason,
    )


def _stopped(guard: Guard, reason: Reason) -> Retraining:
    return _none(guard.name, f"{reason}, and no training: {guard.explanation}", (guard,))


def _older_than(champion: PinnedChampion, day: date) -> Guard:
    return Guard(
        name="older_than_champion",
        passed=not champion.is_younger_than(day),
        explanation=f"the day is {day}, the champion is of {champion.promoted_at.date()}",
    )


def _lost_before(champion: PinnedChampion, begins: datetime) -> Guard:
    """A week may hold answers of an earlier term, or be why the version was put back: no evidence.

    All of the week's answers are of the present term where it began after the promotion.
    """
    return Guard(
        name="week_before_champion",
        passed=begins >= champion.promoted_at,
        explanation=f"the week that was lost began on {begins:%Y-%m-%d}, the champion is in "
        f"production since {champion.promoted_at:%Y-%m-%d %H:%M}",
    )


def _once(situation: Situation, run_id: str) -> Guard:
    """The loss is found on each day until another week is judged, and is answered on one."""
    started = any(start.run_id == run_id for start in situation.earlier)
    return Guard(
        name="already_started",
        passed=not started,
        explanation=f"{run_id} was{'' if started else ' not'} started before",
    )


def _none(reason: str, explanation: str, guards: tuple[Guard, ...]) -> Retraining:
    return Retraining(
        triggered=False,
        reason=reason,
        explanation=explanation,
        guards=guards,
        run_id=None,
        decided_at=None,
        conf=None,
    )


def _guards(own: Cause | None, situation: Situation, rules: DriftRules) -> Iterator[Guard]:
    champion = situation.champion
    named = f"version {champion.version}" if champion else "nobody"
    yield Guard(
        name="other_version",
        passed=own is not None,
        explanation=f"the champion is {named}, and only its own traffic can start a training",
    )
    if champion is None or own is None:
        return
    yield _older_than(champion, situation.day)
    if own.week_begins:
        yield _lost_before(champion, own.week_begins)
        yield _once(situation, own.run_id(situation.day))
    yield _in_flight(situation)
    if labels := situation.new_labels:
        passed = labels.found >= labels.needed
        yield Guard(name="few_new_labels", passed=passed, explanation=labels.told)
    yield _cool_down(situation, rules, own.run_id(situation.day))


def _in_flight(situation: Situation) -> Guard:
    """Before the guards that only time lifts: a person can lift this one now."""
    found = f"{situation.in_flight} training runs are queued or running"
    if situation.approval_page:
        found = f"a training waits for approval, answer here: {situation.approval_page}"
    return Guard(name="in_flight", passed=situation.in_flight == 0, explanation=found)


def _cool_down(situation: Situation, rules: DriftRules, own_run_id: str) -> Guard:
    """Counts what drift or a loss started; this day's own run is no reason against itself."""
    since = situation.now - timedelta(days=rules.cooldown_days)
    recent = [
        start
        for start in situation.earlier
        if start.decided_at > since and start.run_id != own_run_id
    ]
    latest = max(recent, key=lambda start: start.decided_at, default=None)
    waits = f"{latest.run_id} was started at {latest.decided_at:%Y-%m-%d %H:%M}" if latest else ""
    return Guard(
        name="cool_down",
        passed=latest is None,
        explanation=f"{waits or 'neither drift nor a loss has started a training'} within the last "
        f"{rules.cooldown_days:g} days (drift.cooldown_days)",
    )
