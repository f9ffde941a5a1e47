"""The drift page's table: what became of each day's answers."""

from dashboard.data.drift_days import read_days
from dashboard.pages.drift import answers_text
from include.store import LocalStore
from tests.dashboard import bank


def test_a_days_answers_say_how_many_are_repeats(local_store: LocalStore) -> None:
    bank.write_drift_days(local_store, days=1)
    (day,) = read_days(local_store)
    assert answers_text(day) == "2,400"
    group = day.groups[0].model_copy(update={"repeated_rows": 40_000})
    repeated = day.model_copy(update={"rows": 42_400, "groups": (group,)})
    assert answers_text(repeated) == "42,400, of them 40,000 repeats"
