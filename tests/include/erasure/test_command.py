"""What a person is told: what was erased, that nothing is left, and what this cannot reach."""

import io
import shutil
from pathlib import Path

import pytest

from include.erasure.__main__ import main
from include.erasure.unsearched import Unsearched
from tests.include.bank_days import ID_KEY
from tests.include.erasure.bank import ONE, Bank, log_under_another_key

ASKED = ["--asked-by", "case 17"]


@pytest.fixture
def stack(laptop: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """The laptop's, as the environment names it."""
    monkeypatch.setenv("CHURN_VAR_DIR", str(laptop.places.var_dir))
    monkeypatch.setenv("CHURN_ID_KEY", ID_KEY.decode())
    return laptop


def test_a_customer_is_forgotten_and_then_nobody_is_found(
    stack: Bank, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(ONE), *ASKED]) == 0
    told = capsys.readouterr().out
    for line in ("churner_snapshots", "prediction log", "looked everywhere again: 0 left"):
        assert line in told
    assert "noted without a name in erasures/" in told and "the bank's own system" in told
    assert "notes on other customers that name the number: 1" in told
    assert "if its spool is elsewhere" in told and "nobody here can ask Airflow" in told
    assert str(ONE) not in told, "what is printed may be kept"
    assert main([str(ONE), *ASKED]) == 0
    assert "an earlier call erased all, or a digit is wrong" in capsys.readouterr().out


def test_the_number_may_come_by_standard_input(
    stack: Bank, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a command's words are kept, as a shell and docker do."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ONE}\n"))
    assert main(["-", *ASKED]) == 0
    assert "0 left" in capsys.readouterr().out and ONE not in stack.keys_of("churners", "CLIENTNUM")


def test_without_the_key_of_the_log_nothing_is_erased(
    stack: Bank, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new key would find nobody in the log, and nothing would be left in the proof."""
    monkeypatch.delenv("CHURN_ID_KEY")
    assert main([str(ONE), *ASKED]) == 1
    assert "set CHURN_ID_KEY as the API has it" in capsys.readouterr().err
    assert ONE in stack.keys_of("churners", "CLIENTNUM")
    assert not (stack.places.var_dir / "id_key").exists()


def test_what_it_did_not_see_is_told(stack: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(stack.places.var_dir / "uploads")
    assert main(["--log-only", "CIF-0815", *ASKED]) == 0
    told = capsys.readouterr().out
    assert "files that were uploaded to the dashboard, if they are elsewhere" in told


def test_keys_from_before_come_by_the_environment(
    stack: Bank, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log_under_another_key(stack, b"k-former")
    assert main([str(ONE), *ASKED]) == 1
    assert "give it, too, in CHURN_FORMER_ID_KEYS; then forget" in capsys.readouterr().err
    monkeypatch.setenv("CHURN_FORMER_ID_KEYS", "another, k-former")
    assert main([str(ONE), *ASKED]) == 0
    told = capsys.readouterr().out
    assert "prediction log                             2 erased" in told and "k-former" not in told


def test_a_run_that_is_under_way_is_named(
    stack: Bank, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("include.erasure.runs.running", lambda _: frozenset({"churn_drift at"}))
    assert main([str(ONE), *ASKED]) == 0
    assert "say it again when they have ended (churn_drift at)" in capsys.readouterr().out


def test_a_log_that_says_no_key_is_told(
    stack: Bank, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Unsearched, "unmarked", lambda _: "2026-05-02 to 2026-05-03")
    assert main([str(ONE), *ASKED]) == 0
    assert "answers of 2026-05-02 to 2026-05-03, if CHURN_ID_KEY was" in capsys.readouterr().out


def test_where_there_is_no_database_none_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHURN_VAR_DIR", str(tmp_path))
    assert main([str(ONE), *ASKED]) == 1
    assert "error: there is no database" in capsys.readouterr().err
    assert not (tmp_path / "churn.db").exists()
