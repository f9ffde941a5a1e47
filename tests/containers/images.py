"""Every image that the stack needs, on this machine: pulled, or a stand-in, or built by us.

python -m tests.containers.images [--standins] [NAME …]

Where images can be pulled, the real ones are. Elsewhere local stand-ins take their very names and
tags, so that docker-compose.yaml and the Dockerfiles are tested as they are.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from include.settings import PROJECT
from tests.containers.standins import debian
from tests.containers.standins.debian import LABEL, StandinError

STANDINS = Path(__file__).parent / "standins"
COMPOSE_FILE = PROJECT / "docker-compose.yaml"
LOCK = ("constraints.txt", "infra/local/uv.txt")  # what stand-ins install from
PULL_SECONDS = 600
PROXIES = ("http_proxy", "https_proxy", "no_proxy")
DEFAULT = re.compile(r"\$\{(\w+):?-?([^{}]*)\}")  # ${NAME:-default}


@dataclass(frozen=True)
class Image:
    """One image: ours has a Dockerfile, a foreign one is pulled or stood in for."""

    name: str
    dockerfile: str = ""
    base: str = ""


def main() -> int:
    """The command line; 1 when an image could not be made."""
    parser = argparse.ArgumentParser(prog="python -m tests.containers.images", description=__doc__)
    parser.add_argument("--standins", action="store_true", help="do not try to pull anything")
    parser.add_argument("names", nargs="*", help="parts of images' names; all images when empty")
    arguments = parser.parse_args()
    try:
        provide(arguments.names, standins=arguments.standins)
    except StandinError as error:
        sys.stderr.write(f"images: {error}\n")
        return 1
    return 0


def provide(names: list[str], *, standins: bool = False) -> None:
    """Have every image with one of `names` in its own, and what it is built from."""
    images = catalogue()
    python = images["webapp/Dockerfile"].base
    standins = standins or _is_standin(python) or not _is_pulled(python)
    wanted = [each for each in images.values() if _is_wanted(each, names)]
    bases = {each.base: Image(each.base) for each in wanted if each.base}
    if standins:
        bases = {python: Image(python), **bases}
    for image in {**bases, **{each.name: each for each in wanted}}.values():
        began = time.monotonic()
        made = _provide(image, python, standins=standins)
        took = time.monotonic() - began
        sys.stdout.write(f"{image.name:34} {made:9} {_size(image.name):>8} {took:6.1f} s\n")
        sys.stdout.flush()


def catalogue() -> dict[str, Image]:
    """Ours by Dockerfile, then the foreign ones by name, as the compose files tell them."""
    ours: dict[str, Image] = {}
    foreign: dict[str, Image] = {}
    overrides = sorted((PROJECT / "infra" / "compose").glob("docker-compose.*.yaml"))
    for path in (COMPOSE_FILE, *overrides):
        for service in services_of(path).values():
            name = _with_defaults(service.get("image", ""))
            if "build" in service:
                dockerfile = service["build"]["dockerfile"]
                ours[dockerfile] = Image(name, dockerfile, base_of(dockerfile))
            elif name and "churn-" not in name:
                foreign[name] = Image(name)
    return {**ours, **foreign}


def services_of(path: Path) -> dict[str, Any]:
    """A compose file's services by name; its !override is for docker compose alone."""
    found: dict[str, Any] = yaml.safe_load(path.read_text().replace("!override", ""))["services"]
    return found


def base_of(dockerfile: str) -> str:
    """The image of the first FROM, with the arguments' defaults."""
    defaults: dict[str, str] = {}
    for line in (PROJECT / dockerfile).read_text().splitlines():
        if found := re.fullmatch(r"ARG (\w+)=(\S+)", line):
            defaults[found[1]] = _with_defaults(found[2], defaults)
        if found := re.match(r"FROM (\S+)", line):
            return _with_defaults(found[1], defaults)
    raise StandinError(f"{dockerfile} has no FROM")


def _provide(image: Image, python: str, *, standins: bool) -> str:
    if image.dockerfile:
        _build(PROJECT, PROJECT / image.dockerfile, image.name)
        return "built"
    if not standins:
        if not _is_pulled(image.name):
            raise StandinError(f"docker could not pull {image.name}, but could pull {python}")
        return "pulled"
    if _is_here(image.name) and not _is_standin(image.name):
        return "real"
    if image.name == python:
        if _inspect(python).get(LABEL) != debian.recipe():
            debian.make(python)
        return "stand-in"
    return _stand_in(image.name, python)


def _stand_in(name: str, python: str) -> str:
    repository, _, tag = name.rpartition(":")
    folder = STANDINS / repository.rpartition("/")[2]
    if not (folder / "Dockerfile").exists():
        return "none"
    arguments = {"BASE": python, "AIRFLOW_VERSION": "".join(re.findall(r"\d+\.\d+\.\d+", tag)[:1])}
    used = {key: value for key, value in arguments.items() if f"ARG {key}" in _text(folder)}
    with tempfile.TemporaryDirectory() as context:
        shutil.copytree(STANDINS, context, dirs_exist_ok=True)
        for each in LOCK:
            shutil.copy(PROJECT / each, context)
        _build(Path(context), Path(context, folder.name, "Dockerfile"), name, used)
    return "stand-in"


def _build(
    context: Path, dockerfile: Path, name: str, arguments: dict[str, str] | None = None
) -> None:
    proxies = {each: os.environ[each] for each in PROXIES if each in os.environ}
    given = {**proxies, **(arguments or {})}
    options = [word for key, value in given.items() for word in ("--build-arg", f"{key}={value}")]
    command = ["docker", "build", "--file", str(dockerfile), "--tag", name, *options, str(context)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise StandinError(f"{name} could not be built:\n{done.stdout[-5000:]}")


def _is_wanted(image: Image, names: list[str]) -> bool:
    return not names or any(part in image.name for part in names)


def _with_defaults(text: str, known: dict[str, str] | None = None) -> str:
    return DEFAULT.sub(lambda found: (known or {}).get(found[1], found[2]), text)


def _is_standin(name: str) -> bool:
    return LABEL in _inspect(name)


def _is_here(name: str) -> bool:
    return _docker("image", "inspect", name).returncode == 0


def _is_pulled(name: str) -> bool:
    """Whether the image is here, and real, or can be fetched."""
    if _is_here(name) and not _is_standin(name):
        return True
    try:
        return _docker("pull", "--quiet", name, seconds=PULL_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _inspect(name: str) -> dict[str, Any]:
    """An image's labels; none when it is not here."""
    asked = _docker("image", "inspect", "--format", "{{json .Config.Labels}}", name)
    return dict(json.loads(asked.stdout) or {}) if asked.returncode == 0 else {}


def _size(name: str) -> str:
    asked = _docker("image", "inspect", "--format", "{{.Size}}", name)
    return f"{int(asked.stdout) / 1e6:.0f} MB" if asked.returncode == 0 else "-"


def _text(folder: Path) -> str:
    return (folder / "Dockerfile").read_text()


def _docker(*arguments: str, seconds: float = 60) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, timeout=seconds
    )


if __name__ == "__main__":
    sys.exit(main())
