"""The drift page's table: what became of each day's answers."""

from dashboard.components.heat_map import create_heat_map
from dashboard.data.drift_days import read_days
from dashboard.pages.drift import answers_text, create_report, drift_sentence
from include.store import LocalStore
from tests.dashboard import bank


def test_a_days_answers_say_how_many_are_repeats(local_store: LocalStore) -> None:
    bank.write_drift_days(local_store, days=1)
    (day,) = read_days(local_store)
    assert answers_text(day) == "2,400"
    group = day.groups[0].model_copy(update={"repeated_rows": 40_000})
    repeated = day.model_copy(update={"rows": 42_400, "groups": (group,)})
    assert answers_text(repeated) == "42,400, of them 40,000 repeats"


def test_one_day_is_no_row_of_days(local_store: LocalStore) -> None:
    bank.write_drift_days(local_store, days=2)
    days = read_days(local_store)
    assert drift_sentence(days).startswith(("Drift on 1 of the last 2", "No drift on the last 2"))
    assert " on the one day that was compared. Latest, " in drift_sentence(days[-1:])


def test_a_day_on_which_nobody_asked_has_no_report_and_is_no_quiet_day(
    local_store: LocalStore,
) -> None:
    bank.write_drift_days(local_store, days=1)
    (day,) = read_days(local_store)
    silent = day.model_copy(update={"status": "no_predictions", "groups": (), "explanation": "-"})
    assert drift_sentence([silent]).startswith("Nothing was compared yet. Latest, ")
    assert "nothing was compared" in str(create_report([silent], ""))
    assert "report-frame" not in str(create_report([silent], ""))
    assert silent.date.isoformat() in str(create_report([day], silent.date.isoformat()))
    assert "No feature was compared" in str(create_heat_map([silent], ("", "")))
