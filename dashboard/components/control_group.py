"""What a planned control group could show, said before the campaign begins."""

import dash_mantine_components as dmc
from dash.development.base_component import Component

from dashboard.data.call_list import CampaignSum
from dashboard.data.campaign import control_size
from dashboard.data.rules import CallRules
from dashboard.labels import percent
from include.customers.campaign_effect import (
    POWER,
    Plan,
    chance_to_show,
    customers_needed,
    least_cut,
)
from include.params import CampaignRules
from include.target import STATE, Target

HALF = 0.5  # of a list as the control group, which shows most


def create_note(
    found: CampaignSum, rules: CallRules, planned: CampaignRules, target: Target = STATE
) -> Component:
    """Whether the comparison will be able to tell that the calls helped."""
    if found.calls == 0:
        return dmc.Text("", id="control-note")
    control = control_size(found.calls, rules.control)
    share, days = planned.leaving_share, planned.outcome_days
    if target.is_early_warning:  # whose probabilities are of leaving, and not of having left
        share, days = found.leavers / found.calls, target.horizon_days
    plan = Plan(share, found.calls - control, control)
    is_enough = _is_enough(chance_to_show(plan, rules.success))
    return dmc.Text(
        control_text(plan, rules, days),
        id="control-note",
        size="sm",
        mt=6,
        className="" if is_enough else "warning",
    )


def control_text(plan: Plan, rules: CallRules, days: float) -> str:
    """The chance to see the success rate that the rules assume, and the least that shows."""
    total = plan.listed + plan.control
    if not plan.control:
        return (
            f"Control group: none of {total:,}. Nobody will be able to tell whether the calls "
            "helped: keep a share aside."
        )
    chance = chance_to_show(plan, rules.success)
    verdict = (
        "is large enough"
        if _is_enough(chance)
        else "can show too little"
        if chance >= HALF
        else "can show next to nothing"
    )
    told = (
        f"Control group: {plan.control:,} of {total:,} {verdict}. If {percent(plan.leaving_share)} "
        f"would leave within {days:g} days and calls keep {percent(rules.success)} "
        f"of them, that shows with a chance of {percent(chance)}. {_reach(plan)}"
    )
    return told if _is_enough(chance) else f"{told} {_remedy(plan, rules)}"


def _reach(plan: Plan) -> str:
    least = least_cut(plan)
    if least is None:
        return "Not even calls that keep everybody would show reliably."
    share = plan.leaving_share
    return (
        f"In 4 of 5 campaigns it shows calls that keep {percent(least)} or more: "
        f"{100 * share * least:.1f} points fewer leave, {percent(share * (1 - least), decimals=1)} "
        f"instead of {percent(share)}."
    )


def _is_enough(chance: float) -> bool:
    return round(chance, 2) >= POWER  # as shown


def _remedy(plan: Plan, rules: CallRules) -> str:
    shares = {plan.control / (plan.listed + plan.control): "at this share", HALF: "by halves"}
    needed = (
        f"{customers_needed(plan.leaving_share, rules.success, control_share=share):,} customers "
        f"{how}"
        for share, how in shares.items()
    )
    return f"Enough are about {' or '.join(needed)}, in one campaign or several."
