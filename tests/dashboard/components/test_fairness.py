"""What the page Model says of fairness: the figures, what was not judged, and older versions."""

from typing import Any

import pytest

from dashboard.components.fairness import create_fairness
from include.champion.fairness import Fairness, ServedGroup
from include.params import FairnessRules
from include.target import STATE, Target

RULES = {"confidence": 0.9, "fairness": FairnessRules().model_dump()}
WOMEN = ServedGroup(
    name="Gender F", rows=800, leavers=99, judged=True, selected_share=0.125, found_share=0.9
)
MEN = ServedGroup(
    name="Gender M", rows=700, leavers=80, judged=True, selected_share=0.11, found_share=0.94
)
FEW = ServedGroup(
    name="Gender X", rows=9, leavers=0, judged=False, selected_share=0.0, found_share=None
)
FOUND = Fairness(
    by="Gender",
    groups=(WOMEN, MEN, FEW),
    gap=0.04,
    gap_interval=(0.0, 0.12),
    ratio=0.88,
    ratio_interval=(0.7, 1.0),
)


@pytest.mark.parametrize(
    ("found", "target", "rules", "expected"),
    [
        (
            [FOUND],
            STATE,
            RULES,
            "differs by 0.04 (0.00 to 0.12), from 90.0% of Gender F to 94.0% of Gender M;",
        ),
        (
            [FOUND],
            STATE,
            RULES,
            "11.0% of Gender M, is 0.88 (0.70 to 1.00) of the largest, 12.5% of Gender F; too few "
            "to judge: Gender X.",
        ),
        ([FOUND], STATE, RULES, "In brackets, 90% intervals; a person is asked where"),
        ([FOUND], STATE, RULES, "above 0.15 for the difference, or below 0.6 for the ratio"),
        ([FOUND], STATE, RULES, "selected is who is at or above the threshold"),
        ([FOUND], Target(kind="horizon", horizon_days=90), {}, "selected is who is on the list."),
        ([FOUND], STATE, RULES, "All 3 groups in figures"),
        ([FOUND], STATE, RULES, "'Gender: within the limits. '"),
        (
            [FOUND.model_copy(update={"gap_interval": (0.1, 0.2)})],
            STATE,
            RULES,
            "too few customers",
        ),
        (
            [FOUND.model_copy(update={"gap_interval": (0.2, 0.3)})],
            STATE,
            RULES,
            "beyond the limits",
        ),
        ([Fairness(by="Age", why_not="no column")], STATE, {}, "By age not judged: no column."),
        ([], STATE, RULES, "from before fairness was measured"),
    ],
)
def test_it_says(found: list[Fairness], target: Target, rules: Any, expected: str) -> None:
    assert expected in str(create_fairness(found, target=target, rules=rules))
