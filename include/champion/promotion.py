"""What is in production, and how a version gets there: files, pointer, history, alias."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.champion import history, versions
from include.champion.onnx_scorer import Scorer, check_answers
from include.champion.registry import Registry
from include.champion.versions import Manifest, Pointer
from include.errors import ChampionError, ObjectNotFound, RegistryError
from include.store import Store

logger = logging.getLogger(__name__)

VERSIONS_NAMED = 10


@dataclass(frozen=True)
class Production:
    """What the store and the registry say is in production, read at one moment."""

    pointer: Pointer | None
    etag: str | None
    alias: str | None

    @property
    def version(self) -> str | None:
        """The version in production; None when there is no champion yet, or the pointer is lost."""
        return self.pointer.version if self.pointer else None

    @property
    def last_known(self) -> str | None:
        """The same, or what the alias still names where the pointer is lost."""
        return self.version or self.alias


def read_production(store: Store, registry: Registry, *, mending: bool = False) -> Production:
    """Read alias and pointer; unreadable ones raise, and only 'neither' means no champion yet.

    Who is `mending` gets a lost or unreadable pointer as none, under its etag.
    """
    alias = registry.champion()  # first: a promotion in between moves the pointer, then the alias
    try:
        found = store.read(versions.POINTER_KEY)
    except ObjectNotFound as error:
        if alias is None or mending:
            return Production(None, None, alias)
        raise RegistryError(
            f"the registry's alias champion names version {alias}, but {store.uri} has no "
            f"{versions.POINTER_KEY}: {versions.way_back(alias)}. If there really is no champion, "
            "delete the alias. Nothing is promoted until then"
        ) from error
    try:
        return Production(versions.parse_pointer(found, last=alias), found.etag, alias)
    except ChampionError:
        if mending:
            return Production(None, found.etag, alias)
        raise


def finish_move(store: Store, registry: Registry, production: Production, *, who: str) -> None:
    """Do what is left of an own move that was killed behind the pointer: history and alias."""
    if production.pointer is not None:
        history.record_move(store, production.pointer, who=who)
    repair_alias(registry, production)


def repair_alias(registry: Registry, production: Production) -> None:
    """Let the alias follow the pointer where it lags behind."""
    if production.version is not None and production.alias != production.version:
        logger.warning(
            "alias champion named version %s, the pointer %s: repaired",
            production.alias,
            production.version,
        )
        registry.set_champion(production.version)


def publish(store: Store, draft: Manifest, files: Mapping[str, bytes], *, version: str) -> Pointer:
    """Write a version into the store, once; a repeated promotion finds its own earlier work."""
    if any(True for _ in store.list(versions.version_key(version, versions.MANIFEST_FILE))):
        stored, digest = versions.read_version(store, version)
        if _origin(stored) != _origin(draft):
            raise ChampionError(
                f"version {version} in {store.uri} is {_origin(stored)}, not {_origin(draft)}: "
                "does another MLflow server share this store, or was the registry set back?"
            )
        return versions.pointer_to(stored, digest)
    manifest = draft.model_copy(update={"version": version})
    return versions.write_version(store, manifest, files)


def _origin(manifest: Manifest) -> str:
    return f"candidate {manifest.candidate_version} of MLflow run {manifest.run_id}"


def read_whole_version(store: Store, version: str) -> tuple[Manifest, str]:
    """Manifest and hash of a version whose every file is right and whose graph answers rightly."""
    _check_known(store, version)
    manifest, digest = versions.read_version(store, version)
    if manifest.version != version:
        raise ChampionError(
            f"the manifest of version {version!r} says {manifest.version!r}: somebody copied a "
            "version by hand; take another one"
        )
    files = versions.read_files(store, manifest, manifest.files)
    check_answers(Scorer(files[versions.MODEL_FILE]), files[versions.SELF_CHECK_FILE])
    return manifest, digest


def _check_known(store: Store, version: str) -> None:
    prefix = f"{versions.VERSIONS_PREFIX}/"
    found = {info.key.removeprefix(prefix).partition("/")[0] for info in store.list(prefix)}
    if version in found:
        return
    newest = ", ".join(sorted(found, key=versions.version_order)[-VERSIONS_NAMED:])
    there = (
        f"the newest there are {newest}: choose one of them" if found else "none is: train first"
    )
    raise ChampionError(f"version {version!r} is not in {store.uri}; {there}")


def put_in_production(
    store: Store,
    registry: Registry,
    version: str,
    *,
    production: Production,
    who: str,
    reason: str,
    now: datetime,
) -> Pointer:
    """Move pointer and alias to a version that is whole and answers its self-check rows.

    The history keeps the move with `who`, a person or a training run, and `reason`.
    Raises ObjectChanged when the pointer is no longer the one in `production`, ChampionError when
    the version does not exist or fails a check; in both cases production stays as it is.
    """
    manifest, digest = read_whole_version(store, version)
    if production.pointer is not None:
        # Whoever moved it may have been killed behind the pointer: after this it tells no more.
        history.record_move(store, production.pointer, who=history.UNKNOWN)
        # Two machines' clocks differ, and a try that lost a race is older than the winner.
        now = max(now, production.pointer.promoted_at + timedelta(microseconds=1))
    moved = versions.move_pointer(
        store,
        versions.pointer_to(manifest, digest),
        etag=production.etag,
        previous=production.last_known if production.last_known != version else None,
        reason=reason,
        now=now,
    )
    history.record_move(store, moved, who=who)
    registry.set_champion(version)
    return moved
