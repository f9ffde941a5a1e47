"""Compose in whichever of its two forms this machine has, from Python alone.

What runs on the host (`make env`, up, backup, restore) needs no package and Python 3.9.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

PROJECT = Path(__file__).resolve().parent.parent.parent
# A busy machine answers docker-compose 1.29 later than that expects. Compose believes
# PWD, and where that has a link in it, mounts would have another source and all be made anew.
ENVIRONMENT = {"COMPOSE_HTTP_TIMEOUT": "300", **os.environ, "PWD": str(PROJECT)}


class ComposeError(Exception):
    """Compose, or what it ran, failed; the message has its last words."""


def find_compose() -> list[str]:
    """`docker compose`, else docker-compose; ComposeError when this machine has neither."""
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return ["docker", "compose"]
        if shutil.which("docker-compose"):
            return ["docker-compose"]
    raise ComposeError(
        "neither `docker compose` nor docker-compose is on this machine: install Docker with its "
        "compose plugin"
    )


class Compose:
    """One project's containers; `options` come before each command, such as --project-name.

    `settings` win over the .env file's and the shell's.
    """

    def __init__(
        self,
        options: list[str] | None = None,
        *,
        env_file: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.env_file = env_file or PROJECT / ".env"
        if not self.env_file.exists():
            raise ComposeError(f"there is no {self.env_file}: `make env` writes one with secrets")
        self._settings = dict(settings or {})
        chosen = ["--env-file", str(env_file)] if env_file else []
        self._command = [*find_compose(), *chosen, *(options or [])]

    def run(
        self, *arguments: str, source: IO[bytes] | None = None, into: IO[bytes] | None = None
    ) -> bytes:
        """Run a command to its end; what it printed, ComposeError when it failed.

        `source` is a file that it reads, `into` one that takes what it prints, however long.
        """
        done = subprocess.run(
            [*self._command, *arguments],
            cwd=PROJECT,
            env={**ENVIRONMENT, **self._settings},
            stdin=source or subprocess.DEVNULL,
            stdout=into or subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        self._check(arguments, done.returncode, done.stderr)
        return done.stdout or b""

    def show(self, *arguments: str) -> None:
        """Run a command in the terminal of whoever called."""
        command = [*self._command, *arguments]
        environment = {**ENVIRONMENT, **self._settings}
        code = subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode
        self._check(arguments, code, b"")

    def services(self) -> list[str]:
        """The services that the files and profiles in force name."""
        return self.run("config", "--services").decode().split()

    def containers(self) -> list[dict[str, Any]]:
        """Every container of the project, as `docker inspect` tells of it."""
        ids = self.run("ps", "--all", "-q").decode().split()
        if not ids:
            return []
        asked = subprocess.run(["docker", "inspect", *ids], capture_output=True, check=False)
        # One that was removed in the meantime is no fault.
        return list(json.loads(asked.stdout or b"[]"))

    def setting(self, name: str, default: str = "") -> str:
        """A variable as compose sees it: the shell's, else that of the .env file."""
        for known in (self._settings, os.environ):
            if name in known:
                return known[name]
        for line in self.env_file.read_text().splitlines():
            key, found, value = line.partition("=")
            if found and key.strip() == name:
                return value.strip().strip("\"'")
        return default

    @staticmethod
    def _check(arguments: tuple[str, ...], code: int, said: bytes) -> None:
        if code != 0:
            words = said.decode(errors="replace").strip()[-2000:]
            raise ComposeError(f"`compose {' '.join(arguments)}` ended with code {code}\n{words}")


def say(line: str) -> None:
    """One line for whoever watches."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
