"""What a deployment asks and remembers; tests/containers has one replace images, for real."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.contract import load_contract
from include.settings import PROJECT
from infra.deploy import host, remote
from infra.deploy.host import Host, alone, is_outdated, remember
from infra.deploy.questions import RECORD, Answer, Api, Refusal
from tests.pages import Pages, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PREDICTED = {"predictions": [1], "probabilities": [0.75], "model_version": "3"}
GOOD = {
    "/ready": {"status": "ready"},
    "/health": {"status": "OK", "model_loaded": True},
    "/": {"commit": COMMIT},
    "/predict": PREDICTED,
}


@pytest.fixture
def pages() -> Iterator[Pages]:
    """What a good API answers."""
    with serving({path: (200, json.dumps(told)) for path, told in GOOD.items()}) as found:
        yield found


@pytest.fixture
def api(pages: Pages) -> Api:
    """That API, reached at an address that its name does not say."""
    return Api(f"http://api.example.org:{pages.port}", "key", address="127.0.0.1")


def test_a_good_api_is_asked_by_its_name_with_the_key_as_a_test(api: Api, pages: Pages) -> None:
    assert api.answer() == Answer(COMMIT, "3", 0.75)
    assert not api.redirects()
    for headers in pages.asked:
        assert headers["Host"].startswith("api.example.org:")
        assert (headers["X-API-Key"], headers["X-Churn-Source"]) == ("key", "test")


@pytest.mark.parametrize(
    ("path", "answer", "told"),
    [
        ("/ready", None, "answered 404"),
        ("/health", {"model_loaded": False}, "model_loaded False"),
        ("/predict", None, "answered 404"),
        ("/predict", [1], "no JSON object"),
        ("/predict", {**PREDICTED, "predictions": []}, "no prediction"),
        ("/predict", {**PREDICTED, "predictions": [2]}, "no prediction"),
        ("/predict", {**PREDICTED, "probabilities": [1.5]}, "no prediction"),
        ("/predict", {**PREDICTED, "probabilities": [None]}, "no prediction"),
        ("/predict", {**PREDICTED, "probabilities": [float("nan")]}, "no prediction"),
        ("/predict", {"predictions": [1], "probabilities": [0.7]}, "no prediction"),
    ],
)
def test_an_api_that_answers_anything_else_is_refused(
    api: Api, pages: Pages, path: str, answer: Any, told: str
) -> None:
    pages.answers[path] = (200 if answer is not None else 404, json.dumps(answer))
    with pytest.raises(Refusal, match=told):
        api.answer()


def test_an_api_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refusal, match="refused"):
        Api("http://127.0.0.1:9", "key").answer()


def test_one_model_must_not_give_one_record_two_probabilities() -> None:
    former = Answer("old", "3", 0.75)
    Answer("new", "3", 0.75 + 1e-8).check_against(former)
    Answer("new", "4", 0.5).check_against(former)  # promoted in the meantime
    with pytest.raises(Refusal, match=r"answered 0\.750000 until now and 0\.500000"):
        Answer("new", "3", 0.5).check_against(former)


def test_the_record_is_one_that_the_contract_accepts() -> None:
    contract = load_contract()
    assert set(RECORD) == set(contract.feature_names)
    for name, value in RECORD.items():
        contract.column(name).number(value)


def test_a_tag_is_remembered_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("CHURN_TAG=old\n# a comment\nCHURN_API_KEYS=a,b\nNOT_CHURN_TAG=1")
    path.chmod(0o600)
    remember(path, "new")
    text = path.read_text()
    assert text == "# a comment\nCHURN_API_KEYS=a,b\nNOT_CHURN_TAG=1\nCHURN_TAG=new\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_two_deployments_do_not_run_at_once(tmp_path: Path) -> None:
    with alone(tmp_path / ".env") as first, alone(tmp_path / ".env") as second:
        assert first and not second
    with alone(tmp_path / ".env") as third:
        assert third


@pytest.mark.parametrize(
    ("mounted", "minutes", "told"),
    [("file", -1, True), ("folder", -1, True), ("file", 1, False), ("elsewhere", -1, False)],
)
def test_a_container_is_older_than_its_files_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: str, minutes: int, told: bool
) -> None:
    project = tmp_path / "project"
    for path in (project / "file", project / "folder" / "file", tmp_path / "elsewhere"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    source = tmp_path / mounted if mounted == "elsewhere" else project / mounted
    started = datetime.now(UTC) + timedelta(minutes=minutes)
    container = {
        "State": {"StartedAt": f"{started:%Y-%m-%dT%H:%M:%S}.123456789Z"},
        "Mounts": [{"Type": "bind", "Source": str(source)}],
    }
    monkeypatch.setattr(host, "PROJECT", project)
    assert is_outdated(container) is told


@pytest.mark.parametrize("tag", ["", "-x", "a b", "a;b", "$(x)", "a/b"])
def test_what_is_no_tag_is_wrong_use(tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["host", "--", tag])
    with pytest.raises(SystemExit) as ended:
        host.main()
    assert ended.value.code == 2


AWS = """#!/bin/sh
echo "$@" >>"$CALLS"
case "$1 $2" in
"s3 cp") cat >"$CALLS.archive" ;;
"ssm send-command") echo '{"Command": {"CommandId": "c1"}}' ;;
"ssm list-commands") echo "{\\"Commands\\": [{\\"Status\\": \\"$STATUS\\"}]}" ;;
"ssm list-command-invocations") echo "{\\"CommandInvocations\\": $INVOCATIONS}" ;;
"ssm get-command-invocation") echo '{"StandardOutputContent": "what the host said"}' ;;
esac
"""


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AWS command line that keeps its calls, and tells of one machine where all went well."""
    command = tmp_path / "bin" / "aws"
    command.parent.mkdir()
    command.write_text(AWS)
    command.chmod(0o755)
    invocations = json.dumps([{"InstanceId": "i-1", "Status": "Success"}])
    for name, value in {
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "STATUS": "Success",
        "INVOCATIONS": invocations,
        "AWS_REGION": "eu-central-1",
        "ECR_REGISTRY": "1234.dkr.ecr.eu-central-1.amazonaws.com",
        "CHURN_STACK": "",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remote, "PROJECT", _repository(tmp_path / "project"))
    return tmp_path / "calls"


