"""What a training could learn that the champion's training could not: labels that came since."""

from datetime import date, timedelta

import pandas as pd

from include.champion import versions
from include.champion.versions import EVALUATION_FILE, version_key
from include.customers import queries
from include.customers.labels import CLOCKS_DIFFER
from include.drift.guards import NewLabels, PinnedChampion
from include.drift.run import DriftRun
from include.errors import ChampionError
from include.history import clock, cohorts
from include.history.tables import LEFT_ON


def new_labels(run: DriftRun, champion: PinnedChampion) -> NewLabels:
    """How many there are, of the champion's own kind, and how many a training needs."""
    if champion.target.is_early_warning:
        return _newly_closed(run, champion)
    needed = run.rules.newly_labelled_min
    found = queries.count_newly_labelled(
        run.open_engine(), champion.snapshot_at, until=run.now + CLOCKS_DIFFER
    )
    told = (
        f"{found:,} customers were labelled since the champion's training, {needed:,} are needed "
        "(drift.newly_labelled_min)"
    )
    return NewLabels(found, needed, told)


def _newly_closed(run: DriftRun, champion: PinnedChampion) -> NewLabels:
    """Leavers whose days lie in windows that closed since: a month that is open teaches nothing."""
    needed, engine = run.rules.newly_left_min, run.open_engine()
    if not cohorts.is_there(engine):
        return NewLabels(0, needed, "the tables of history are gone (make load-history)")
    exits = cohorts.read_exits(engine, run.contract, now=run.now)
    months = clock.months_of(
        exits.days, champion.target, cutoff=exits.cutoff, delay_days=exits.delay_days
    )
    before = _last_month(run, champion)
    newest = max(months.holdout, before) if months else before
    last_day = timedelta(days=champion.target.last_day)
    after, upto = pd.Timestamp(before + last_day), pd.Timestamp(newest + last_day)
    wished = exits.by_key.loc[~exits.by_key["forced"], LEFT_ON]
    found = int(((wished > after) & (wished <= upto)).sum())
    told = (
        f"{found:,} customers left in the windows of months that closed since the champion's last "
        f"one, {before} (the newest is {newest}), {needed:,} are needed (drift.newly_left_min)"
    )
    return NewLabels(found, needed, told)


def _last_month(run: DriftRun, champion: PinnedChampion) -> date:
    """The newest month that the champion's training knew the outcome of: it judged by it."""
    manifest, _ = versions.read_version(run.store, champion.version)
    found = versions.read_evaluation(run.store, manifest).early_warning
    if found is None:
        key = version_key(champion.version, EVALUATION_FILE)
        raise ChampionError(
            f"{key} tells of no month: expected early_warning, train a version anew"
        )
    return found.as_of
