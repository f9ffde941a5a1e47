"""The API replaced while it answers: a second one beside it, which the proxy asks meanwhile.

The proxy asks `webapp` unless that drains or is not there, then `webapp-next`. So the second one is
started and asked first; then the present one drains, stops, and is replaced; then the second goes.
"""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

from infra.compose.command import Compose, ComposeError, say
from infra.compose.up import SERVICE_LABEL
from infra.deploy.questions import Answer, Api, Refusal

PRESENT, NEXT = "webapp", "webapp-next"
PORT = 8000
STOP_SECONDS = 45  # longer than stop_grace_period in docker-compose.yaml
NOTICE_SECONDS = 5.0  # until the proxy has seen a change: it looks each second, and waits three
POLL_SECONDS = 0.5


class ApiService:
    """One of the two services of the API."""

    def __init__(self, compose: Compose, service: str) -> None:
        self._compose = compose
        self.service = service

    def container(self) -> dict[str, Any] | None:
        """What docker knows of its container, if there is one."""
        labels = {
            "com.docker.compose.project": self._compose.setting("COMPOSE_PROJECT_NAME", "churn"),
            SERVICE_LABEL: self.service,
        }
        filters = [word for k, v in labels.items() for word in ("--filter", f"label={k}={v}")]
        ids = docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()
        return dict(json.loads(docker("inspect", ids[0]))[0]) if ids else None

    def is_there(self) -> bool:
        """Whether it has a container, in whatever state."""
        return self.container() is not None

    def start(self) -> None:
        """A new container in the place of the present one."""
        self.remove()
        self._compose.run("up", "-d", "--no-deps", "--no-build", self.service)

    def drain(self) -> None:
        """Let the proxy send new requests to the other one, which answers since just now.

        The proxy must have seen that one first: told of both at once, it may for some milliseconds
        have neither, and then refuses what is no GET.
        """
        time.sleep(NOTICE_SECONDS)
        self._mark("touch")
        time.sleep(NOTICE_SECONDS)

    def undrain(self) -> None:
        """Take new requests again."""
        self._mark("rm -f")

    def remove(self) -> None:
        """Stop it once its last answers are given, and forget it."""
        if container := self.container():
            docker("stop", "--time", str(STOP_SECONDS), container["Id"])
            docker("rm", "--force", container["Id"])

    def discard(self) -> None:
        """Forget one that was never asked, whatever it does."""
        if container := self.container():
            docker("rm", "--force", container["Id"])

    def answer(self) -> Answer:
        """What it predicts; Refusal when it cannot."""
        container = self.container()
        if container is None or not container["State"]["Running"]:
            raise Refusal(f"there is no running container of {self.service}")
        networks = container["NetworkSettings"]["Networks"].values()
        address = next((x["IPAddress"] for x in networks if x["IPAddress"]), "")
        return Api(f"http://{address}:{PORT}", self._key()).answer()

    def wait_for_answer(self, seconds: float) -> Answer:
        """Its first prediction; Refusal when it crashes or none comes in time."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.answer()
            except Refusal as error:
                container = self.container()
                if container is None or container["RestartCount"] > 2:
                    raise Refusal(f"{self.service} crashes again and again: {error}") from error
                if time.monotonic() > deadline:
                    raise Refusal(f"not ready after {seconds:.0f} s: {error}") from error
            time.sleep(POLL_SECONDS)

    def _key(self) -> str:
        return self._compose.setting("CHURN_API_KEYS").split(",")[0].strip()

    def _mark(self, how: str) -> None:
        container = self.container()
        try:
            if container and container["State"]["Running"]:
                docker("exec", container["Id"], "sh", "-c", f'{how} "$CHURN_DRAIN_FILE"')
        except ComposeError as error:  # an image from before there was this file
            say(f"  {self.service} cannot drain: {str(error).splitlines()[-1]}")


def replace(compose: Compose, *, former: Answer | None, seconds: float) -> None:
    """Put the images that `compose` names behind the proxy; Refusal when they do not answer.

    A second API that is there already stays and answers meanwhile, whatever its image: after a
    failure it is what still serves. A Refusal before the present API drains has changed nothing.
    """
    present, second = ApiService(compose, PRESENT), ApiService(compose, NEXT)
    if not second.is_there():
        began = time.monotonic()
        second.start()
        answer = second.wait_for_answer(seconds)
        if former is not None:
            answer.check_against(former)
        say(f"  beside the present API, a new one predicts after {time.monotonic() - began:.1f} s")
    present.drain()
    present.start()
    present.wait_for_answer(seconds)
    second.drain()
    second.remove()


def settle(compose: Compose, *, seconds: float) -> None:
    """After a deployment that was cut off: one API that answers, and none beside it."""
    present, second = ApiService(compose, PRESENT), ApiService(compose, NEXT)
    if not second.is_there():
        return
    say("a deployment was cut off here: first, one API that answers")
    present.undrain()
    try:
        present.answer()
    except Refusal:
        present.start()
        present.wait_for_answer(seconds)
    second.drain()
    second.remove()


def docker(*arguments: str) -> str:
    """What docker says; ComposeError with its last words when it fails."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ComposeError(f"`docker {arguments[0]}` failed: {done.stderr.strip()[-1000:]}")
    return done.stdout
