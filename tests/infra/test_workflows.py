"""The workflows do what our own continuous integration does, with few rights.

That actions are pinned, no credentials kept and no line takes words from outside, zizmor sees to
(`make lint`).
"""

import re
from typing import Any

import pytest
import yaml

from include.settings import PROJECT

FOLDER = PROJECT / ".github" / "workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in FOLDER.glob("*.yml")}
JOBS = [(name, job) for each in WORKFLOWS.values() for name, job in each["jobs"].items()]
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


@pytest.mark.parametrize(("name", "job"), JOBS, ids=[name for name, _ in JOBS])
def test_a_job_has_few_rights_and_an_end(name: str, job: dict[str, Any]) -> None:
    rights = {"contents": "read"} | ({"id-token": "write"} if name in ("image", "deploy") else {})
    assert job["permissions"] == rights
    assert "timeout-minutes" in job or "uses" in job


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
