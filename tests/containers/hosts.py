"""Machines to deploy to: each a proxy and an API of its own, of the project's own compose files.

A registry on loopback has the images, in versions that are good, or bad in one way each.
"""

import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml

from include.settings import PROJECT
from include.store import LocalStore
from infra.compose.command import Compose
from infra.compose.environment import write_environment
from infra.deploy.host import remember
from infra.deploy.questions import RECORD
from tests.caddy import bodies_snippet
from tests.containers.stack import eventually
from tests.ports import free_ports
from tests.webapp.champions import make_version, publish

BASE = "docker-compose.yaml"
PRODUCTION = "infra/compose/docker-compose.production.yaml"
SERVICES = ("webapp", "webapp-next", "caddy")
IMAGE = "churn-webapp"
ASKERS = 4
PUBLIC_NAME = "api.localhost"  # for which Caddy makes a certificate of its own
PAUSE_SECONDS = 0.02
MISLABELLED = "0" * 40  # holds another commit, which is seen when all is up
# What another build of the API may have wrong. Each is one layer on top of the good one.
FAULTS = {
    "crashes": 'CMD ["python", "-c", "raise SystemExit(1)"]',
    "never-ready": 'CMD ["python", "-c", "import time; time.sleep(3600)"]',
    "answers-wrongly": "USER root\n"
    "RUN sed -i 's/= champion.score(accepted.matrix).tolist()/= [0.5] * len(accepted.matrix)/' "
    "/app/webapp/prediction_service.py\nUSER 10001:10001",
}


@dataclass
class Host:
    """One machine's stack, on ports of its own."""

    env_file: Path
    https_port: int

    @property
    def compose(self) -> Compose:
        """Its containers, the second API among them."""
        return Compose(["--profile", "deployment"], env_file=self.env_file)

    def deploy(self, tag: str, *, seconds: float = 120) -> "subprocess.Popen[str]":
        """A deployment under way, as a person or SSM starts it."""
        command = [sys.executable, "-m", "infra.deploy.host", tag, "--seconds", str(seconds)]
        return subprocess.Popen(
            [*command, "--env-file", str(self.env_file)],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def client(self) -> httpx.Client:
        """Somebody who asks through the proxy, whose certificate is this machine's own."""

        def name(request: httpx.Request) -> None:  # which no resolver need know
            request.headers["Host"] = request.extensions["sni_hostname"] = PUBLIC_NAME

        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.https_port}",
            headers={"X-API-Key": self.compose.setting("CHURN_API_KEYS")},
            event_hooks={"request": [name]},
            verify=False,
            trust_env=False,
            timeout=60,
        )

    def wait(self, *, seconds: float = 60) -> None:
        """Until it answers through the proxy."""
        with self.client() as client:
            eventually(lambda: _is_fine(client, "/ready"), "the host answers", seconds=seconds)

    def commit(self) -> str:
        """Which build answers."""
        with self.client() as client:
            return str(client.get("/").json()["commit"])

    def images(self) -> dict[str, str]:
        """The tag of each API that is there."""
        found = [x["Config"] for x in self.compose.containers()]
        names = {x["Labels"]["com.docker.compose.service"]: x["Image"] for x in found}
        return {k: v.rpartition(":")[2] for k, v in names.items() if k != "caddy"}


@dataclass
class Askers:
    """Clients that ask all the time: what each got, and how long the longest had to wait."""

    host: Host
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    longest_seconds: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> "Askers":
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(ASKERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        # Half of them keep their connection, half make a new one each time.
        headers = {"Connection": "close"} if number % 2 else {}
        with self.host.client() as client:
            while not self._stop.wait(PAUSE_SECONDS):
                began = time.monotonic()
                try:
                    answer = client.post("/predict", json=RECORD, headers=headers)
                    fault = "" if answer.status_code == 200 else f"{answer.status_code}"
                except httpx.HTTPError as error:
                    fault = repr(error)
                with self._lock:
                    self.answers += not fault
                    self.failures += [fault] if fault else []
                    self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)


