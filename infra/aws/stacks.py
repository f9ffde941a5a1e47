"""`make aws-plan`, `aws-deploy` and `aws-destroy`: the stacks of infra/aws, in their order.

python -m infra.aws.stacks plan [--until STACK]      says what would change, changes nothing
python -m infra.aws.stacks deploy [--until STACK]    makes or changes it; again is no harm
python -m infra.aws.stacks destroy [--data PREFIX]   service and access; named, also network, data

Every parameter of a template is a variable of the environment or of .env: OperatorRange is
CHURN_AWS_OPERATOR_RANGE. CHURN_STACK (churn) is what the stacks' names begin with. Credentials and
region are AWS's own variables and profiles.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    WaiterError,
)
from dotenv import dotenv_values

from infra.compose.command import PROJECT, say

HERE = Path(__file__).resolve().parent
STACKS = ("network", "data", "access", "service")
KEPT = ("network", "data")  # unless they are asked for by name
SETTING = "CHURN_AWS_"
PROJECT_KEY = "deploy/project.tar.gz"
ON_THE_MACHINE = ("docker-compose.yaml", "Makefile", "infra")
NO_UPDATES = "No updates are to be performed"
NO_CHANGES = ("didn't contain changes", NO_UPDATES)
ANEW = "its first creation failed: {delete}, then deploy again"
WAY_ON = {
    **dict.fromkeys(("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"), ANEW),
    "DELETE_FAILED": "something of it could not be deleted: see its events, then {delete}",
    "UPDATE_ROLLBACK_FAILED": "a change could neither be made nor taken back: "
    "`aws cloudformation continue-update-rollback --stack-name {name}`",
}


class StackError(Exception):
    """AWS did not do it; the message says what was expected, what was found and what to do."""


class Account:
    """The stacks of one prefix, in one account and region."""

    def __init__(self, prefix: str, settings: Mapping[str, str]) -> None:
        self.prefix = prefix
        self._settings = settings
        self.cloud = boto3.client("cloudformation")
        self.region = self.cloud.meta.region_name

    def name(self, part: str) -> str:
        """The stack's name."""
        return f"{self.prefix}-{part}"

    def describe(self, part: str) -> dict[str, Any] | None:
        """What CloudFormation knows of the stack; None where there is none."""
        try:
            found = self.cloud.describe_stacks(StackName=self.name(part))["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        # What a change set that was never executed leaves is no stack yet.
        return None if found["StackStatus"] == "REVIEW_IN_PROGRESS" else dict(found)

    def usable(self, part: str) -> dict[str, Any] | None:
        """The same; StackError where the stack is busy, or broken beyond another change."""
        found = self.describe(part)
        status = found["StackStatus"] if found else ""
        name = self.name(part)
        if status in WAY_ON:
            delete = f"`aws cloudformation delete-stack --stack-name {name}`"
            told = WAY_ON[status].format(name=name, delete=delete)
            raise StackError(f"{name} is in {status}, {told}{self.failures(part)}")
        if status.endswith("_IN_PROGRESS"):
            raise StackError(f"{name} is in {status}: somebody changes it now, try again later")
        return found

    def failures(self, part: str) -> str:
        """Why its resources failed the last time, a line for each."""
        events = self.cloud.describe_stack_events(StackName=self.name(part))["StackEvents"]
        lines = [
            f"\n  {each['LogicalResourceId']}: {each['ResourceStatusReason']}"
            for each in events
            if each["ResourceStatus"].endswith("_FAILED") and each.get("ResourceStatusReason")
        ]
        return "".join(dict.fromkeys(lines[:10]))

    def outputs(self, part: str) -> dict[str, str]:
        """What the stack tells; nothing where there is none."""
        found = self.describe(part) or {}
        return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}

    def parameters(self, parts: tuple[str, ...]) -> dict[str, list[dict[str, str]]]:
        """Each stack's parameters as the settings have them; StackError names all that lack."""
        given = {**self._settings, f"{SETTING}PREFIX": self.prefix}
        known, missing, found = set[str](), list[str](), dict[str, list[dict[str, str]]]()
        for part in STACKS:
            summary = self.cloud.get_template_summary(TemplateBody=template(part))
            names = {setting(each["ParameterKey"]): each for each in summary["Parameters"]}
            known |= names.keys()
            found[part] = [
                {"ParameterKey": each["ParameterKey"], "ParameterValue": given[name]}
                for name, each in names.items()
                if given.get(name)
            ]
            if part in parts:
                missing += [
                    f"{name} ({part}: {each.get('Description', '')})"
                    for name, each in names.items()
                    if "DefaultValue" not in each and not given.get(name)
                ]
        if missing:
            raise StackError("set in the environment or in .env:\n  " + "\n  ".join(missing))
        if unknown := sorted(given.keys() - known):
            raise StackError(
                f"no template has a parameter for {', '.join(unknown)}; there are:\n  "
                + "\n  ".join(sorted(known))
            )
        return found

    def apply(self, part: str, parameters: list[dict[str, str]]) -> str:
        """Make the stack or change it, and wait; what was done, in a word."""
        existed = self.usable(part) is not None
        request: dict[str, Any] = {
            "StackName": self.name(part),
            "TemplateBody": template(part),
            "Parameters": parameters,
            "Capabilities": ["CAPABILITY_IAM"],
        }
        if not existed:
            self.cloud.create_stack(**request, EnableTerminationProtection=part == "data")
            self.wait(part, "stack_create_complete")
            return "made"
        try:
            self.cloud.update_stack(**request)
        except ClientError as error:
            if NO_UPDATES in str(error):
                return "unchanged"
            raise
        self.wait(part, "stack_update_complete")
        return "changed"

    def changes(self, part: str, parameters: list[dict[str, str]]) -> list[dict[str, Any]]:
        """What would change in a stack that is there, by a change set that is thrown away."""
        which = {
            "StackName": self.name(part),
            "ChangeSetName": f"plan-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        }
        self.cloud.create_change_set(
            **which,
            ChangeSetType="UPDATE",
            TemplateBody=template(part),
            Parameters=parameters,
            Capabilities=["CAPABILITY_IAM"],
        )
        try:
            self.cloud.get_waiter("change_set_create_complete").wait(
                **which, WaiterConfig={"Delay": 2, "MaxAttempts": 150}
            )
        except WaiterError as error:
            reason = self.cloud.describe_change_set(**which).get("StatusReason", "")
            if any(words in reason for words in NO_CHANGES):
                return []
            raise StackError(f"{self.name(part)}: {reason or error}") from error
        else:
            pages = self.cloud.get_paginator("describe_change_set").paginate(**which)
            return [each["ResourceChange"] for page in pages for each in page["Changes"]]
        finally:
            self.cloud.delete_change_set(**which)

    def unprotect(self, part: str) -> None:
        """Let the stack be deleted."""
        self.cloud.update_termination_protection(
            StackName=self.name(part), EnableTerminationProtection=False
        )

    def wait(self, part: str, end: str) -> None:
        """Wait for the stack; StackError says why its resources failed."""
        try:
            self.cloud.get_waiter(end).wait(
                StackName=self.name(part), WaiterConfig={"Delay": 5, "MaxAttempts": 720}
            )
        except WaiterError as error:
            found = self.describe(part) or {"StackStatus": "gone"}
            raise StackError(
                f"{self.name(part)} is in {found['StackStatus']}{self.failures(part)}"
            ) from error


def template(part: str) -> str:
    """The stack's template."""
    return (HERE / f"{part}.yaml").read_text("utf-8")


def setting(parameter: str) -> str:
    """The variable of a template's parameter: OperatorRange is CHURN_AWS_OPERATOR_RANGE."""
    return SETTING + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", parameter).upper()


def plan(account: Account, parts: tuple[str, ...]) -> None:
    """Say what would change, and change nothing."""
    parameters = account.parameters(parts)
    for part in parts:
        if account.usable(part) is None:
            # A change set would have to make the stack, and to find exports that are not there yet.
            types = account.cloud.get_template_summary(TemplateBody=template(part))["ResourceTypes"]
            say(f"{account.name(part)}: new, of {', '.join(sorted(set(types)))}")
            continue
        found = account.changes(part, parameters[part])
        say(f"{account.name(part)}: {len(found) or 'no'} changes")
        for each in found:
            say(f"  {described(each)}")


def described(change: dict[str, Any]) -> str:
    """A resource's change in a line; a replacement loses what the resource holds."""
    replaced = {"True": ", REPLACED", "Conditional": ", perhaps replaced"}
    how = replaced.get(change.get("Replacement", ""), "")
    return f"{change['Action']} {change['LogicalResourceId']} ({change['ResourceType']}{how})"


def deploy(account: Account, parts: tuple[str, ...]) -> None:
    """Make or change the stacks, each when the one before is done, and hand over the project."""
    parameters = account.parameters(parts)
    # Once there is a machine, its deployments hand over what has run there.
    is_new = account.describe("service") is None
    for part in parts:
        say(f"{account.name(part)}: {account.apply(part, parameters[part])}")
        if part == "data" and is_new:
            hand_over_project(account.outputs(part)["StoreName"])
    _tell_outputs(account)


def hand_over_project(bucket: str) -> None:
    """What the machine needs of this commit, where its first start fetches it."""
    archive = ("git", "archive", "--format=tar.gz", "HEAD", *ON_THE_MACHINE)
    done = subprocess.run(archive, cwd=PROJECT, capture_output=True, check=False)
    if done.returncode:
        raise StackError(f"expected a git checkout in {PROJECT}: {done.stderr.decode().strip()}")
    boto3.client("s3").put_object(Bucket=bucket, Key=PROJECT_KEY, Body=done.stdout)


def _tell_outputs(account: Account) -> None:
    access, data = account.outputs("access"), account.outputs("data")
    if access:
        say("\nVariables for GitHub (Settings > Secrets and variables > Actions > Variables):")
        say(f"  AWS_REGION={account.region}")
        say(f"  AWS_ROLE_ARN={access['PushRole']}")
        say(f"  AWS_DEPLOY_ROLE_ARN={access['DeploymentRole']}")
        say(f"  ECR_REGISTRY={data['Registry']}")
        say(f"  CHURN_STACK={account.prefix}")
    for key, value in account.outputs("service").items():
        say(f"{key:14}{value}")


def destroy(account: Account, named: str | None) -> None:
    """Take the service and all access away; network and data too where their prefix was named."""
    if named not in (None, account.prefix):
        raise StackError(
            f"--data {named} names other stacks than these: expected --data {account.prefix}"
        )
    for part in reversed(STACKS):
        if account.describe(part) is None:
            continue
        if part in KEPT and not named:
            say(f"{account.name(part)}: kept; ARGS='--data {account.prefix}' deletes its data, too")
            continue
        if part == "data":
            _unlock_data(account)
        say(f"{account.name(part)}: deleting")
        account.cloud.delete_stack(StackName=account.name(part))
        account.wait(part, "stack_delete_complete")


def _unlock_data(account: Account) -> None:
    account.unprotect("data")
    if bucket := account.outputs("data").get("StoreName"):
        say(f"{bucket}: deleting every version of every object")
        boto3.resource("s3").Bucket(bucket).object_versions.delete()


def read_settings() -> tuple[str, dict[str, str]]:
    """CHURN_STACK, and the templates' parameters; the environment wins over .env."""
    found = {**dotenv_values(PROJECT / ".env"), **os.environ}
    given = {name: value for name, value in found.items() if name.startswith(SETTING) and value}
    if f"{SETTING}COMMIT" not in given:
        asked = subprocess.run(
            ("git", "rev-parse", "HEAD"), cwd=PROJECT, capture_output=True, text=True, check=False
        )
        given[f"{SETTING}COMMIT"] = asked.stdout.strip()
    return found.get("CHURN_STACK") or "churn", given


@contextmanager
def explained() -> Iterator[None]:
    """What AWS's library raises, in words."""
    try:
        yield
    except NoCredentialsError as error:
        raise StackError(
            "no credentials for AWS: expected `aws sso login` and AWS_PROFILE, or AWS's own "
            "variables, of somebody who may make these stacks"
        ) from error
    except NoRegionError as error:
        raise StackError("no region: set AWS_DEFAULT_REGION, such as eu-central-1") from error
    except (BotoCoreError, ClientError) as error:
        raise StackError(f"AWS refused: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 and one message when AWS does not do it."""
    parser = argparse.ArgumentParser(prog="python -m infra.aws.stacks")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("plan", "deploy"):
        commands.add_parser(name).add_argument("--until", choices=STACKS, default=STACKS[-1])
    commands.add_parser("destroy").add_argument("--data", metavar="PREFIX")
    given = parser.parse_args(arguments)
    try:
        with explained():
            account = Account(*read_settings())
            if given.command == "destroy":
                destroy(account, given.data)
                return 0
            parts = STACKS[: STACKS.index(given.until) + 1]
            {"plan": plan, "deploy": deploy}[given.command](account, parts)
    except StackError as error:
        sys.stderr.write(f"aws: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
