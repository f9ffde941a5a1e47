"""Run the images of another tag on this machine, or go on with those that run.

python3 -m infra.deploy.host TAG [--seconds 600]      make deploy TAG=…

1. The images are pulled. If that fails, nothing has changed.
2. An API of the new image is started beside the present one and asked. If it does not predict what
   the present one does, it is removed, and nothing has changed.
3. The API is replaced while the second one answers, then the rest of the stack is.
4. Everything must become healthy, and a prediction come through the proxy, in time. Then TAG goes
   into .env; else the images that .env still names come back in the same way.

So .env always names what is good: after a kill or a reboot in the middle the next call, or compose
alone, goes on from there. Exit code 0: TAG runs; 1: it does not, the former one does; 2: wrong use;
3: neither answers, and a person must look. It needs Python and docker alone.
"""

from __future__ import annotations

import argparse
import calendar
import fcntl
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from infra.compose.command import PROJECT, Compose, ComposeError, say
from infra.compose.up import SERVICE_LABEL, wait_until_ready
from infra.deploy import api
from infra.deploy.api import NEXT, PRESENT, ApiService, docker
from infra.deploy.questions import COMMIT, Answer, Api, Refusal

WAIT_SECONDS = 600.0
LOOPBACK = "127.0.0.1"
TAG_VARIABLE = "CHURN_TAG"
PULLED = ("webapp", "dashboard", "mlflow", "airflow-scheduler")  # one service for each image
# They read files of the project when they start; databases do so once in their life.
CONFIGURED = {
    "caddy",
    "prometheus",
    "alertmanager",
    "grafana",
    "statsd-exporter",
    "mysqld-exporter",
}
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class Host:
    """The stack on this machine, whose .env names the images that are known to be good."""

    def __init__(
        self, env_file: Path, *, seconds: float = WAIT_SECONDS, former: Path | None = None
    ) -> None:
        self.env_file = env_file
        self._seconds = seconds
        self._former_files = former

    def compose(self, tag: str) -> Compose:
        """The stack with the images of a tag."""
        return Compose(env_file=self.env_file, settings={TAG_VARIABLE: tag})

    def good_tag(self) -> str:
        """The tag that .env names."""
        return Compose(env_file=self.env_file).setting(TAG_VARIABLE, "latest")

    def deploy(self, tag: str) -> int:
        """Run the images of a tag, or go on with the present ones; the exit code."""
        began, good, compose = time.monotonic(), self.good_tag(), self.compose(tag)
        try:
            api.settle(self.compose(good), seconds=self._seconds)
            say(f"from {good} to {tag}")
            self._pull(compose)
            former = self._former(good)
            say(f"  pulled after {time.monotonic() - began:.1f} s")
        except (ComposeError, Refusal) as error:
            say(f"not deployed, nothing was changed: {error}")
            return 1
        try:
            api.replace(compose, former=former, seconds=self._seconds)
            self._bring_up(compose, tag)
        except (ComposeError, Refusal) as error:
            say(f"not deployed after {time.monotonic() - began:.1f} s: {error}")
            return self._go_back(good)
        remember(self.env_file, tag)
        say(f"{tag} runs after {time.monotonic() - began:.1f} s; back: the same call with {good}")
        self._forget_images({good, tag})
        return 0

    def _pull(self, compose: Compose) -> None:
        services = set(compose.services())
        compose.run("pull", *(each for each in PULLED if each in services))

    def _former(self, good: str) -> Answer | None:
        """What the present API predicts; None when it does not, which no deployment makes worse."""
        try:
            return ApiService(self.compose(good), PRESENT).answer()
        except Refusal as error:
            say(f"  the present API does not answer: {error}")
            return None

    def _bring_up(self, compose: Compose, tag: str) -> None:
        """The rest of the stack, and a prediction through the proxy."""
        compose.run("up", "-d", "--no-build")
        self._restart_outdated(compose)
        wait_until_ready(compose, began=time.monotonic(), seconds=self._seconds, quiet=True)
        answer = self._through_the_proxy(compose)
        if COMMIT.fullmatch(tag) and COMMIT.fullmatch(answer.commit) and tag != answer.commit:
            raise Refusal(f"the images tagged {tag} were built from commit {answer.commit}")
        say(f"  through the proxy, {answer.commit} predicts with model {answer.model_version}")

    def _restart_outdated(self, compose: Compose) -> None:
        """Compose starts nothing anew for a mounted file that is another one now."""
        found = [each for each in compose.containers() if is_outdated(each)]
        services = {each["Config"]["Labels"][SERVICE_LABEL] for each in found} & CONFIGURED
        if services:
            compose.run("restart", *sorted(services))
            say(f"  started again, for their changed files: {', '.join(sorted(services))}")

    def _through_the_proxy(self, compose: Compose) -> Answer:
        key = compose.setting("CHURN_API_KEYS").split(",")[0].strip()
        name, http_port = f"api.{compose.setting('CHURN_DOMAIN')}", "CHURN_HTTP_PORT"
        plain = Api(f"http://{name}:{compose.setting(http_port, '80')}", key, address=LOOPBACK)
        if not plain.redirects():  # then a load balancer in front of Caddy has the certificate
            return plain.answer()
        port = compose.setting("CHURN_HTTPS_PORT", "443")
        return Api(f"https://{name}:{port}", key, address=LOOPBACK).answer()

    def _go_back(self, good: str) -> int:
        """The images that .env names, by the way that the new ones came."""
        began, compose = time.monotonic(), self.compose(good)
        try:
            if self._former_files:
                put_back(self._former_files)
            if self._still_serves(good):
                ApiService(compose, PRESENT).undrain()
                ApiService(compose, NEXT).discard()
                say(f"{good} never stopped; what was started beside it is gone")
                return 1
            api.replace(compose, former=None, seconds=self._seconds)
            self._bring_up(compose, good)
        except (ComposeError, Refusal) as error:
            say(f"AND {good} DID NOT COME BACK: {error}")
            return 3
        say(f"{good} is back after {time.monotonic() - began:.1f} s")
        return 1

    def _still_serves(self, good: str) -> bool:
        """Whether the present API is the good one, because the new one was never let in."""
        found = ApiService(self.compose(good), PRESENT).container()
        if found is None or not found["State"]["Running"]:
            return False
        return str(found["Config"]["Image"]).endswith(f":{good}")

    def _forget_images(self, kept: set[str]) -> None:
        """Make room: of our images only the present and the former ones stay."""
        registry = self.compose("").setting("CHURN_REGISTRY")
        listed = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
        for image in listed.split():
            name, _, tag = image.rpartition(":")
            if name.startswith(f"{registry}churn-") and tag not in kept:
                with suppress(ComposeError):  # a container that somebody else made of it
                    docker("image", "rm", image)