@contextmanager
def registry() -> Iterator[str]:
    """A registry on loopback, as CHURN_REGISTRY names it."""
    port, folder = free_ports(1)[0], Path(tempfile.mkdtemp(prefix="churn-registry-"))
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (folder / "config.yml").write_text(yaml.safe_dump(settings))
    command = ["docker-registry", "serve", str(folder / "config.yml")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            eventually(lambda: _is_fine(client, "/v2/"), "the registry answers", seconds=30)
        yield f"127.0.0.1:{port}/"
    finally:
        for image in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split():
            if image.startswith(f"127.0.0.1:{port}/"):
                docker("image", "rm", "--force", image)
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def push_versions(registry: str, folder: Path) -> None:
    """`old` and `new`, which are good, one version for each fault, and one of another commit."""
    commits = {"old": "old", "new": "new", MISLABELLED: "f" * 40}
    layers = {tag: f"ENV CHURN_GIT_COMMIT={commit}" for tag, commit in commits.items()} | FAULTS
    for tag, layer in layers.items():
        name = f"{registry}{IMAGE}:{tag}"
        (folder / "Dockerfile").write_text(f"FROM {base_image()}\n{layer}\n")
        docker("build", "--quiet", "--tag", name, str(folder))
        docker("push", "--quiet", name)
        docker("image", "rm", name)


def base_image() -> str:
    """The API's image that tests/containers/images.py has made."""
    return f"{IMAGE}:latest"


@contextmanager
def running_host(registry: str, folder: Path, tag: str) -> Iterator[Host]:
    """A machine on which the images of a tag run behind the proxy, with a champion."""
    host = _described(registry, folder, tag)
    publish(LocalStore(folder / "store"), make_version("1", trees=10, rows=600))
    docker(
        "run",
        "--rm",
        "--volume",
        f"{folder}:/it",
        "--user",
        "0",
        base_image(),
        "chmod",
        "-R",
        "a+rwX",
        "/it/store",
    )
    try:
        host.compose.run("up", "-d", "--no-build", "webapp", "caddy")
        host.wait()
        yield host
    finally:
        host.compose.run("down", "--volumes", "--timeout", "1")


def _described(registry: str, folder: Path, tag: str) -> Host:
    ports = free_ports(3)
    env_file = folder / ".env"
    write_environment(env_file)
    settings = {
        "COMPOSE_PROJECT_NAME": f"churn-test-{secrets.token_hex(3)}",
        "COMPOSE_FILE": ":".join(_files(folder)),
        "CHURN_REGISTRY": registry,
        "CHURN_STORE_URI": "file:///store",
        "CHURN_DOMAIN": "localhost",
        "CHURN_TLS_EMAIL": "nobody@localhost",
        "CHURN_CADDY_BODIES": bodies_snippet(docker("run", "--rm", "caddy:2", "caddy", "version")),
        "AWS_DEFAULT_REGION": "us-east-1",
        "CHURN_API_WORKERS": "1",
        **dict(
            zip(
                ("CHURN_API_PORT", "CHURN_HTTP_PORT", "CHURN_HTTPS_PORT"),
                map(str, ports),
                strict=True,
            )
        ),
    }
    text = env_file.read_text().replace("COMPOSE_PROJECT_NAME=churn\n", "")
    env_file.write_text(text + "".join(f"{k}={v}\n" for k, v in settings.items()))
    remember(env_file, tag)
    return Host(env_file, ports[2])


def _files(folder: Path) -> Iterator[str]:
    """The project's compose files, but of their services only the proxy and the API."""
    for each in (BASE, PRODUCTION):
        text = (PROJECT / each).read_text().replace("./infra/", f"{PROJECT}/infra/")
        document = yaml.safe_load(text)
        services = {name: dict(document["services"].get(name, {})) for name in SERVICES}
        for name, service in services.items():
            service.pop("build", None)
            if name != "caddy" and each == BASE:
                del service["depends_on"]  # what is left out here
                service["volumes"] = [*service["volumes"], f"{folder}/store:/store"]
        document["services"] = {name: service for name, service in services.items() if service}
        path = folder / Path(each).name
        path.write_text(yaml.safe_dump(document))
        yield str(path)


def _is_fine(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx.HTTPError:
        return False


def docker(*arguments: str) -> str:
    """What docker says; an assertion with its words when it fails."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout
