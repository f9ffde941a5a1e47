"""Which kind of model serves and why, and how early it sees leavers: words, tables and charts."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dashboard.components.early_warning import create_kind, create_lead_times
from dashboard.components.versions import create_decisions, create_versions
from dashboard.data.champions import early_warning_of
from dashboard.pages.model import create_confusion
from include.champion.early_warning import EarlyWarning
from include.champion.gate_decision import Decision
from include.champion.versions import Evaluation
from include.contract import load_contract
from include.errors import DocumentError
from include.target import STATE, Target
from tests.include.bank_days import manifest_of
from tests.include.champion.early_warning_example import COMPARED, EARLY, TARGET

COLUMNS = load_contract().feature_names


def told(target: Target, reason: str) -> str:
    return str(create_kind(manifest_of("1", COLUMNS, {}, target=target, target_reason=reason)))


def charts_of(found: EarlyWarning) -> dict[str, Any]:
    """Every figure by its title."""
    grid = create_lead_times(found, before="1").children[1]
    cards = [card.children for card in grid.children]
    return {title.children: image.children.figure for title, _, image in cards[:-1]}


def test_the_kind_of_model_is_said_with_its_reason() -> None:
    state = told(STATE, "2 of 6 closed months; enough from 2027-05-15 on")
    assert "It says who has left" in state and "recognises more than it warns" in state
    assert "Why no early warning: 2 of 6 closed months; enough from 2027-05-15 on." in state
    horizon = told(TARGET, "12 closed months")
    assert "who leaves within 90 days, after the first 14" in horizon
    assert "between 15 and 104 days from now" in horizon and "Why: 12 closed months." in horizon


def test_a_version_of_an_earlier_release_gives_no_reason() -> None:
    assert "Why" not in told(STATE, "")


def test_every_figure_stands_beside_the_naive_rules_and_the_version_before() -> None:
    shown = str(create_lead_times(COMPARED, before="1"))
    for figure in ("0.871", "0.702", "0.858", "6.2×", "3.2×", "6.0×", "44%", "25%", "40%"):
        assert figure in shown
    assert "'Seen 61–104 days ahead'" in shown and "'Version 1, before'" in shown
    assert "likeliest 10%" in shown and "'Left 15–104 days later'" in shown
    assert "Version 1" not in str(create_lead_times(EARLY, before=None))


def test_a_span_in_which_nobody_left_is_a_gap_and_not_nought() -> None:
    recall = {**EARLY.model.recall, "15–30": None}
    one = EARLY.model.model_copy(update={"recall": recall})
    found = EARLY.model_copy(update={"model": one})
    bars = charts_of(found)["Leavers on the list, by days ahead"]["data"]
    assert [bar["name"] for bar in bars] == ["Model", "Naive rule"]
    assert bars[0]["y"] == [None, 0.62, 0.44] and bars[0]["x"] == ["15–30", "31–60", "61–104"]
    assert "'–'" in str(create_lead_times(found, before=None))


def test_leaving_months_have_a_chart_for_each_number_of_days_before() -> None:
    found = charts_of(EARLY)
    late = found["On the list 90 days before leaving"]["data"][0]
    assert late["x"][:3] == ["2025-10-01", "2025-11-01", "2025-12-01"]
    assert late["y"][:3] == [None, None, 0.40]
    shown = str(create_lead_times(EARLY, before=None))
    assert "Of 1,746 leavers of 12 months, 72% were on the list 30 days before" in shown
    assert "by the naive rule 41%. In Sep 2026 it was 77%." in shown
    assert "'77% (41%)'" in shown and "'– (–)'" in shown and "All 12 months" in shown


def test_older_months_show_the_version_before_where_it_was_compared() -> None:
    lines = charts_of(early(COMPARED))["ROC-AUC in older months"]["data"]
    assert [line["name"] for line in lines] == ["Model", "Naive rule", "Version 1, before"]
    assert lines[2]["y"] == [None, None, 0.85, 0.85]
    assert "better than the naive rule in 4 of them" in str(create_lead_times(EARLY, before=None))


def test_a_first_month_without_older_ones_has_no_empty_charts() -> None:
    found = EARLY.model_copy(update={"older": (), "months": ()})
    shown = create_lead_times(found, before=None)
    assert len(shown.children[1].children) == 1 and "In figures" not in str(shown)


def early(compared: EarlyWarning | None) -> EarlyWarning:
    """The evaluation's figures with the gate's champion, as the page puts them together."""
    gate = {"early_warning": compared.model_dump(mode="json")} if compared else {}
    found = early_warning_of(manifest_of("2", COLUMNS, {}, gate=gate), evaluation(EARLY))
    assert found is not None
    return found


def evaluation(found: EarlyWarning | None) -> Evaluation:
    facts: dict[str, Any] = {"metrics": {}, "curves": {}, "slices": [], "importance": {}}
    return Evaluation(threshold=0.5, holdout_rows=1, early_warning=found, **facts)


def test_the_champion_that_the_gate_compared_with_stands_beside() -> None:
    assert early(COMPARED).champion == COMPARED.champion
    assert early(COMPARED).months == EARLY.months  # the gate judges by fewer rows
    assert early(None) == EARLY
    assert early_warning_of(manifest_of("1", COLUMNS, {}), evaluation(None)) is None


def test_a_gate_that_another_release_wrote_otherwise_is_said_to_be_unreadable() -> None:
    manifest = manifest_of("2", COLUMNS, {}, gate={"early_warning": {"rows": 1}})
    with pytest.raises(DocumentError, match="the gate of version 2 is not a EarlyWarning"):
        early_warning_of(manifest, evaluation(EARLY))


def test_versions_and_the_gates_decisions_say_what_they_predict() -> None:
    first, second = (
        manifest_of(v, COLUMNS, {}, target=t) for v, t in (("1", STATE), ("2", TARGET))
    )
    shown = str(create_versions([second, first], champion="2", mlflow_url="http://mlflow"))
    assert shown.index("leaves within 90 days, after the first 14") < shown.index("has left")
    decided = Decision(
        outcome="needs_person",
        reasons=("the target is another one",),
        decided_at=datetime(2026, 11, 27, tzinfo=UTC),
        challenger="7",
        champion="1",
        target=TARGET,
        holdout_rows=1912,
        holdout_attrited_share=0.056,
        rules={},
    )
    assert "'leaves within 90 days, after the first 14'" in str(create_decisions([decided]))


def test_where_no_probability_reaches_the_threshold_no_figure_is_made_of_it() -> None:
    nobody = evaluation(EARLY).model_copy(update={"curves": {"confusion": [[90, 0], [10, 0]]}})
    assert "Nobody's probability reaches the threshold 0.5" in str(create_confusion(nobody))
    some = nobody.model_copy(update={"curves": {"confusion": [[80, 10], [5, 5]]}})
    assert "flags 15 of 1 customers; 33% of them" in str(create_confusion(some))
