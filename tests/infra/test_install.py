"""`make setup`: uv where it works, pip where it does not, and never half an environment."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.settings import PROJECT
from infra.local import install

# Stands for pip: notes what it is asked, and cannot install uv.
PIP_WITHOUT_UV = """#!/bin/sh
echo "$@" >> "$0.calls"
case "$*" in *uv.txt*) exit 1 ;; esac
"""


@pytest.fixture
def pip_without_uv(tmp_path: Path) -> Path:
    """A pip that reaches an index without uv."""
    script = tmp_path / "pip"
    script.write_text(PIP_WITHOUT_UV)
    script.chmod(0o755)
    return script


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that was just built, from a lock that installs nothing, and a copy of it."""
    home = tmp_path_factory.mktemp("built")
    (home / "constraints.txt").write_text("# nothing\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(install, "CONSTRAINTS", home / "constraints.txt")
        patch.setattr(install, "install", lambda *_: None)
        install.build(home / ".venv", exactly=False)
    shutil.copytree(home / ".venv", home / "copy", symlinks=True)
    return home


@pytest.fixture
def venv(built: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That environment; whatever a test does to it is undone."""
    lock = built / "constraints.txt"
    monkeypatch.setattr(install, "CONSTRAINTS", lock)
    monkeypatch.setattr(install, "install", lambda *_: None)
    yield built / ".venv"
    lock.write_text("# nothing\n")
    for name in (".venv", "moved"):
        shutil.rmtree(built / name, ignore_errors=True)
    shutil.copytree(built / "copy", built / ".venv", symlinks=True)


def test_the_environment_wins_over_the_files_of_pip() -> None:
    listing = "\n".join(
        [
            ":env:.index-url='https://env/simple'",
            "global.index-url='https://global/simple'",
            "install.index-url='https://install/simple'",
            "global.cert='/a.pem'",
            "install.cert='/b.pem'",
        ]
    )
    found = install.pip_options(listing)
    assert found == {"index-url": "https://env/simple", "cert": "/b.pem"}


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


def test_the_variables_of_uv_win() -> None:
    environment = {"UV_DEFAULT_INDEX": "https://mine/simple"}
    assert install.uv_environment({"index-url": "https://pip/simple"}, environment) == environment


def test_this_pip_can_be_asked() -> None:
    base = getattr(sys, "_base_executable", sys.executable)
    assert isinstance(install.pip_configuration([base, "-m", "pip"]), dict)


def test_pip_steps_in_where_uv_cannot_be_had(
    pip_without_uv: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    install.install(tmp_path / ".venv", [str(pip_without_uv)])
    calls = Path(f"{pip_without_uv}.calls").read_text().splitlines()
    assert calls[-1] == f"install --no-deps -r {install.CONSTRAINTS}"
    assert "pip will, in some minutes" in caplog.text


def test_without_any_index_the_message_says_what_to_set(tmp_path: Path) -> None:
    pip = tmp_path / "pip"
    pip.write_text("#!/bin/sh\nexit 1\n")
    pip.chmod(0o755)
    with pytest.raises(install.SetupError, match="set PIP_INDEX_URL"):
        install.install(tmp_path / ".venv", [str(pip)])


def test_a_built_environment_is_not_built_again(
    venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "install", lambda *_: pytest.fail("it was built again"))
    install.build(venv, exactly=True)


def test_a_changed_lock_makes_it_void(venv: Path) -> None:
    assert install.is_current(venv, None)
    install.CONSTRAINTS.write_text("# nothing else\n")
    assert not install.is_current(venv, None)


def test_another_python_makes_it_void_only_when_asked_for(venv: Path) -> None:
    assert install.is_current(venv, None)
    assert not install.is_current(venv, "3.12 /elsewhere")


def test_a_moved_environment_is_void(venv: Path) -> None:
    assert not install.is_current(venv.rename(venv.parent / "moved"), None)


def test_an_environment_whose_python_is_gone_is_void(venv: Path) -> None:
    (venv / "bin" / "python").unlink()
    assert not install.is_current(venv, None)


@pytest.mark.slow
def test_an_interrupted_setup_leaves_no_stamp(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    install.CONSTRAINTS.write_text("# something new\n")
    monkeypatch.setattr(install, "install", interrupt)
    with pytest.raises(KeyboardInterrupt):
        install.build(venv, exactly=False)
    assert not (venv / "setup.json").exists()
    assert not install.is_current(venv, None)


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
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": "python"}
    done = subprocess.run(
        ["/bin/sh", PROJECT / "infra" / "local" / "setup.sh"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Python 3.11, 3.12 or 3.13 is needed" in done.stderr
    assert message in done.stderr
    assert "PYTHON=python3.12 make setup" in done.stderr


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ({"venv"}, "has no venv module"),
        ({"ensurepip"}, r"has no pip \(22.3 or newer\) and no ensurepip"),
    ],
)
def test_a_python_without_its_parts_says_what_to_install(
    missing: set[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "_has_pip", lambda: False)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else object()
    )
    with pytest.raises(install.SetupError, match=message) as caught:
        install.build(tmp_path / ".venv", exactly=False)
    assert "apt install python3-venv python3-pip" in str(caught.value)
