"""The report says what drift.json says, is bounded, stands alone and calls nobody."""

import json
import socket
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from include.customers.sample import NO_DRIFT, Drift
from include.drift import publish_report, statistics
from include.drift.collect_predictions import CollectedGroup
from include.drift.detect_drift import _group_drift, detect_drift
from include.drift.findings import GroupDrift, day_key
from include.drift.reference import Reference, compare_group, read_reference
from include.drift.statistics import SCORE
from include.store import LocalStore
from tests.include import bank_days
from tests.include.bank_days import BUSY_SHIFT, CONTRACT, DAY, log, people, publish, score
from tests.include.drift.conftest import MakeRun, collect

# Evidently's own, while it is imported.
pytestmark = [
    pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Deprecated in litestar"),
]

RULES = bank_days.RULES.model_copy(update={"report_rows": 500})
# Of both kinds, and few: most of the time goes into drawing each.
COLUMNS = ("Customer_Age", "Gender", "Card_Category", *BUSY_SHIFT.columns)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A version's reference."""
    store = LocalStore(tmp_path_factory.mktemp("store"))
    publish(store, people=people(4000, seed=1), columns=COLUMNS)
    return read_reference(store, "1")


def logged(drift: Drift = NO_DRIFT) -> pd.DataFrame:
    """Logged rows as `collect_predictions` samples them."""
    asked = people(500, drift=drift)
    frame = pd.DataFrame(CONTRACT.matrix(asked, COLUMNS), columns=list(COLUMNS))
    return frame.assign(**{SCORE: score(asked)})


def group_of(reference: Reference, rows: pd.DataFrame) -> GroupDrift:
    """What drift.json says of these rows."""
    counts = {n: statistics.count(rows[n].to_numpy(), p) for n, p in reference.places.items()}
    mix, verdicts = compare_group(reference, counts, RULES)
    drifted = statistics.day_drifted(verdicts, RULES)
    group = CollectedGroup("1", len(rows), 40_000, 39_000, 0, {}, None, None)
    tested = (reference, mix, verdicts)
    return _group_drift(group, "drifted" if drifted else "quiet", tested=tested)


@dataclass(frozen=True)
class Case:
    """A day's verdicts and the report that was drawn of it."""

    group: GroupDrift
    page: bytes
    json: bytes


@pytest.fixture(scope="module", params=["quiet", "drifted"])
def case(request: pytest.FixtureRequest, reference: Reference) -> Case:
    """A quiet day and a drifted one, drawn once and without a network: Evidently takes seconds.

    Both are drawn of quiet rows: verdicts that the sample contradicts are still drift.json's.
    """
    group = group_of(reference, logged(BUSY_SHIFT if request.param == "drifted" else NO_DRIFT))
    assert group.status == request.param
    old = publish_report.sample_reference(reference, group.reference or "all", RULES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        made = publish_report.draw(
            reference=old, current=logged(), columns=reference.columns, group=group
        )
    return Case(group, *made)


def refuse(*arguments: Any) -> None:
    raise AssertionError(f"the report opened a connection: {arguments}")


def test_each_columns_verdict_is_that_of_drift_json(case: Case) -> None:
    expected = {v.feature: "FAIL" if v.drifted else "SUCCESS" for v in case.group.verdicts}
    tests = json.loads(case.json)["tests"]
    found = {test["metric_config"]["params"].get("column"): test["status"] for test in tests}
    assert tests[0]["status"] == ("FAIL" if case.group.status == "drifted" else "SUCCESS")
    assert found | expected == found and len(tests) == len(expected) + 1


def test_the_scores_are_those_of_drift_json(case: Case) -> None:
    found = {
        metric["config"]["column"]: metric["value"]
        for metric in json.loads(case.json)["metrics"]
        if "column" in metric["config"]
    }
    assert found == pytest.approx({v.feature: v.effect for v in case.group.verdicts})


def test_the_page_says_of_how_many_customers_it_is(case: Case) -> None:
    assert b"500 customers, 40,000 repeated rows left out (drift.json)" in case.page


def test_the_page_needs_no_network(case: Case) -> None:
    page = case.page
    assert page.lstrip().startswith(b"<") and b'<script src="http' not in page
    assert len(page) < 12 * 2**20


def test_the_reference_sample_is_bounded_and_repeatable(reference: Reference) -> None:
    first, again = (publish_report.sample_reference(reference, "existing", RULES) for _ in range(2))
    assert len(first) == RULES.report_rows and first.equals(again)


def test_page_and_json_lie_beside_drift_json(
    make_run: MakeRun, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_report, "draw", lambda **_: (b"page", b"json"))
    publish(local_store, people=people(1000, seed=1), columns=COLUMNS)
    log(local_store, people(300))
    run = make_run(rules={"rows_min": 300})
    collected = collect(run)
    uri = publish_report.publish_report(run, detect_drift(run, collected))
    assert uri == f"{local_store.uri}/{day_key(DAY, 'report.html')}"
    found = [local_store.read(day_key(DAY, f"report.{end}")).data for end in ("html", "json")]
    assert found == [b"page", b"json"]


def test_where_nothing_was_tested_there_is_nothing_to_report(make_run: MakeRun) -> None:
    run = make_run()
    collected = collect(run)
    assert publish_report.publish_report(run, detect_drift(run, collected)) is None
