"""The page of realised performance: what it says first, and what while there is nothing to say."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from dashboard import charts
from dashboard.components.performance_tables import create_versions, create_weeks
from dashboard.data.performance import judged_on
from dashboard.data.sources import Sources, open_sources
from dashboard.pages import performance
from dashboard.pages.performance import verdict_text
from include.contract import load_contract
from include.drift.performance import KEY, Figure, Performance, Version
from include.settings import Settings
from tests.include.bank_days import manifest_of, promote
from tests.include.champion.early_warning_example import TARGET
from tests.include.drift.performance_example import EXAMPLE

FIRST, SECOND = EXAMPLE.versions


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    """A dashboard whose store is empty."""
    found = open_sources(Settings(var_dir=tmp_path))
    yield found
    found.close()


def shown(sources: Sources, found: Performance) -> str:
    sources.store.write(KEY, found.to_bytes())
    return str(performance.create_page(sources, {}))


def only(version: Version, *, weeks: slice = slice(None)) -> Performance:
    """A document of one version, which is the champion."""
    own = [each for each in EXAMPLE.weeks if each.version == version.version][weeks]
    champion = version.model_copy(update={"champion": True})
    return EXAMPLE.model_copy(update={"versions": (champion,), "weeks": tuple(own)})


def test_a_loss_is_said_with_its_figures_and_what_follows() -> None:
    told = verdict_text(only(FIRST), FIRST)
    assert told.startswith("Version 1 does less than it promised: ")
    assert "88.1% of cases (95% interval 86.9 to 89.3%); 96.4% were promised" in told
    assert "Of those who left it flagged 74%; 84% were promised." in told
    assert "2,800 customers of the week of 18 May 2026" in told
    assert told.endswith("start churn_training in Airflow.")
    retraining = only(FIRST).model_copy(update={"retrains": True})
    assert verdict_text(retraining, FIRST).endswith("unless a guard stops it.")


def test_a_kept_promise_is_said_so() -> None:
    kept = FIRST.model_copy(update={"judged_week": "2026-W20", "lost": False})
    told = verdict_text(only(kept), kept)
    assert told.startswith("Version 1 does what it promised: ") and "95.5%" in told
    assert "Airflow" not in told
    near = kept.model_copy(update={"promised_roc_auc": 0.968})
    told = verdict_text(only(near), near)
    assert told.startswith("Version 1 does nearly what it promised: ")
    assert told.endswith("begins at 93.3%, beyond chance.")  # 2 points below the estimate's least
    above = kept.model_copy(update={"promised_roc_auc": 0.99})
    assert verdict_text(only(above), above).startswith(
        "Version 1 does less than its hold-out promised, as its probabilities expected of these"
    )


def test_a_loss_of_a_version_whose_promise_is_unknown_is_called_one() -> None:
    unknown = FIRST.model_copy(update={"promised_roc_auc": None})
    told = verdict_text(only(unknown), unknown)
    assert told.startswith("Version 1 does less than its probabilities promised, week of 18 May")
    assert told.endswith("start churn_training in Airflow.")


def test_too_few_leavers_are_the_reason_where_they_are() -> None:
    facts = {"verdict": "too_few_ripe", "explanation": "2,900 are ripe, 40 of them left"}
    young = FIRST.model_copy(update={"judged_week": None, "lost": False})
    found = only(young, weeks=slice(1))
    few = found.model_copy(update={"weeks": (found.weeks[0].model_copy(update=facts),)})
    assert "of the week of 04 May 2026, 2,900 are ripe, 40 of them left" in verdict_text(few, young)
    assert "40 of them left" in str(create_versions(few))


def test_a_week_that_was_due_and_never_ripened_is_not_announced() -> None:
    late = EXAMPLE.model_copy(update={"as_of": datetime(2026, 9, 21, tzinfo=UTC)})
    assert judged_on(EXAMPLE, "2") == date(2026, 9, 20)
    assert judged_on(late, "2") == date(2026, 9, 27)


def test_a_young_version_says_when_it_can_be_judged_and_what_came_before() -> None:
    told = verdict_text(EXAMPLE, SECOND)
    assert told.startswith("Too early to say") and "are known on 20 Sep 2026" in told
    assert told.endswith("Version 1, the last one judged, did less than it promised.")
    assert "last one judged" not in verdict_text(only(SECOND), SECOND)


def test_a_version_without_labels_or_customers_says_which_are_missing() -> None:
    silent = {"verdict": "too_few_ripe", "unlabelled": 2000}
    weeks = tuple(each.model_copy(update=silent) for each in EXAMPLE.weeks)
    old = EXAMPLE.model_copy(update={"weeks": weeks})
    assert "no label of 4,000 of its customers (summed over weeks)" in verdict_text(old, SECOND)
    few = EXAMPLE.model_copy(update={"ripe_min": 10_000})
    assert "no week of it has the 10,000 customers" in verdict_text(few, SECOND)


def test_an_empty_page_says_what_is_missing(sources: Sources) -> None:
    told = str(performance.create_page(sources, {}))
    assert "Nothing measured yet" in told and "104 days after the week" in told
    nobody = EXAMPLE.model_copy(update={"weeks": (), "versions": ()})
    assert "31 answers came without a customer_id" in shown(sources, nobody)
    silent = nobody.model_copy(update={"rows_without_customer": 0})
    assert "Nobody was asked about" in shown(sources, silent)


def test_the_page_has_every_figure_with_its_interval_beside_the_estimate(sources: Sources) -> None:
    told = shown(sources, EXAMPLE)
    for figure in ("0.881 (0.869–0.893)", "0.961 (0.953–0.969)", "0.741 (0.691–0.791)"):
        assert figure in told
    assert "blind to changed rules" in told
    assert "In 1 of 3 judged weeks" in told
    assert "274 customers (summed over weeks) are left out because" in told
    assert "28 customers of ripe" in told


def test_before_anything_is_ripe_the_page_shows_the_estimate(sources: Sources) -> None:
    told = shown(sources, only(SECOND))
    assert "No week is ripe yet." in told and "'Estimate'" in told
    assert "'Realised'" not in told


def test_a_first_week_alone_is_drawn_as_a_point_and_a_line() -> None:
    week, found = date(2026, 11, 23), Figure(value=0.96, low=0.95, high=0.97)
    track = charts.Track("1", [week], [None], [found], promised=0.99)
    estimate, promised = charts.over_time("ROC-AUC", "", [track], exact=None).figure["data"]
    assert estimate["mode"] == "lines+markers" and estimate["x"] == ["2026-11-23"]
    assert promised["x"] == ["2026-11-23", "2026-11-30"] and promised["y"] == [0.99, 0.99]


def test_tables_say_when_a_week_ripens_and_which_version_serves() -> None:
    weeks, versions = str(create_weeks(EXAMPLE)), str(create_versions(EXAMPLE))
    assert "from 20 Sep 2026" in weeks and "120 customers are ripe, 500 are needed" in weeks
    assert "✕ lost" in weeks and "✓ kept" in weeks
    assert "serving" in versions and "✕ lost, week of 18 May 2026" in versions
    assert "from 20 Sep 2026" in versions


def test_a_version_that_says_who_will_leave_waits_for_its_own_window(sources: Sources) -> None:
    version = SECOND.model_copy(update={"target": TARGET})
    weeks = [each.model_copy(update={"too_late": 12, "involuntary": 3}) for each in EXAMPLE.weeks]
    update = {"versions": (FIRST, version), "weeks": tuple(weeks)}
    told = shown(sources, EXAMPLE.model_copy(update=update))
    assert "Version 2 says who leaves within 90 days, after the first 14" in told
    assert "known 118 days after it" in told  # 14 and 90, and 14 for late labels
    assert "72 customers (summed over weeks) are left out who left too soon" in told
    assert "and 18 whom the bank had leave" in told
    assert "'has left'" in told and "too soon" not in shown(sources, EXAMPLE)


def test_before_the_first_night_the_window_of_the_version_that_serves_counts(
    sources: Sources,
) -> None:
    names = load_contract().feature_names
    promote(sources.store, manifest_of("1", names, {}, target=TARGET), {})
    assert "118 days after the week" in str(performance.create_page(sources, {}))
