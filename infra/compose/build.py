"""`make images`: build every image of this checkout, with labels that say what is in it.

python3 -m infra.compose.build [--registry PREFIX/] [--tag TAG] [IMAGE …]

It needs Python and docker alone. The variables of a proxy, and PIP_INDEX_URL, reach the build.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from datetime import UTC, datetime

from infra.compose.command import PROJECT, say

IMAGES = {
    "churn-webapp": "webapp/Dockerfile",
    "churn-dashboard": "dashboard/Dockerfile",
    "churn-mlflow": "infra/mlflow/Dockerfile",
    "churn-airflow": "Dockerfile.airflow",
}
ARGUMENTS = ("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL")
LABEL = "org.opencontainers.image."


def main() -> int:
    """The command line; 1 when an image cannot be built."""
    parser = argparse.ArgumentParser(prog="python3 -m infra.compose.build")
    parser.add_argument("--registry", default=os.environ.get("CHURN_REGISTRY", ""))
    parser.add_argument("--tag", default=os.environ.get("CHURN_TAG", "latest"))
    parser.add_argument("names", nargs="*", metavar="IMAGE", help=f"of {', '.join(IMAGES)}")
    asked = parser.parse_args()
    for name in asked.names or IMAGES:
        if name not in IMAGES:
            parser.error(f"there is no image {name!r}, only {', '.join(IMAGES)}")
        image = f"{asked.registry}{name}:{asked.tag}"
        command = build_command(image, IMAGES[name])
        if subprocess.run(command, cwd=PROJECT, check=False).returncode != 0:
            sys.stderr.write(f"make images: `{' '.join(command)}` failed, see above\n")
            return 1
        say(f"{image} is built")
    return 0


def build_command(image: str, dockerfile: str) -> list[str]:
    """`docker build` with the arguments and the labels of this checkout."""
    arguments = {name: os.environ[name] for name in ARGUMENTS if os.environ.get(name)}
    arguments["GIT_COMMIT"] = commit()
    command = ["docker", "build", "--file", dockerfile, "--tag", image]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    for name, value in labels().items():
        command += ["--label", f"{LABEL}{name}={value}"]
    return [*command, "."]


def labels() -> dict[str, str]:
    """What https://github.com/opencontainers/image-spec/blob/main/annotations.md names."""
    project = (PROJECT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    found = {
        "title": "churn",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version[1] if version else "",
        "revision": commit(),
        "source": source(_git("remote", "get-url", "origin")),
    }
    return {name: value for name, value in found.items() if value}


def commit() -> str:
    """The checkout's commit, marked where files differ from it; empty without a checkout."""
    changed = "-changed" if _git("status", "--porcelain", "--untracked-files=no") else ""
    configured = os.environ.get("CHURN_GIT_COMMIT", "")
    return configured or _git("rev-parse", "HEAD") + changed


def source(remote: str) -> str:
    """A remote's address for people: no user and no password."""
    return re.sub(r"^(\w+://)[^/@]*@", r"\1", remote)


def _git(*arguments: str) -> str:
    try:
        asked = subprocess.run(
            ["git", "-C", str(PROJECT), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
