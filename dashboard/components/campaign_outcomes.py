"""Whether the calls helped: campaign by campaign, and over all whose outcome window has closed."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dash_mantine_components as dmc
from dash.development.base_component import Component

from dashboard.components.tables import create_table
from dashboard.data.sources import Sources
from dashboard.labels import counted, percent
from include.customers.campaign_effect import Effect, Group, common_effect
from include.customers.campaigns import LATEST, CampaignOutcome, campaign_outcomes

SHOWN = 20
COLUMNS = ("Began (UTC)", "List", "Control group", "Control − list", "Not counted")
NO_CAMPAIGN = (
    "No campaign with a control group has been started yet. Start one on the first page: a random "
    "part of the list is then left alone, and the two are compared here."
)


def create_campaigns(sources: Sources) -> Component:
    """The comparison in a sentence, and the campaigns that it is made of."""
    days = sources.campaign_rules().outcome_days
    found = campaign_outcomes(sources.engine, outcome_days=days, now=datetime.now(UTC))
    parts: list[Component] = [dmc.Text(campaigns_text(found, outcome_days=days), mb="xs")]
    if found:
        rows = [_row(each) for each in found[:SHOWN]]
        told = (
            "Who left is counted by the moment at which the table learnt of it, and with the list "
            "who was on it, reached or not. Not counted is who has no label, or a leaver's without "
            "a date, who is no longer in the table, had left before, or was still within the days "
            "of an earlier campaign."
        )
        parts.append(create_table(COLUMNS, rows, "Campaigns, the latest first"))
        parts.append(dmc.Text(told, size="sm", c="dimmed", mt="xs"))
    return dmc.Paper(parts)


def campaigns_text(found: Sequence[CampaignOutcome], *, outcome_days: float) -> str:
    """Listed against control within each closed campaign, with the interval over all of them."""
    compared = [each for each in found if each.is_comparable]
    if not compared:
        return _why_none(found, outcome_days)
    total = sum((each.listed.customers + each.control.customers) for each in compared)
    within = (
        f"{counted(len(compared), 'closed campaign')} with "
        f"{total:,} customers, each list compared with its own control group after "
        f"{outcome_days:g} days"
    )
    effect = common_effect([each.stratum for each in compared])
    if effect is None:
        return f"{within}. Everybody did the same, so that nothing can be compared yet."
    cut = f" Only the latest {LATEST} campaigns count." if len(found) == LATEST else ""
    return f"{within}. {_effect_text(effect)}.{cut}"


def _effect_text(effect: Effect) -> str:
    verdict = (
        "the calls helped"
        if effect.low > 0
        else "the calls did harm"
        if effect.high < 0
        else "too early to say whether the calls help"
    )
    return (
        f"Of the control groups {100 * effect.fewer:+.1f} points more left than of the lists (95% "
        f"interval {100 * effect.low:+.1f} to {100 * effect.high:+.1f}): {verdict}"
    )


def _why_none(found: Sequence[CampaignOutcome], outcome_days: float) -> str:
    waiting = [each for each in found if not each.is_closed and each.control.customers]
    if not waiting:
        return NO_CAMPAIGN
    first = min(each.closes_at for each in waiting)
    return (
        f"Too early to say whether the calls help: no campaign with a control group is "
        f"{outcome_days:g} days old. The first can be judged on {first:%d %b %Y}."
    )


def _row(each: CampaignOutcome) -> tuple[str, ...]:
    return (
        f"{each.started_at:%d %b %Y %H:%M}",
        _group(each.listed, is_closed=each.is_closed),
        _group(each.control, is_closed=each.is_closed),
        _difference(each),
        f"{each.not_counted:,}" if each.not_counted else "–",
    )


def _group(group: Group, *, is_closed: bool) -> str:
    if not is_closed or not group.customers:
        return f"{group.customers:,}"
    return f"{group.customers:,}, {percent(group.left / group.customers, decimals=1)} left"


def _difference(each: CampaignOutcome) -> str:
    if not each.is_closed:
        return f"open until {each.closes_at:%d %b %Y}"
    if not each.is_comparable:
        return "no control group" if each.listed.customers else "nobody listed"
    effect = common_effect([each.stratum])
    if effect is None:
        return "all the same"
    return f"{100 * effect.fewer:+.1f} points ({100 * effect.low:+.1f} to {100 * effect.high:+.1f})"
