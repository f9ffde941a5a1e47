"""What performance.json says, as the Performance page asks for it."""

from datetime import date

from include.drift.performance import Performance, Version, VersionWeek


def shown_version(found: Performance) -> Version | None:
    """The version that the page is about: the champion, else the latest; None without any."""
    serving = [each for each in found.versions if each.champion]
    return next(reversed(serving or found.versions), None)


def weeks_of(found: Performance, version: str) -> list[VersionWeek]:
    """A version's weeks, the oldest first."""
    return [each for each in found.weeks if each.version == version]


def judged(found: Performance, version: Version) -> VersionWeek | None:
    """The latest week of a version that had enough ripe customers to be judged."""
    wanted = (version.version, version.judged_week)
    return next((each for each in found.weeks if (each.version, each.week) == wanted), None)


def last_judged(found: Performance, *, but: str) -> VersionWeek | None:
    """The latest judged week of any other version."""
    others = [judged(found, each) for each in found.versions if each.version != but]
    return max((each for each in others if each), key=lambda each: each.begins, default=None)


def judged_on(found: Performance, version: str) -> date | None:
    """When the first of a version's weeks that are to ripen can be judged; None where none can."""
    today = found.as_of.date()  # a week that was due and is not ripe has lost its log
    waiting = [
        each
        for each in weeks_of(found, version)
        if each.verdict == "unripe" and each.ripe_on > today
    ]
    able = [each for each in waiting if each.customers >= found.ripe_min]
    return able[0].ripe_on if able else None


def undecided(found: Performance, version: str) -> VersionWeek | None:
    """The latest of a version's weeks with enough ripe customers that could yet not be judged."""
    weeks = weeks_of(found, version)
    too_few = [each for each in weeks if each.verdict == "too_few_ripe"]
    return next((each for each in reversed(too_few) if each.ripe >= found.ripe_min), None)
