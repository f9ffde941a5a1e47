"""The workflows do what our own continuous integration does, with few rights and pinned actions."""

import re
from typing import Any

import pytest
import yaml

from include.settings import PROJECT

FOLDER = PROJECT / ".github" / "workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in FOLDER.glob("*.yml")}
JOBS = [(name, job) for each in WORKFLOWS.values() for name, job in each["jobs"].items()]
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
SETS_UP = "make setup"  # what each target of make does by itself


def runs(jobs: dict[str, Any]) -> set[str]:
    """Every line that a workflow's jobs run."""
    steps = [step for job in jobs.values() for step in job.get("steps", [])]
    return {line.strip() for step in steps for line in step.get("run", "").splitlines()}


def test_each_line_that_ci_runs_is_run_by_our_own_ci() -> None:
    script = (PROJECT / ".ci" / "run").read_text()
    called = set(re.findall(r"(?:^|\s)(\.ci/\w+|make [a-z-]+)$", script, re.MULTILINE))
    assert runs(WORKFLOWS["ci"]["jobs"]) - {SETS_UP} == called


def test_every_target_that_a_workflow_names_exists() -> None:
    targets = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"\bmake ([a-z-]+)", "\n".join(sum(map(list, all_runs()), [])))
    assert named and set(named) <= set(targets)


def all_runs() -> list[set[str]]:
    """What each workflow runs."""
    return [runs(each["jobs"]) for each in WORKFLOWS.values()]


def test_no_line_takes_words_from_outside() -> None:
    assert [line for lines in all_runs() for line in lines if "${{" in line] == []


def test_every_action_is_pinned_by_its_commit() -> None:
    used = [
        line.partition("uses: ")[2]
        for path in FOLDER.glob("*.yml")
        for line in path.read_text().splitlines()
        if "uses: " in line
    ]
    assert len(used) > 10
    assert [each for each in used if not PINNED.fullmatch(each) and not each.startswith("$/")] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_gets_no_right_that_a_job_does_not_ask_for(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    assert "group" in WORKFLOWS[name]["concurrency"]


@pytest.mark.parametrize(("name", "job"), JOBS, ids=[name for name, _ in JOBS])
def test_a_job_has_few_rights_and_an_end(name: str, job: dict[str, Any]) -> None:
    rights = {"contents": "read"} | ({"id-token": "write"} if name in ("image", "deploy") else {})
    assert job["permissions"] == rights
    assert "timeout-minutes" in job or "uses" in job
    checkouts = [
        x for x in job.get("steps", []) if x.get("uses", "").startswith("actions/checkout")
    ]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_a_deployment_is_never_cut_off_by_the_next() -> None:
    assert "cancel-in-progress" not in WORKFLOWS["deploy"]["concurrency"]
    assert WORKFLOWS["deploy"]["jobs"]["deploy"]["environment"] == "production"


def test_what_has_not_passed_ci_is_not_deployed() -> None:
    jobs = WORKFLOWS["images"]["jobs"]
    assert jobs["ci"]["uses"].endswith("/ci.yml") and "if" not in jobs["ci"]
    assert set(jobs["deploy"]["needs"]) == {"ci", "image"}
    assert "always()" not in jobs["deploy"]["if"]
    own = [WORKFLOWS[name]["concurrency"]["group"] for name in ("ci", "deploy")]
    assert not any("github.workflow" in group for group in own)  # the caller's, which would wait


def test_only_the_deployment_takes_on_the_deployment_role() -> None:
    role = re.compile(r"role-to-assume: \$\{\{ vars\.(\w+) }}")
    taken = {path.stem: role.findall(path.read_text()) for path in FOLDER.glob("*.yml")}
    assert {name: roles for name, roles in taken.items() if roles} == {
        "images": ["AWS_ROLE_ARN"],
        "deploy": ["AWS_DEPLOY_ROLE_ARN"],
    }