def is_outdated(container: dict[str, Any]) -> bool:
    """Whether a file of the project that a container mounts was put there after its start.

    A restart mounts it anew, too: until then, a mount of one file shows the one that was replaced.
    """
    began = time.strptime(container["State"]["StartedAt"][:19], "%Y-%m-%dT%H:%M:%S")
    sources = [Path(each["Source"]).resolve() for each in container["Mounts"] if each.get("Source")]
    ours = [each for each in sources if PROJECT in each.parents and each.exists()]
    files = [file for each in ours for file in (each, *each.rglob("*"))]
    return any(file.lstat().st_ctime > calendar.timegm(began) for file in files)


def remember(env_file: Path, tag: str) -> None:
    """Let .env name a tag: written whole beside it, then put in its place."""
    line = f"{TAG_VARIABLE}={tag}"
    lines = env_file.read_text().splitlines()
    kept = [each for each in lines if not re.match(rf"\s*{TAG_VARIABLE}\s*=", each)]
    with tempfile.NamedTemporaryFile("w", dir=env_file.parent, delete=False) as draft:
        os.fchmod(draft.fileno(), env_file.stat().st_mode & 0o777)
        draft.write("\n".join([*kept, line]) + "\n")
        draft.flush()
        os.fsync(draft.fileno())
    os.replace(draft.name, env_file)


def put_back(former: Path) -> None:
    """The project's files as they go with the former images; ComposeError when they do not come."""
    words = ["tar", "--extract", "--file", str(former), "--directory", str(PROJECT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ComposeError(f"the former files did not come back: {done.stderr.strip()[-1000:]}")


@contextmanager
def alone(env_file: Path, *, held: int | None = None) -> Iterator[bool]:
    """Whether no other deployment runs here; the lock ends with the process.

    `held` is a descriptor of the caller's, which has the lock already.
    """
    with open(env_file.with_name(".deployment.lock") if held is None else held, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m infra.deploy.host")
    parser.add_argument("tag", help="of the images in CHURN_REGISTRY, such as a commit")
    parser.add_argument("--seconds", type=float, default=WAIT_SECONDS, help="for each part to come")
    parser.add_argument("--env-file", type=Path, default=PROJECT / ".env")
    parser.add_argument("--lock", type=int, help="the descriptor of a lock that the caller holds")
    parser.add_argument("--former", type=Path, help="a tar of files that go with the former images")
    asked = parser.parse_args()
    if not TAG.fullmatch(asked.tag):
        parser.error(f"{asked.tag!r} is no tag of an image")
    try:
        with alone(asked.env_file, held=asked.lock) as free:
            if not free:
                say("not deployed: another deployment runs on this machine")
                return 1
            host = Host(asked.env_file, seconds=asked.seconds, former=asked.former)
            return host.deploy(asked.tag)
    except (ComposeError, OSError) as error:
        say(f"not deployed: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
