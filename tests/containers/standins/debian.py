"""The base of every stand-in: a small Debian with Python that trusts whom this machine trusts.

It goes by the name of the slim Python image. How this machine reaches its package servers (mirror,
certificates, pip's settings) is asked of the machine and written into the image, which therefore
stays here.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.install import pip_configuration, uv_environment

SUITE = "bookworm"
PACKAGES = ("busybox", "ca-certificates", "python3", "python3-venv")
LABEL = "churn.standin"
BUNDLE = "/usr/local/share/host-certificates.crt"
HOST_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
UNWANTED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt")


class StandinError(Exception):
    """A stand-in cannot be made here; the message says what is missing."""


def recipe() -> str:
    """What this base is made of and with; another value makes it anew."""
    parts = [Path(__file__).read_bytes(), repr(_sources()).encode(), repr(_settings()).encode()]
    parts.append(_host_bundle().read_bytes())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def make(image: str) -> None:
    """Bootstrap the tree and import it under `image`."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise StandinError(
            "stand-ins for container images need root and debootstrap (apt-get install debootstrap)"
        )
    with _scratch() as tree:
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE]
        _run([*command, str(tree), *_mirror()])
        _furnish(tree)
        changes = [f"ENV {name}={value}" for name, value in _settings().items()]
        changes += [f"LABEL {LABEL}={recipe()}", 'CMD ["python3"]']
        options = [word for change in changes for word in ("--change", change)]
        packing = subprocess.Popen(
            ["tar", "--create", "--numeric-owner", "--directory", str(tree), "."],
            stdout=subprocess.PIPE,
        )
        _run(["docker", "import", *options, "-", image], stdin=packing.stdout)
        if packing.wait() != 0:
            raise StandinError(f"tar could not pack {tree}")


def _furnish(tree: Path) -> None:
    """Trust, sources, and the commands that the real images have."""
    shutil.copyfile(_host_bundle(), tree / BUNDLE.lstrip("/"))
    apt = tree / "etc" / "apt"
    if _sources():  # else what debootstrap wrote
        (apt / "sources.list").write_text("".join(f"deb {line} main\n" for line in _sources()))
    (apt / "apt.conf.d" / "90standin").write_text(f'Acquire::https::CAInfo "{BUNDLE}";\n')
    excluded = "".join(f"path-exclude=/{each}/*\n" for each in UNWANTED[:3])
    (tree / "etc/dpkg/dpkg.cfg.d/90standin").write_text(excluded)
    policy = tree / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")  # no service starts while it is installed
    policy.chmod(0o755)
    (tree / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    (tree / "usr/local/bin/wget").symlink_to("/bin/busybox")
    for each in UNWANTED:
        shutil.rmtree(tree / each, ignore_errors=True)
    (tree / "var/lib/apt/lists/partial").mkdir(parents=True)
    (tree / "var/cache/apt/archives/partial").mkdir(parents=True)


def _settings() -> dict[str, str]:
    """The variables by which pip, uv and Python in the image find this machine's package index."""
    found = {
        name: value
        for name, value in uv_environment(pip_configuration(), {}).items()
        if not name.startswith("SSL_") and "file:" not in value
    }
    if "UV_DEFAULT_INDEX" in found:
        found["PIP_INDEX_URL"] = found["UV_DEFAULT_INDEX"]
    return {**found, "SSL_CERT_FILE": BUNDLE, "PIP_CERT": BUNDLE}


def _host_bundle() -> Path:
    named = [Path(each) for each in (os.environ.get("SSL_CERT_FILE", ""), *HOST_BUNDLES) if each]
    for path in named:
        if path.is_file():
            return path
    raise StandinError(f"no bundle of certificates in {', '.join(map(str, named))}")


def _sources() -> list[str]:
    """`mirror suite` of every Debian source that this machine has for the suite."""
    form = "$(ORIGIN) $(REPO_URI) $(CODENAME)"
    lines = _asked(["apt-get", "indextargets", "--format", form, "Created-By: Packages"])
    return sorted(
        {
            f"{words[1]} {words[2]}"
            for words in map(str.split, lines.splitlines())
            if len(words) == 3 and words[0] == "Debian" and words[2].split("-")[0] == SUITE
        }
    )


def _mirror() -> list[str]:
    """This machine's mirror, or nothing: then debootstrap knows one."""
    return [line.split()[0] for line in _sources() if line.split()[1] == SUITE][:1]


@contextmanager
def _scratch() -> Iterator[Path]:
    # Not /tmp, which may be small or forbid devices.
    path = Path(tempfile.mkdtemp(prefix="churn-standin-", dir="/var/tmp"))
    try:
        yield path / "tree"
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _asked(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _run(command: list[str], stdin: object = None) -> None:
    done = subprocess.run(
        command,
        stdin=stdin,  # type: ignore[arg-type]
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StandinError(f"{command[0]} ended with {done.returncode}:\n{done.stdout[-3000:]}")
