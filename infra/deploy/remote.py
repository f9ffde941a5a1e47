"""Deploy to the machine that infra/aws/ made, through Systems Manager: no port and no key.

python3 -m infra.deploy.remote COMMIT        make deploy-aws TAG=COMMIT

Sends the project's files of that commit to the bucket, has the machine unpack them and call
infra.deploy.host, shows what that said, and ends with 0 when the commit runs there. The machine is
the one with the tag churn:service=CHURN_STACK. It needs Python, git and the AWS command line; that
takes region and credentials from the environment. ECR_REGISTRY is as the stack `data` tells it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from infra.compose.command import PROJECT, say
from infra.deploy.questions import COMMIT

SCRIPT = "infra/deploy/unpack_and_run.sh"
POLL_SECONDS = 5.0
DEADLINE_SECONDS = 3600
UNFINISHED = ("Pending", "InProgress", "Delayed", "Cancelling")
HOME = "/opt/churn"


class DeployError(Exception):
    """Nothing can be said of the deployment, or it failed; the message says what."""


@dataclass(frozen=True)
class Target:
    """Which machine, and where the project's files go."""

    stack: str
    bucket: str

    @property
    def project(self) -> str:
        """The address of the files that a new machine begins with."""
        return f"s3://{self.bucket}/deploy/project.tar.gz"

    def archive(self, commit: str) -> str:
        """The address of a commit's files, which the bucket forgets after a while."""
        return f"s3://{self.bucket}/deploy/commits/{commit}.tar.gz"


def target() -> Target:
    """As the environment names it; DeployError says which variable is missing."""
    missing = [name for name in ("AWS_REGION", "ECR_REGISTRY") if not os.environ.get(name)]
    if missing:
        raise DeployError(f"set {' and '.join(missing)}: docs/aws.md lists the variables")
    stack = os.environ.get("CHURN_STACK") or "churn"
    account = os.environ["ECR_REGISTRY"].partition(".")[0]
    return Target(stack, f"{stack}-{account}-{os.environ['AWS_REGION']}")


def deploy(to: Target, commit: str, *, deadline_seconds: float = DEADLINE_SECONDS) -> bool:
    """Whether that commit runs there now."""
    packed = _run(["git", "-C", str(PROJECT), "archive", "--format=tar.gz", commit])
    _upload(packed, to.archive(commit))
    command = _send(to, commit)
    say(f"command {command} is sent to the machine tagged churn:service={to.stack}")
    invocations = _wait(command, to, deadline_seconds)
    for each in invocations:
        which = ("--command-id", command, "--instance-id", each["InstanceId"])
        said = _aws("ssm", "get-command-invocation", *which)
        say(f"{each['InstanceId']}: {each['Status']}\n{said.get('StandardOutputContent', '')}")
        sys.stderr.write(said.get("StandardErrorContent", ""))
    if not all(each["Status"] == "Success" for each in invocations):
        return False
    _upload(packed, to.project)
    return True


def _upload(packed: bytes, address: str) -> None:
    _run(["aws", "s3", "cp", "--only-show-errors", "-", address], given=packed)


def _send(to: Target, commit: str) -> str:
    """The command's id."""
    # Of that commit, as is the infra.deploy.host that it calls.
    script = _run(["git", "-C", str(PROJECT), "show", f"{commit}:{SCRIPT}"]).decode()
    lines = [
        f"cd -P {HOME} || exit 1",
        # Another deployment may be reading its own one.
        "script=$(mktemp) && trap 'rm -f \"$script\"' EXIT",
        f"cat >\"$script\" <<'END'\n{script}END",
        f'bash "$script" {to.archive(commit)} {commit} </dev/null',
    ]
    parameters = {"commands": lines, "executionTimeout": [str(DEADLINE_SECONDS)]}
    options = {
        "document-name": "AWS-RunShellScript",
        "targets": f"Key=tag:churn:service,Values={to.stack}",
        "comment": f"deploy {commit}",
        "parameters": json.dumps(parameters),
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return str(_aws("ssm", "send-command", *words)["Command"]["CommandId"])


def _wait(command: str, to: Target, seconds: float) -> list[dict[str, Any]]:
    """Who was asked, once all are done; DeployError when nobody is there, or in the end."""
    deadline = time.monotonic() + seconds
    while True:
        told = _aws("ssm", "list-commands", "--command-id", command)["Commands"][0]
        found = _aws("ssm", "list-command-invocations", "--command-id", command)
        invocations: list[dict[str, Any]] = found["CommandInvocations"]
        if told["Status"] not in UNFINISHED:
            if not invocations:
                raise DeployError(
                    f"no machine that Systems Manager reaches has the tag churn:service={to.stack}"
                )
            return invocations
        if time.monotonic() > deadline:
            raise DeployError(f"{told['Status']} after {seconds:.0f} s: see command {command}")
        time.sleep(POLL_SECONDS)


def _aws(*arguments: str) -> dict[str, Any]:
    return dict(json.loads(_run(["aws", *arguments, "--output", "json"])))


def _run(command: list[str], *, given: bytes | None = None) -> bytes:
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise DeployError(f"{command[0]} is not on this machine: install it") from error
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()[-1000:]
        raise DeployError(f"`{' '.join(command[:3])}` ended with {done.returncode}: {words}")
    return done.stdout


def main() -> int:
    """The command line; 1 when the commit does not run there."""
    parser = argparse.ArgumentParser(prog="python3 -m infra.deploy.remote")
    parser.add_argument("commit", help="all forty characters of it")
    commit = parser.parse_args().commit
    if not COMMIT.fullmatch(commit):
        parser.error(f"{commit!r} is no full commit")
    try:
        return 0 if deploy(target(), commit) else 1
    except DeployError as error:
        sys.stderr.write(f"deploy: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
