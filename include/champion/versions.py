"""The champion in the store: immutable versions, and one small pointer to the one in production."""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import AwareDatetime, Field, model_validator

from include.champion.calibration import Calibration
from include.champion.early_warning import EarlyWarning
from include.champion.fairness import Fairness
from include.contract import Contract
from include.documents import Document, parse_document, sha256
from include.errors import ChampionError, ChurnError, ObjectNotFound
from include.features import SplitRule
from include.store import Store, StoredObject
from include.target import STATE, Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

POINTER_KEY = "champion/current.json"
VERSIONS_PREFIX = "champion/versions"

MODEL_FILE = "model.onnx"
TREES_FILE = "trees.ubj"
REFERENCE_FILE = "reference.parquet"
SELF_CHECK_FILE = "self_check.json"
EVALUATION_FILE = "evaluation.json"
CARD_FILE = "model_card.md"
MANIFEST_FILE = "manifest.json"
VERSION_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # one part of an object key
SELF_CHECK_TOLERANCE = 1e-5


class ChampionDocument(Document):
    """A document without which a version cannot be trusted."""

    fault: ClassVar[type[ChurnError]] = ChampionError


class Pointer(ChampionDocument):
    """`champion/current.json`: what is in production."""

    version: str = Field(pattern=VERSION_PATTERN)
    manifest_key: str
    manifest_sha256: str
    promoted_at: AwareDatetime
    run_id: str = Field(description="the MLflow run that made the version")
    previous: str | None = Field(description="the version before this one, if any")
    reason: str

    @model_validator(mode="after")
    def _manifest_of_the_version(self) -> Self:
        expected = version_key(self.version, MANIFEST_FILE)
        if self.manifest_key != expected:
            raise ValueError(f"manifest_key must be {expected}, found {self.manifest_key[:80]!r}")
        return self


class FileEntry(ChampionDocument):
    """One file of a version."""

    sha256: str
    size: int = Field(ge=0)


class Manifest(ChampionDocument):
    """`champion/versions/<version>/manifest.json`: all that a reader of the version must know."""

    version: str
    created_at: AwareDatetime
    snapshot_at: AwareDatetime = Field(description="when the customer table was read")
    run_id: str = Field(description="the MLflow run")
    dag_run_id: str
    candidate_version: str = Field(description="the version in the registry's churn_model")
    model_family: str
    target: Target = STATE
    target_reason: str = Field(default="", description="why this target, for people")
    listed_customers: Literal["left_out", "used"] | None = Field(
        default=None, description="campaigns.listed_customers; not known of earlier releases"
    )
    columns: tuple[str, ...] = Field(description="the model's raw input columns, in order")
    engineered: tuple[str, ...] = Field(description="the engineered features that follow them")
    threshold: float = Field(ge=0, le=1)
    calibration: Calibration
    scaler_mean: tuple[float, ...]
    scaler_scale: tuple[float, ...]
    resampling: str = Field(description="what was done, whatever params.yaml asks for")
    class_weight: str = "none"
    balancing: str = Field(default="", description="the two, and why, for people")
    reference_rows: int | None = Field(
        default=None, description="customers in reference.parquet: all, or a sample of very many"
    )
    split: SplitRule = Field(description="tells for ever which customers it was trained on")
    training_rows: int
    training_attrited_share: float
    metrics: dict[str, float | None]
    gate: dict[str, Any] = Field(description="the gate's decision, as in gate.json")
    trigger: dict[str, Any] = Field(description="why the run was started")
    data_sha256: str
    params_sha256: str
    git_commit: str
    contract: Contract
    files: dict[str, FileEntry]

    @property
    def record_columns(self) -> tuple[str, ...]:
        """Those that every record must have.

        Drift is tested on these alone: on a day when callers leave out others, nobody has changed.
        """
        return tuple(name for name in self.columns if name not in self.contract.defaults)

    @model_validator(mode="after")
    def _columns_in_contract(self) -> Self:
        unknown = set(self.columns) - set(self.contract.feature_names)
        if unknown or not self.columns:
            raise ValueError(f"columns outside the contract: {sorted(unknown)}")
        return self


class SelfCheck(ChampionDocument):
    """Made-up rows with the answers that the version must give wherever it is loaded."""

    columns: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    probabilities: tuple[float, ...]

    @model_validator(mode="after")
    def _as_many_answers_as_rows(self) -> Self:
        if len(self.rows) != len(self.probabilities) or not self.rows:
            raise ValueError("one answer for each row, and at least one row")
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("each row has one value for each column")
        return self

    def check(
        self, score: "Callable[[NDArray[np.float64]], NDArray[np.float64]]", *, by: str
    ) -> None:
        """Have the rows answered anew; ChampionError where an answer differs."""
        answers = score(np.array(self.rows, dtype=np.float64))
        worst = float(np.max(np.abs(answers - np.array(self.probabilities))))
        if not worst <= SELF_CHECK_TOLERANCE:  # NaN must fail too
            raise ChampionError(
                f"the answers of {by} to the self-check rows differ by up to {worst:.2g} from the "
                f"stored ones, allowed is {SELF_CHECK_TOLERANCE:g}: this machine computes another "
                "model"
            )


class Evaluation(ChampionDocument):
    """`evaluation.json`: how good a version is on its hold-out, for the dashboard."""

    threshold: float
    holdout_rows: int
    metrics: dict[str, float]
    curves: dict[str, Any]
    slices: list[dict[str, Any]]
    importance: dict[str, float] = Field(description="share of the trees' total gain")
    early_warning: EarlyWarning | None = Field(default=None, description="of a horizon alone")
    fairness: tuple[Fairness, ...] = ()


