"""Backup, wipe, restore: the same champion answers the same, and every log is there."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.champion import versions
from infra.compose import backup, forget, restore
from infra.compose.command import ComposeError
from tests.containers.stack import RunningStack, ask, eventually, records, today

LOGGED_SECONDS = 60

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def kept(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the running stack."""
    stack.wait()
    target = tmp_path_factory.mktemp("backups") / "kept"
    return backup.back_up(stack.compose, target)


def test_a_stack_that_holds_data_is_not_restored_over(stack: RunningStack, kept: Path) -> None:
    before = versions.read_pointer(stack.store())
    with pytest.raises(ComposeError, match="the stack is not empty"):
        restore.restore(stack.compose, kept)
    assert versions.read_pointer(stack.store()) == before


def test_a_customer_is_forgotten_and_the_backup_that_still_has_one_is_named(
    stack: RunningStack, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stack.store()
    key = next(each.key for each in store.list("scores/") if each.key.endswith(".parquet"))
    number = pq.read_table(pa.BufferReader(store.read(key).data))["customer"][0].as_py()
    with stack.api() as client:
        answer = ask(client, {**records(1)[0], "customer_id": str(number)})
    assert answer is not None
    eventually(
        lambda: answer["request_id"] in stack.logged_requests(today()),
        "the log has it",
        seconds=LOGGED_SECONDS,
    )
    forget.forget(stack.compose, str(number), asked_by="case 17", backups=kept.parent)
    told = capsys.readouterr().out
    for place in ("churners", "churn_scores", "prediction log", "nightly scores"):
        assert re.search(rf"{place} +\d+ erased", told), told
    assert "looked everywhere again: 0 left" in told and f"{kept} of" in told
    (note,) = store.list("erasures/")
    assert str(number).encode() not in store.read(note.key).data
    after = pq.read_table(pa.BufferReader(store.read(key).data))["customer"].to_pylist()
    assert after and number not in after


def test_backup_wipe_restore(stack: RunningStack, tmp_path: Path) -> None:
    asked = records(20)
    with stack.api() as client:
        before = [ask(client, record) for record in asked]
    ids = {answer["request_id"] for answer in before if answer}
    assert len(ids) == len(asked)
    eventually(
        lambda: ids <= stack.logged_requests(today()), "the log has them", seconds=LOGGED_SECONDS
    )
    pointer = versions.read_pointer(stack.store())
    assert pointer is not None
    kept = backup.back_up(stack.compose, tmp_path / "kept")
    stack.compose.run("down", "--volumes")
    restore.restore(stack.compose, kept)
    stack.compose.run("up", "-d", "--no-build", *stack.services)
    stack.wait()
    again = versions.read_pointer(stack.store())
    assert again is not None and again[0] == pointer[0]
    with stack.api() as client:
        eventually(lambda: client.get("/ready").status_code == 200, "ready", seconds=60)
        after = [ask(client, record) for record in asked]
    assert [_answer(each) for each in after] == [_answer(each) for each in before]
    assert ids <= stack.logged_requests(today())
    run = stack.run_dag("churn_training", {"trigger_reason": "after the restore"})
    assert run.state == "success"  # customers, registry and Airflow fit together


def test_what_the_stack_holds_is_replaced_when_told(stack: RunningStack, kept: Path) -> None:
    store = stack.store()
    store.write("monitoring/later.json", b"{}")
    restore.restore(stack.compose, kept, replace=True)
    stack.compose.run("up", "-d", "--no-build", *stack.services)
    stack.wait()
    store = stack.store()
    assert "monitoring/later.json" not in {each.key for each in store.list("monitoring/")}
    with stack.api() as client:
        eventually(lambda: client.get("/ready").status_code == 200, "ready", seconds=60)
        assert ask(client, records(1)[0])


def _answer(answer: dict[str, object] | None) -> tuple[object, object]:
    assert answer is not None
    return answer["probabilities"], answer["model_version"]
