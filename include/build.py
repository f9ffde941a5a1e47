"""Which build runs: the project's version and the commit of its code."""

import subprocess
import tomllib
from dataclasses import dataclass

from include.settings import PROJECT

UNKNOWN = "unknown"
SHORT = 7  # characters of a commit that people compare


@dataclass(frozen=True)
class Build:
    """A version as pyproject.toml has it, and a full commit."""

    version: str
    commit: str

    @property
    def short_commit(self) -> str:
        """As git abbreviates it."""
        return self.commit if self.commit == UNKNOWN else self.commit[:SHORT]


def present_build(configured_commit: str) -> Build:
    """The build that runs; `configured_commit` is the setting, for where no checkout is."""
    return Build(version=project_version(), commit=git_commit(configured_commit))


def project_version() -> str:
    """The version in pyproject.toml, which lies beside this package, else 'unknown'."""
    try:
        with (PROJECT / "pyproject.toml").open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])
    except FileNotFoundError:  # on Amazon MWAA
        return UNKNOWN


def git_commit(configured: str) -> str:
    """The commit of this code: from the setting, else from the checkout, else 'unknown'."""
    if configured:
        return configured
    try:
        found = subprocess.run(
            ["git", "-C", str(PROJECT), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return found.stdout.strip()
