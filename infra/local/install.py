"""Builds `.venv` from constraints.txt; standard library only, because nothing else is there yet.

uv installs the lock in seconds where pip takes minutes, so it comes first and pip is the fallback.
Both leave dependencies to the lock, which is complete and leaves mysqlclient out on purpose.
"""

import argparse
import ast
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

logger = logging.getLogger("setup")

PROJECT = Path(__file__).resolve().parent.parent.parent
CONSTRAINTS = PROJECT / "constraints.txt"
UV = Path(__file__).parent / "uv.txt"
PIP_OLDEST = (22, 3)  # the first with --python
PIP_QUIET = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PIP_USER": "0",  # a person's own setting, which would miss the environment
}
# pip's option, and the variable by which uv knows the same thing.
UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
}


class SetupError(Exception):
    """The environment cannot be built; the message says what is missing."""


def main() -> int:
    """Build the environment unless it is up to date."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.install", description=__doc__)
    parser.add_argument("--exactly", action="store_true", help="with this Python and no other")
    parser.add_argument("--venv", type=Path, default=PROJECT / ".venv", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        with _alone(arguments.venv.parent):
            build(arguments.venv, exactly=arguments.exactly)
    except SetupError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        logger.error("interrupted; the next `make setup` starts afresh")
        return 130
    return 0


def build(venv: Path, *, exactly: bool) -> None:
    """Make `venv` hold what constraints.txt lists, unless it does.

    The stamp goes first and comes back last, so that half an environment is never taken for one.
    """
    stamp = venv / "setup.json"
    python = _version_and_base(sys.executable)
    if is_current(venv, python if exactly else None):
        return
    logger.info("building %s with Python %s", venv, sys.version.split()[0])
    stamp.unlink(missing_ok=True)
    install(venv, _empty_environment(venv))
    stamp.write_text(json.dumps(_fingerprint(venv, _version_and_base(sys.executable))))
    logger.info("done")


def is_current(venv: Path, python: str | None) -> bool:
    """Whether `venv` is whole, runs, and was made from this lock (by `python`, where given)."""
    try:
        found = json.loads((venv / "setup.json").read_text())
        running = _version_and_base(str(venv / "bin" / "python"))
    except (OSError, ValueError, subprocess.CalledProcessError):
        return False
    return bool(found == _fingerprint(venv, running)) and python in {None, running}


def install(venv: Path, pip: list[str]) -> None:
    """Install the lock with uv, or with pip where uv does not work."""
    if _installed_with_uv(venv, pip):
        return
    logger.info("uv did not do it; pip will, in some minutes")
    try:
        _run([*pip, "install", "--no-deps", "-r", str(CONSTRAINTS)])
    except subprocess.CalledProcessError as error:
        raise SetupError(
            "pip could not install constraints.txt: see its messages above. Without a way to a "
            "package index, set PIP_INDEX_URL (or pip's configuration) to one that can be reached"
        ) from error


def uv_environment(options: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """What uv must be told of pip's configuration, which it does not read; its own names win."""
    told = dict(environment)
    for option, variable in UV_VARIABLES.items():
        words = options.get(option, "").split()
        if "index" in option:  # pip skips a directory that is not there, uv refuses to start
            words = [word for word in words if word.startswith(("http://", "https://"))]
        if words:
            told.setdefault(variable, " ".join(words))
    if "UV_INDEX" in told:  # pip looks at every index for every package
        told.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return told


def pip_options(listing: str) -> dict[str, str]:
    """pip's options from `pip config list`: environment before [install] before [global]."""
    options: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for line in listing.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(f"{section}."):
                options[name.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    return options


def pip_configuration(pip: list[str]) -> dict[str, str]:
    """The options that this machine's pip works with."""
    listing = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False)
    return pip_options(listing.stdout)


def _installed_with_uv(venv: Path, pip: list[str]) -> bool:
    options = pip_configuration(pip)
    if "no-index" in options:
        return False  # packages from a directory alone: pip's own ground
    command = [str(venv / "bin" / "uv"), "pip", "install", "--python", str(venv / "bin" / "python")]
    try:
        _run([*pip, "install", "--quiet", "--no-deps", "-r", str(UV)])
        _run(
            [*command, "--quiet", "--no-deps", "-r", str(CONSTRAINTS)],
            uv_environment(options, os.environ),
        )
    except (OSError, subprocess.CalledProcessError) as error:
        logger.warning("%s", error)
        return False
    return True


def _empty_environment(venv: Path) -> list[str]:
    """Make an environment without packages; returns the command of a pip that installs into it."""
    if importlib.util.find_spec("venv") is None:
        raise SetupError(f"{sys.executable} has no venv module: {_remedy()}")
    create = [sys.executable, "-m", "venv", "--clear", str(venv)]
    if _has_pip():
        _made([*create, "--without-pip"])
        return [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python")]
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            f"{sys.executable} has no pip (22.3 or newer) and no ensurepip: {_remedy()}"
        )
    _made(create)
    return [str(venv / "bin" / "python"), "-m", "pip"]


def _made(create: list[str]) -> None:
    try:
        _run(create)
    except subprocess.CalledProcessError as error:
        raise SetupError(f"{' '.join(create)} failed, see above: {_remedy()}") from error


def _has_pip() -> bool:
    found = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], capture_output=True, text=True, check=False
    )
    version = re.match(r"pip (\d+)\.(\d+)", found.stdout)
    return version is not None and (int(version[1]), int(version[2])) >= PIP_OLDEST


def _remedy() -> str:
    return (
        "on Debian or Ubuntu `apt install python3-venv python3-pip`, on Fedora `dnf install "
        "python3-pip`; elsewhere take a Python from python.org or pyenv and name it with PYTHON="
    )


def _fingerprint(venv: Path, python: str) -> dict[str, str]:
    lock = hashlib.sha256(CONSTRAINTS.read_bytes() + UV.read_bytes()).hexdigest()
    return {"lock": lock, "python": python, "venv": str(venv.resolve())}


def _version_and_base(python: str) -> str:
    """Which Python this is: another minor version or installation makes an environment void."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix)"
    found = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def _run(command: list[str], environment: Mapping[str, str] | None = None) -> None:
    subprocess.run(command, env={**(environment or os.environ), **PIP_QUIET}, check=True)


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Two setups at once would tear each other's environment: the second waits."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


if __name__ == "__main__":
    sys.exit(main())