def read_pointer(store: Store) -> tuple[Pointer, str] | None:
    """The pointer and its etag; None only when the store says that there is none."""
    try:
        found = store.read(POINTER_KEY)
    except ObjectNotFound:
        return None
    return parse_pointer(found), found.etag


def read_production_manifest(store: Store) -> Manifest | None:
    """The manifest of the version in production; None where there is none yet."""
    found = read_pointer(store)
    return read_manifest(store, found[0]) if found else None


def parse_pointer(found: StoredObject, *, last: str | None = None) -> Pointer:
    """The pointer in an object; ChampionError when it is not one. `last` as for `way_back`."""
    try:
        return parse_document(Pointer, found.data, POINTER_KEY)
    except ChampionError as error:
        raise ChampionError(f"{error}: {way_back(last)}") from error


def way_back(last: str | None) -> str:
    """What to do about a lost pointer; `last` is the version in production, where it is known."""
    return (
        f'`make rollback VERSION={last or "…"} REASON="…"`, or the DAG churn_rollback, puts the '
        "pointer back to any version that is whole"
    )


def read_manifest(store: Store, pointer: Pointer) -> Manifest:
    """The manifest that the pointer names, checked against the pointer's hash."""
    return read_manifest_and_bytes(store, pointer)[0]


def read_manifest_and_bytes(store: Store, pointer: Pointer) -> tuple[Manifest, bytes]:
    """The same with the bytes that the hash belongs to, for a copy under the same pointer."""
    data = _existing(store, pointer.manifest_key)
    if sha256(data) != pointer.manifest_sha256:
        raise ChampionError(
            f"{pointer.manifest_key} has sha256 {sha256(data)}, the pointer expects "
            f"{pointer.manifest_sha256}: the version was changed after promotion, roll back"
        )
    manifest = parse_document(Manifest, data, pointer.manifest_key)
    if manifest.version != pointer.version:
        raise ChampionError(
            f"the pointer names version {pointer.version}, its manifest {manifest.version}"
        )
    return manifest, data


def read_version(store: Store, version: str) -> tuple[Manifest, str]:
    """Any version's manifest and the manifest's hash, whether in production or not."""
    key = version_key(version, MANIFEST_FILE)
    data = _existing(store, key)
    return parse_document(Manifest, data, key), sha256(data)


def read_files(store: Store, manifest: Manifest, names: Iterable[str]) -> dict[str, bytes]:
    """Files of a version, each checked against the manifest before anybody parses it."""
    files = {}
    for name in names:
        key = version_key(manifest.version, name)
        entry = manifest.files.get(name)
        if entry is None:
            raise ChampionError(f"the manifest of version {manifest.version} lists no {name}")
        data = _existing(store, key)
        if sha256(data) != entry.sha256 or len(data) != entry.size:
            raise ChampionError(
                f"{key} has {len(data)} bytes with sha256 {sha256(data)}, the manifest expects "
                f"{entry.size} with {entry.sha256}: the file is torn or was tampered with"
            )
        files[name] = data
    return files


def read_evaluation(store: Store, manifest: Manifest) -> Evaluation:
    """How good a version was on its hold-out; ChampionError where it does not say."""
    data = read_files(store, manifest, [EVALUATION_FILE])[EVALUATION_FILE]
    key = version_key(manifest.version, EVALUATION_FILE)
    return parse_document(Evaluation, data, key, any_release=True)


def write_version(store: Store, manifest: Manifest, files: Mapping[str, bytes]) -> Pointer:
    """Write a version's files and then its manifest, each once; repeating it changes nothing.

    Returns the pointer that would put the version into production, with no previous version yet.
    """
    for name, entry in manifest.files.items():
        if sha256(files[name]) != entry.sha256:
            raise ChampionError(f"{name} is not the file that the manifest describes")
        store.create(version_key(manifest.version, name), files[name])
    key = version_key(manifest.version, MANIFEST_FILE)
    data = manifest.to_bytes()
    store.create(key, data)
    return pointer_to(manifest, sha256(data))


def pointer_to(manifest: Manifest, digest: str) -> Pointer:
    """The pointer that would put a version into production; `digest` is its manifest's hash."""
    return Pointer(
        version=manifest.version,
        manifest_key=version_key(manifest.version, MANIFEST_FILE),
        manifest_sha256=digest,
        promoted_at=manifest.created_at,
        run_id=manifest.run_id,
        previous=None,
        reason="",
    )


def move_pointer(
    store: Store,
    pointer: Pointer,
    *,
    etag: str | None,
    previous: str | None,
    reason: str,
    now: datetime,
) -> Pointer:
    """Put a version into production if the pointer still is the one read as `etag`.

    Raises ObjectChanged when somebody else moved it in the meantime.
    """
    moved = pointer.model_copy(update={"previous": previous, "reason": reason, "promoted_at": now})
    store.replace(POINTER_KEY, moved.to_bytes(), etag=etag)
    logger.info("champion moved from version %s to %s: %s", previous, moved.version, reason)
    return moved


def file_entries(files: Mapping[str, bytes]) -> dict[str, FileEntry]:
    """What a manifest says of its files."""
    return {n: FileEntry(sha256=sha256(data), size=len(data)) for n, data in sorted(files.items())}


def version_order(version: str) -> tuple[int, str]:
    """What sorts versions by their numbers: 10 comes after 9."""
    return len(version), version


def version_key(version: str, name: str) -> str:
    """Where a version keeps a file."""
    return f"{VERSIONS_PREFIX}/{version}/{name}"


def _existing(store: Store, key: str) -> bytes:
    try:
        return store.read(key).data
    except ObjectNotFound as error:
        raise ChampionError(
            f"{key} is missing in {store.uri}, and a version without it is not whole: "
            "restore it from a backup, or roll back to another version"
        ) from error
