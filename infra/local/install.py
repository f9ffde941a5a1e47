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
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

logger = logging.getLogger("setup")

PROJECT = Path(__file__).resolve().parent.parent.parent
CONSTRAINTS = PROJECT / "constraints.txt"
UV = Path(__file__).parent / "uv.txt"
# pip's option, and the variable by which uv knows the same thing: it does not read pip's files.
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
    wanted = stamp_of(venv, sys.executable)
    if is_current(venv, wanted if exactly else None):
        return
    logger.info("building %s with Python %s", venv, sys.version.split()[0])
    (venv / "setup.stamp").unlink(missing_ok=True)
    # A pip of its own would cost seven seconds.
    pipless = ["--without-pip"] if importlib.util.find_spec("pip") else []
    try:
        _run([sys.executable, "-m", "venv", "--clear", *pipless, str(venv)])
    except subprocess.CalledProcessError as error:
        raise SetupError(
            f"{sys.executable} cannot make an environment, see above: on Debian or Ubuntu `apt "
            "install python3-venv python3-pip`, on Fedora `dnf install python3-pip`; elsewhere "
            "take a Python from python.org or pyenv and name it with PYTHON="
        ) from error
    install(venv, sys.executable if pipless else str(venv / "bin" / "python"))
    (venv / "setup.stamp").write_text(wanted)
    logger.info("done")


def is_current(venv: Path, wanted: str | None) -> bool:
    """Whether `venv` is whole, runs, and was made from this lock (as `wanted`, where given)."""
    try:
        found = (venv / "setup.stamp").read_text()
        return found == stamp_of(venv, str(venv / "bin" / "python")) and wanted in {None, found}
    except (OSError, subprocess.CalledProcessError):
        return False


def stamp_of(venv: Path, python: str) -> str:
    """What an environment is made from: lock, place, and this Python's version and installation."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix)"
    found = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    lock = hashlib.sha256(CONSTRAINTS.read_bytes() + UV.read_bytes()).hexdigest()
    return f"{lock}\n{venv.resolve()}\n{found.stdout}"


def install(venv: Path, python: str) -> None:
    """Install the lock with uv, or with pip where uv does not work; `python` has a pip."""
    target = ["--python", str(venv / "bin" / "python")]
    pip = [python, "-m", "pip", *target, "install", "--no-deps", "--requirement"]
    try:
        options = pip_configuration(python)
        if "no-index" not in options:  # packages from a directory alone are pip's own ground
            _run([*pip, str(UV), "--quiet"])
            uv = [str(venv / "bin" / "uv"), "pip", "install", *target, "--quiet", "--no-deps"]
            _run([*uv, "--requirement", str(CONSTRAINTS)], uv_environment(options, os.environ))
            return
    except (OSError, subprocess.CalledProcessError) as error:
        logger.warning("%s", error)
    logger.info("uv did not do it; pip will, in some minutes")
    try:
        _run([*pip, str(CONSTRAINTS)])
    except subprocess.CalledProcessError as error:
        raise SetupError(
            "pip could not install constraints.txt: see its messages above. Without a way to a "
            "package index, set PIP_INDEX_URL (or pip's configuration) to one that can be reached"
        ) from error


def uv_environment(options: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """What uv must be told of pip's configuration; its own variables win."""
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


def pip_configuration(python: str = "") -> dict[str, str]:
    """pip's options on this machine: environment before [install] before [global]."""
    python = python or getattr(sys, "_base_executable", sys.executable)  # .venv has no pip
    command = [python, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    options: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for line in listing.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(f"{section}."):
                options[name.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    return options


def _run(command: list[str], environment: Mapping[str, str] = os.environ) -> None:
    # A person's own PIP_USER would miss the environment.
    subprocess.run(command, env={**environment, "PIP_USER": "0"}, check=True)


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
