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

HALF = 0.5  # of a list as the control group, which shows most


def create_note(found: CampaignSum, rules: CallRules, planned: CampaignRules) -> Component:
    """Whether the comparison will be able to tell that the calls helped."""
    if found.calls == 0:
        return dmc.Text("", id="control-note")
    control = control_size(found.calls, rules.control)
    plan = Plan(planned.leaving_share, found.calls - control, control)
    is_enough = chance_to_show(plan, rules.success) >= POWER
    return dmc.Text(
        control_text(plan, rules, planned),
        id="control-note",
        size="sm",
        className="" if is_enough else "warning",
    )


def control_text(plan: Plan, rules: CallRules, planned: CampaignRules) -> str:
    """The chance to see the success rate that the rules assume, and the least that shows."""
    total = plan.listed + plan.control
    if not plan.control:
        return (
            f"Control group: none of {total:,}. Nobody will be able to tell whether the calls "
            "helped: keep a share aside."
        )
    chance, least = chance_to_show(plan, rules.success), least_cut(plan)
    assumed = (
        f"if {percent(plan.leaving_share)} of a list leave within {planned.outcome_days:g} days "
        f"when nobody calls, and calls keep {percent(rules.success)} of these (success rate), the "
        f"comparison shows it with a chance of {percent(chance)}"
    )
    reach = (
        "not even calls that keep everybody would be shown in 4 of 5 campaigns"
        if least is None
        else f"in 4 of 5 campaigns it shows calls that keep {percent(least)} or more"
    )
    if chance >= POWER:
        return (
            f"Control group: {plan.control:,} of {total:,}. It is large enough: {assumed}; {reach}."
        )
    return (
        f"Control group: {plan.control:,} of {total:,}. It can show "
        f"{'next to nothing' if chance < HALF else 'too little'}: {assumed}; {reach}. "
        f"{_remedy(plan, rules)}"
    )


def _remedy(plan: Plan, rules: CallRules) -> str:
    shares = {plan.control / (plan.listed + plan.control): "at this share", HALF: "by halves"}
    needed = (
        f"{customers_needed(plan.leaving_share, rules.success, control_share=share):,} {how}"
        for share, how in shares.items()
    )
    return f"It takes about {' or '.join(needed)}; campaigns are counted together."