def _repository(folder: Path) -> Path:
    folder.mkdir()
    (folder / "file").write_text("of a commit")
    script = folder / remote.SCRIPT
    script.parent.mkdir(parents=True)
    script.write_text("what that commit does on the machine\n")
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    return folder


def head() -> str:
    """The commit of the project that is deployed."""
    asked = ["git", "-C", str(remote.PROJECT), "rev-parse", "HEAD"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def test_a_commit_is_sent_to_the_machine_with_the_tag(
    aws: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert remote.deploy(remote.target(), head())
    calls = aws.read_text()
    archives = [line.split()[-1] for line in calls.splitlines() if line.startswith("s3 cp")]
    place = "s3://churn-1234-eu-central-1/deploy"
    assert archives == [f"{place}/commits/{head()}.tar.gz", f"{place}/project.tar.gz"]
    assert "--targets Key=tag:churn:service,Values=churn" in calls
    assert f"commits/{head()}.tar.gz {head()} </dev/null" in calls
    assert "what that commit does on the machine" in calls
    assert aws.with_name("calls.archive").stat().st_size > 100
    assert "i-1: Success\nwhat the host said" in capsys.readouterr().out


def test_a_failure_there_is_a_failure_here(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOCATIONS", '[{"InstanceId": "i-1", "Status": "Failed"}]')
    assert not remote.deploy(remote.target(), head())
    assert "project.tar.gz" not in aws.read_text()  # a new machine begins with what ran


def test_a_deployment_to_nobody_is_a_failure(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOCATIONS", "[]")
    with pytest.raises(remote.DeployError, match="no machine .* has the tag churn:service=churn"):
        remote.deploy(remote.target(), head())


def test_a_deployment_without_an_end_is_given_up(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATUS", "InProgress")
    with pytest.raises(remote.DeployError, match="InProgress after 0 s: see command c1"):
        remote.deploy(remote.target(), head(), deadline_seconds=0)


@pytest.mark.parametrize("commit", ["main", "abc", f"{COMMIT}; rm -rf /", COMMIT.upper()])
def test_what_is_no_commit_reaches_no_machine(
    aws: Path, monkeypatch: pytest.MonkeyPatch, commit: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["remote", commit])
    with pytest.raises(SystemExit) as ended:
        remote.main()
    assert ended.value.code == 2 and not aws.exists()


def unpacked_and_run(there: Path, script: str, *arguments: str) -> int:
    """What the machine's script ends with, where a line of shell stands for infra.deploy.host."""
    commands = {"aws": 'cp "$4" "$5"', "python3": f'echo "$@" >called; {script}'}
    for name, line in commands.items():
        path = there.parent / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
    environment = {"PATH": f"{there.parent / 'bin'}:{os.environ['PATH']}"}
    command = ["bash", PROJECT / remote.SCRIPT, *arguments]
    return subprocess.run(command, cwd=there, env=environment, check=False).returncode


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The project on a machine that runs the tag `old`, with an archive of newer files beside."""
    there, packed = tmp_path / "churn", tmp_path / "packed"
    for folder, text in ((there, "former"), (packed, "new")):
        (folder / "infra").mkdir(parents=True)
        (folder / "infra" / "file").write_text(text)
    (packed / "added").write_text("new")
    (there / ".env").write_text("secret=1\nCHURN_TAG=old\n")
    archive = tmp_path / "project.tar.gz"
    subprocess.run(["tar", "-czf", archive, "-C", packed, "infra", "added"], check=True)
    return there


@pytest.mark.parametrize(("code", "held"), [(0, "new"), (1, "former")])
def test_on_the_machine_the_files_follow_the_images(machine: Path, code: int, held: str) -> None:
    assert unpacked_and_run(machine, f"exit {code}", "../project.tar.gz", COMMIT) == code
    assert (machine / "infra" / "file").read_text() == held
    called = (machine / "called").read_text().split()
    assert called[:6] == ["-m", "infra.deploy.host", COMMIT, "--lock", "9", "--former"]
    assert (machine / ".env").read_text().startswith("secret=1")
    assert not [*machine.glob(".former*")]


@pytest.mark.parametrize(("tag", "held"), [("old", "former"), ("new", "new")])
def test_after_a_kill_the_files_are_those_of_the_images_that_run(
    machine: Path, tag: str, held: str
) -> None:
    killed = f"sed -i s/old/{tag}/ .env; exec 9>&-; kill -9 $PPID"  # its lock dies with the parent
    assert unpacked_and_run(machine, killed, "../project.tar.gz", COMMIT) < 0
    assert (machine / "infra" / "file").read_text() == "new"
    assert unpacked_and_run(machine, "", "--put-back") == 0
    assert (machine / "infra" / "file").read_text() == held
    assert not [*machine.glob(".former*")]


def test_while_another_deployment_runs_no_file_changes(tmp_path: Path) -> None:
    with alone(tmp_path / ".env"):
        command = ["bash", PROJECT / remote.SCRIPT, "archive", COMMIT]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1 and b"another deployment runs" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [".deployment.lock"]


def test_the_lock_of_the_caller_is_enough(tmp_path: Path) -> None:
    with (tmp_path / ".deployment.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with alone(tmp_path / ".env", held=os.dup(file.fileno())) as mine:
            assert mine
        with alone(tmp_path / ".env") as other:
            assert not other


def test_the_former_files_are_back_before_the_former_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, seen = tmp_path / "compose.yaml", list[str]()
    file.write_text("former")
    subprocess.run(["tar", "-cf", tmp_path / "former.tar", "-C", tmp_path, file.name], check=True)
    file.write_text("new")
    monkeypatch.setattr(host, "PROJECT", tmp_path)
    monkeypatch.setattr(Host, "compose", lambda *_: None)
    monkeypatch.setattr(Host, "_still_serves", lambda *_: False)
    monkeypatch.setattr(Host, "_bring_up", lambda *_: None)
    monkeypatch.setattr(host.api, "replace", lambda *_, **__: seen.append(file.read_text()))
    assert Host(tmp_path / ".env", former=tmp_path / "former.tar")._go_back("good") == 1
    assert seen == ["former"]


def test_what_runs_on_the_host_needs_python_alone() -> None:
    modules = "infra.deploy.host, infra.deploy.remote, infra.compose.build"
    script = f"import {modules}, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-ISc", f"import sys; sys.path.insert(0, {str(PROJECT)!r}); {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    ours = {name.split(".")[0] for name in done.stdout.split()}
    assert not ours & {"include", "yaml", "httpx", "boto3", "pydantic"}
