"""The servers that the API's benchmark compares, each started and stopped by itself."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from include.champion.versions import MODEL_FILE
from include.store import S3Store
from tests.conftest import answers, empty_bucket, running
from tests.webapp.champions import Version
from tests.webapp.conftest import loopback_port

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    port: int
    process: "subprocess.Popen[bytes]"
    ready_seconds: float

    def workers(self) -> list[psutil.Process]:
        """Its serving processes: the children, without shippers and resource trackers."""
        children = psutil.Process(self.process.pid).children()
        return [c for c in children if "resource_tracker" not in " ".join(c.cmdline())]

    def resident_mib(self) -> float:
        """The largest worker's resident memory."""
        return max(child.memory_info().rss for child in self.workers()) / 2**20

    def cpu_seconds(self) -> float:
        """What its serving processes have used."""
        return sum(sum(child.cpu_times()[:2]) for child in self.workers())


def api(
    home: Path, workers: int, environment: dict[str, str], *options: str, checkout: Path = PROJECT
) -> AbstractContextManager[Running]:
    """Our service, of this or another checkout, with whatever gunicorn options."""
    port = loopback_port()
    command = [
        *(sys.executable, "-m", "gunicorn", "-c", "webapp/gunicorn.conf.py", *options),
        "tests.bench.api_app:create_bench_app()",
    ]
    settings = {
        "CHURN_VAR_DIR": str(home),
        "CHURN_API_PORT": str(port),
        "CHURN_API_WORKERS": str(workers),
        "CHURN_LOG_LEVEL": "WARNING",
    }
    return _started(command, port, "/ready", environment | settings, checkout)


def granian(
    home: Path, workers: int, environment: dict[str, str]
) -> AbstractContextManager[Running]:
    """The same application under another server, without any hook of ours."""
    port = loopback_port()
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws"),
        *("--workers", str(workers), "--blocking-threads", "1", "--port", str(port), "--no-log"),
        *("--factory", "tests.bench.api_app:create_bench_app"),
    ]
    return _started(command, port, "/ready", {**environment, "CHURN_VAR_DIR": str(home)})


def mlflow_serve(model: Path, workers: int) -> AbstractContextManager[Running]:
    """The same model behind MLflow's own scoring server."""
    port = loopback_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "-p", str(port)]
    command += ["--env-manager", "local", "--workers", str(workers)]
    own = str(Path(sys.executable).parent)  # where MLflow's shell finds uvicorn
    return _started(command, port, "/ping", {"PATH": os.pathsep.join([own, os.environ["PATH"]])})


def peer(
    model: Path, version: Version, workers: int, environment: dict[str, str]
) -> AbstractContextManager[Running]:
    """The reference way of working."""
    port = loopback_port()
    manifest = version[0]
    contract = {n: manifest.contract.column(n).categories for n in manifest.columns}
    settings = {"PEER_MODEL": str(model), "PEER_CONTRACT": json.dumps(contract)}
    command = [
        *(sys.executable, "-m", "uvicorn", "tests.bench.peer:app", "--port", str(port)),
        *("--workers", str(workers), "--log-level", "warning"),
    ]
    return _started(command, port, "/health", {**environment, **settings})


@contextmanager
def s3_server() -> Iterator[tuple[str, S3Store]]:
    """An S3 server in a process of its own, and a bucket there."""
    port = loopback_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _started(command, port, "/moto-api/", {}):
        url = f"http://127.0.0.1:{port}"
        yield url, empty_bucket(url)


def save_mlflow_model(version: Version, path: Path) -> None:
    """The champion's graph as people log it, for `mlflow.pyfunc.load_model`."""
    import mlflow.onnx
    import onnx

    mlflow.onnx.save_model(
        onnx.load_model_from_string(version[1][MODEL_FILE]), str(path), pip_requirements=["onnx"]
    )


@contextmanager
def _started(
    command: Sequence[str],
    port: int,
    path: str,
    environment: dict[str, str],
    directory: Path = PROJECT,
) -> Iterator[Running]:
    begun, url = time.perf_counter(), f"http://127.0.0.1:{port}{path}"
    with running(
        [*command],
        Path(os.devnull),
        ready=lambda: answers(url),
        env={**os.environ, **environment},
        cwd=directory,
    ) as process:
        yield Running(port, process, time.perf_counter() - begun)
