"""`make forget-in-containers`: the number stays out of docker's records."""

import json
from pathlib import Path
from typing import IO, Any

import pytest

from infra.compose import forget as forgetting
from infra.compose.backup import key_mark
from infra.compose.forget import backups_left, forget


class Containers:
    """Stands for compose: keeps the words and what came by standard input."""

    def setting(self, name: str) -> str:
        """The key of this stack."""
        return {"CHURN_ID_KEY": "k", "CHURN_FORMER_ID_KEYS": "j, i"}[name]

    def run(self, *words: str, source: IO[bytes]) -> bytes:
        """What the job in its container was given."""
        self.words, self.given = words, source.read()
        return b"looked everywhere again: 0 left\n"


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """Two of this stack, of which one under a former key; one of another; one that is damaged."""
    marks = {"ours": key_mark("k"), "older": key_mark("i"), "another": "0" * 64}
    for name, mark in marks.items():
        (tmp_path / name).mkdir()
        manifest = {"made_at": "2026-11-01T00:00:00Z", "id_key_sha256": mark}
        (tmp_path / name / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "manifest.json").write_text('{"made_at": "2026')
    return tmp_path


def test_the_number_goes_in_by_standard_input(
    backups: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack: Any = Containers()
    forget(stack, "708082083", asked_by="case 17", backups=backups)
    assert stack.given == b"708082083\n" and "708082083" not in " ".join(stack.words)
    assert stack.words[-4:] == ("include.erasure", "-", "--asked-by", "case 17")
    assert "j, i" not in stack.words, "former keys go by the environment"
    forget(stack, "CIF-1", asked_by="case 17", backups=backups, log_only=True)
    assert stack.given == b"CIF-1\n" and "--log-only" in stack.words
    told = capsys.readouterr().out
    assert "0 left" in told and "Backups:\n" in told and "1 in" in told
    assert f"{backups / 'older'} of" in told and "another" not in told
    assert f"{backups / 'ours'} of 2026-11-01T00:00:00Z holds the customer" in told
    assert f"{backups / 'torn'} of an unknown time" in told and "708082083" not in told


def test_former_keys_of_the_env_file_reach_the_job_by_its_environment(
    monkeypatch: pytest.MonkeyPatch, backups: Path
) -> None:
    made: list[Any] = []

    def compose(settings: dict[str, str] | None = None) -> Any:
        made.append(settings)
        return Containers()

    monkeypatch.setattr(forgetting, "Compose", compose)
    words = ["forget", "1", "--asked-by", "case 17", "--backups", str(backups)]
    monkeypatch.setattr("sys.argv", words)
    assert forgetting.main() == 0
    assert made == [None, {"CHURN_FORMER_ID_KEYS": "j, i"}]
    assert "-e CHURN_FORMER_ID_KEYS airflow" in " ".join(forgetting.JOB)


def test_without_backups_it_says_where_it_looked(tmp_path: Path) -> None:
    assert backups_left(tmp_path, {"0"}) == [
        f"none is in {tmp_path}: look where else you keep some"
    ]


def test_without_an_environment_it_says_how_to_make_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("infra.compose.command.PROJECT", tmp_path)
    monkeypatch.setattr("sys.argv", ["forget", "1", "--asked-by", "case 17"])
    assert forgetting.main() == 1
    assert "make forget-in-containers: there is no" in capsys.readouterr().err
