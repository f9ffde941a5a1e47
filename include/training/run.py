"""One training run: what its stages share, and the keys under which they hand over."""

import hashlib
import io
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.champion.registry import PARAMS_TAG, Registry
from include.contract import Contract
from include.params import Params
from include.settings import PROJECT
from include.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Engine

RUNS_PREFIX = "runs"


@dataclass(frozen=True)
class TrainingRun:
    """The connections and the configuration of one run, whichever task it is in."""

    dag_run_id: str
    store: Store
    engine: "Engine"
    registry: Registry
    contract: Contract
    params: Params
    trigger: Mapping[str, Any]
    git_commit: str

    @property
    def tags(self) -> dict[str, str]:
        """What MLflow keeps beside the run and its candidate."""
        found = {"git_commit": self.git_commit, PARAMS_TAG: self.params.sha256()}
        return found | {k: str(value) for k, value in self.trigger.items() if value is not None}

    def key(self, task_id: str, name: str) -> str:
        """Where a task of this run keeps a file."""
        return f"{RUNS_PREFIX}/{safe_key(self.dag_run_id)}/{task_id}/{name}"

    def write_frame(self, task_id: str, name: str, frame: pd.DataFrame) -> str:
        """Keep a table as parquet; returns its key."""
        return self.write(task_id, name, frame_bytes(frame))

    def write_json(self, task_id: str, name: str, value: Any) -> str:
        """Keep a value as JSON; returns its key."""
        return self.write(task_id, name, json.dumps(value, indent=2, allow_nan=False).encode())

    def write(self, task_id: str, name: str, data: bytes) -> str:
        """Keep a file; returns its key."""
        key = self.key(task_id, name)
        self.store.write(key, data)
        return key

    def read(self, key: str) -> bytes:
        """A file that an earlier stage kept."""
        return self.store.read(key).data

    def read_frame(self, key: str) -> pd.DataFrame:
        """A table that an earlier stage kept."""
        return pd.read_parquet(io.BytesIO(self.read(key)))

    def read_json(self, key: str) -> Any:
        """A value that an earlier stage kept."""
        return json.loads(self.read(key))


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def safe_key(run_id: str) -> str:
    """A run id as one part of an object key: Airflow's own as it is, a person's may hold anything.

    Two ids that differ only in other characters stay apart by a short hash.
    """
    cleaned = re.sub(r"[^A-Za-z0-9._:+-]", "-", run_id).strip(".") or "run"
    if cleaned == run_id:
        return cleaned
    return f"{cleaned}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def frame_bytes(frame: pd.DataFrame) -> bytes:
    """A table as parquet."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def content_sha256(frame: pd.DataFrame) -> str:
    """A hash of a table's values, whatever file they came in."""
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()


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
        return "unknown"
    return found.stdout.strip()
