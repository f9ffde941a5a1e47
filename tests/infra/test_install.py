"""`make setup`: uv where it works, pip where it does not, and never half an environment."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from include.settings import PROJECT
from infra.local import install

# Stands for the environment's Python: notes what its pip is asked, and pip cannot install {broken}.
PYTHON_WITH_PIP = """#!/bin/sh
[ "$1" = -c ] && exec {python} "$@"
echo "$@" >> "$0.calls"
case "$*" in *{broken}*) exit 1 ;; esac
"""


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that was just built, from a lock that installs nothing."""
    monkeypatch.setattr(install, "CONSTRAINTS", tmp_path / "constraints.txt")
    monkeypatch.setattr(install, "install", lambda *_: None)
    # Making one in earnest takes seconds.
    monkeypatch.setattr(install, "_run", lambda command: _make(Path(command[-1])))
    install.CONSTRAINTS.write_text("# nothing\n")
    install.build(tmp_path / ".venv", exactly=False)
    return tmp_path / ".venv"


def _make(venv: Path, python: str = f'#!/bin/sh\nexec {sys.executable} "$@"\n') -> None:
    script = venv / "bin" / "python"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(python)
    script.chmod(0o755)


def test_the_environment_wins_over_the_files_of_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tmp_path / "pip.conf"
    files.write_text(
        "[global]\nindex-url = https://global/simple\ncert = /a.pem\nproxy = http://proxy\n"
        "[install]\nindex-url = https://install/simple\ncert = /b.pem\n"
    )
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(files))
    monkeypatch.setenv("PIP_INDEX_URL", "https://env/simple")
    found = install.pip_configuration()
    assert found.items() >= {
        ("index-url", "https://env/simple"),
        ("cert", "/b.pem"),
        ("proxy", "http://proxy"),
    }


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, {}),
        ({"index-url": "https://a/simple"}, {"UV_DEFAULT_INDEX": "https://a/simple"}),
        ({"index-url": "file:///a"}, {}),
        (
            {"extra-index-url": "file:///a https://b http://c"},
            {"UV_INDEX": "https://b http://c", "UV_INDEX_STRATEGY": "unsafe-best-match"},
        ),
        ({"cert": "/a.pem"}, {"SSL_CERT_FILE": "/a.pem"}),
        ({"trusted-host": "a b"}, {"UV_INSECURE_HOST": "a b"}),
    ],
)
def test_uv_is_told_what_pip_knows(options: dict[str, str], told: dict[str, str]) -> None:
    assert install.uv_environment(options, {}) == told
    theirs = {name: "https://mine" for name in told}
    assert install.uv_environment(options, theirs) == theirs


def test_pip_steps_in_where_uv_cannot_be_had(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    _make(tmp_path, PYTHON_WITH_PIP.format(python=sys.executable, broken="uv.txt"))
    install.install(tmp_path, str(tmp_path / "bin" / "python"))
    calls = (tmp_path / "bin" / "python.calls").read_text().splitlines()
    assert calls[-1].endswith(f"install --no-deps --requirement {install.CONSTRAINTS}")
    assert "pip will, in some minutes" in caplog.text


def test_without_any_index_the_message_says_what_to_set(tmp_path: Path) -> None:
    _make(tmp_path, PYTHON_WITH_PIP.format(python=sys.executable, broken="install"))
    with pytest.raises(install.SetupError, match="set PIP_INDEX_URL"):
        install.install(tmp_path, str(tmp_path / "bin" / "python"))


HARMS: dict[str, Callable[[Path], object]] = {
    "no python": lambda venv: (venv / "bin" / "python").unlink(),
    "broken python": lambda venv: _make(venv, "#!/bin/sh\nexit 127\n"),
    "another lock": lambda _: install.CONSTRAINTS.write_text("# nothing else\n"),
    "moved": lambda venv: venv.rename(venv.parent / "moved"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_makes_an_environment_void(harm: str, venv: Path) -> None:
    assert install.is_current(venv, None)
    HARMS[harm](venv)
    assert not install.is_current(venv.parent / "moved" if harm == "moved" else venv, None)


def test_it_is_not_built_again_unless_another_python_is_asked_for(
    venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "install", lambda *_: pytest.fail("it was built again"))
    install.build(venv, exactly=True)
    assert not install.is_current(venv, "3.12 /elsewhere")


def test_an_interrupted_setup_leaves_no_stamp(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    install.CONSTRAINTS.write_text("# something new\n")
    monkeypatch.setattr(install, "install", interrupt)
    with pytest.raises(KeyboardInterrupt):
        install.build(venv, exactly=False)
    assert not install.is_current(venv, None)


def test_a_second_setup_waits_for_the_first(tmp_path: Path) -> None:
    entered = threading.Event()

    def second() -> None:
        with install._alone(tmp_path):
            entered.set()

    with install._alone(tmp_path):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not entered.wait(0.2)
    waiting.join(5)
    assert entered.is_set()


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("3.10", "found python is Python 3.10;"),
        ("3.14", "found python is Python 3.14;"),
        ("", "found none that runs"),
    ],
)
def test_a_python_that_does_not_do_is_named(version: str, message: str, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n[ -n '{version}' ] || exit 1\necho '{version}'\n")
    fake.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", PROJECT / "infra" / "local" / "setup.sh"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": "python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Python 3.11, 3.12 or 3.13 is needed" in done.stderr
    assert message in done.stderr
    assert "PYTHON=python3.12 make setup" in done.stderr


def test_a_python_that_makes_no_environment_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(command: list[str]) -> None:
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(install, "_run", refuse)
    with pytest.raises(install.SetupError, match="apt install python3-venv"):
        install.build(tmp_path / ".venv", exactly=False)
