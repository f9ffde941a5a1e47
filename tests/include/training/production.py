"""What must hold of whatever is in production, after every test."""

from include.champion import promotion, versions
from include.champion.history import UNKNOWN, HistoryReader, Move
from include.champion.onnx_scorer import Scorer, check_answers
from include.champion.registry import Registry
from include.store import LocalStore


def assert_whole(store: LocalStore, registry: Registry, version: str) -> None:
    """The version is in production and recorded, its files are the manifest's, and it answers."""
    production = promotion.read_production(store, registry)
    assert production.pointer is not None
    assert (production.version, production.alias) == (version, version)
    manifest = versions.read_manifest(store, production.pointer)
    files = versions.read_files(store, manifest, manifest.files)
    latest = HistoryReader(store).latest(1, pointer=None).moves[0]
    assert latest == Move.of(production.pointer, who=latest.who) and latest.who != UNKNOWN
    check_answers(Scorer(files[versions.MODEL_FILE]), files[versions.SELF_CHECK_FILE])
