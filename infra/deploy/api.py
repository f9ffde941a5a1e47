"""The API replaced while it answers: a second one beside it, which the proxy asks meanwhile.

The proxy asks `webapp` unless that drains or is not there, then `webapp-next`. So the second one is
started and asked first; then the present one drains, stops, and is replaced; then the second goes.
"""

from __future__ import annotations

import time
from typing import Any

from infra.compose.command import Compose, ComposeError, say
from infra.compose.up import SERVICE_LABEL
from infra.deploy.questions import Answer, Api, Refusal

PRESENT, NEXT = "webapp", "webapp-next"
PORT = 8000
PROFILE = ("--profile", "deployment")
DRAIN_SECONDS = 5.0  # the proxy looks each second and waits three for an answer
POLL_SECONDS = 0.5


class ApiService:
    """One of the two services of the API."""

    def __init__(self, compose: Compose, service: str) -> None:
        self._compose = compose
        self.service = service

    def container(self) -> dict[str, Any] | None:
        """What docker knows of its container, if there is one."""
        found = self._compose.containers()
        return next(
            (x for x in found if x["Config"]["Labels"][SERVICE_LABEL] == self.service), None
        )

    def is_there(self) -> bool:
        """Whether it has a container, in whatever state."""
        return self.container() is not None

    def start(self) -> None:
        """A new container, where there is none or another one."""
        self.remove()
        self._compose.run("up", "-d", "--no-deps", "--no-build", self.service)

    def drain(self) -> None:
        """Let the proxy send new requests to the other one."""
        self._touch("touch")
        time.sleep(DRAIN_SECONDS)

    def undrain(self) -> None:
        """Take new requests again."""
        self._touch("rm", "-f")

    def remove(self) -> None:
        """Stop it once its last answers are given, and forget it."""
        if self.is_there():
            self._compose.run("stop", self.service)
            self._compose.run("rm", "--force", self.service)

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

    def _touch(self, *command: str) -> None:
        try:
            script = f'{" ".join(command)} "$CHURN_DRAIN_FILE"'
            self._compose.run("exec", "-T", self.service, "sh", "-c", script)
        except (
            ComposeError
        ) as error:  # it does not run, or is older than draining: nothing to drain
            say(f"  {self.service} cannot be told to drain: {str(error).splitlines()[-1]}")


def replace(compose: Compose, beside: Compose, *, former: Answer | None, seconds: float) -> None:
    """Put the images that `compose` names behind the proxy; Refusal when they do not answer.

    A second API that is there already stays and answers meanwhile, whatever its image: after a
    failure it is what still serves. Until the present API is stopped, a Refusal has changed nothing.
    """
    present, second = ApiService(compose, PRESENT), ApiService(beside, NEXT)
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


def settle(compose: Compose, beside: Compose, *, seconds: float) -> None:
    """After a deployment that was cut off: one API that answers, and none beside it."""
    present, second = ApiService(compose, PRESENT), ApiService(beside, NEXT)
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
