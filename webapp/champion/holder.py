"""The champion holder: watches the pointer, and swaps champions between two requests."""

import logging
import random
import re
import threading
import time
from collections.abc import Callable

from include.champion.versions import (
    POINTER_KEY,
    Pointer,
    parse_pointer,
    read_files,
    read_manifest_and_bytes,
    way_back,
)
from include.errors import ChampionError, ChurnError, ObjectNotFound, StoreError
from include.store import Store, StoredObject
from webapp.champion.last_good import LastGood
from webapp.champion.served_champion import SERVING_FILES, ServedChampion, load

logger = logging.getLogger(__name__)

JITTER_SHARE = 0.2  # workers that started together drift apart
REFUSED_AGAIN_SECONDS = 300  # what is refused or gone may be mended, but hardly within seconds
STORE_HEAD_START_SECONDS = 1.0  # at start the store may answer first; then the local copy serves


class ChampionHolder:
    """Holds the champion that answers; one reference, replaced only by a better checked one."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        last_good: LastGood,
        *,
        poll_seconds: float,
        record: Callable[[str, ServedChampion | None], None],
    ) -> None:
        self.champion: ServedChampion | None = None
        self._open_store = open_store
        self._store: Store | None = None
        self._last_good = last_good
        self._poll_seconds = poll_seconds
        self._record = record
        self._etag: str | None = None
        self._refused: str | None = None  # the etag of a pointer that was not followed
        self._refused_until = 0.0  # of time.monotonic(); then it is tried again
        self._told_until = 0.0  # of time.monotonic(); then a missing pointer is told of again
        self._reported_troubles: set[str] = set()
        self._swapping = threading.Lock()
        self._polled = threading.Event()
        self._settled = threading.Event()

    def start(self) -> None:
        """Watch the pointer from now on; a store that does not answer delays nobody but itself."""
        for target in (self._watch, self._settle):
            threading.Thread(target=target, name=f"champion{target.__name__}", daemon=True).start()

    def wait_until_settled(self, seconds: float) -> None:
        """Wait until the first champion serves, or it is known that there is none to be had now."""
        self._settled.wait(seconds)

    def poll(self) -> None:
        """Look at the pointer once, and follow it if it moved."""
        try:
            self._store = self._store or self._open_store()
            waits = self._refused if time.monotonic() < self._refused_until else None
            found = self._store.read_if_changed(POINTER_KEY, waits or self._etag)
            if found is not None:
                self._follow(self._store, found)
            self._told_until = 0.0
            self._store_answered()
        except ObjectNotFound:
            self._store_answered()
            self._pointer_missing()
        except ChurnError as error:
            self._store_failed(error)

    def _follow(self, store: Store, found: StoredObject) -> None:
        try:
            pointer = parse_pointer(found)
            if not self._serves(pointer):
                self._swap(self._loaded(store, pointer))
        except ChampionError as error:
            # A StoreError, in contrast, is no verdict on the version: the next look decides.
            self._refused = found.etag
            self._refused_until = time.monotonic() + REFUSED_AGAIN_SECONDS
            self._record("refused", None)
            serves = f"version {self.champion.version} keeps" if self.champion else "none is"
            logger.error(
                "refused the champion that the pointer names, %s serving: %s", serves, error
            )
            return
        self._etag, self._refused = found.etag, None

    def _serves(self, pointer: Pointer) -> bool:
        champion = self.champion
        return champion is not None and (
            champion.pointer.manifest_sha256 == pointer.manifest_sha256
        )

    def _loaded(self, store: Store, pointer: Pointer) -> ServedChampion:
        manifest, data = read_manifest_and_bytes(store, pointer)
        files = read_files(store, manifest, SERVING_FILES)
        champion = load(pointer, manifest, files)
        self._last_good.keep(pointer, data, files)
        return champion

    def _swap(self, champion: ServedChampion) -> None:
        with self._swapping:
            before, self.champion = self.champion, champion
        self._record("loaded", champion)
        logger.info(
            "serving version %s, before it %s",
            champion.version,
            before.version if before else "none",
        )

    def _watch(self) -> None:
        while True:
            try:
                self.poll()
            except Exception:  # this thread is the only one that can notice a new champion
                logger.exception("looking at the champion pointer failed")
            self._polled.set()
            time.sleep(self._poll_seconds * random.uniform(1 - JITTER_SHARE, 1 + JITTER_SHARE))

    def _settle(self) -> None:
        """At start, serve the local copy unless the store answers at once with something."""
        self._polled.wait(STORE_HEAD_START_SECONDS)
        try:
            if self.champion is None:
                self.serve_last_good()
            if self.champion is None:
                self._polled.wait()
        finally:
            self._settled.set()

    def serve_last_good(self) -> None:
        """Serve the local copy, if there is one and nothing else serves."""
        try:
            pointer, manifest, files = self._last_good.read()
            champion = load(pointer, manifest, files)
        except StoreError:
            return
        except ChampionError as error:
            logger.error("the local copy of the last champion is of no use: %s", error)
            return
        with self._swapping:
            if self.champion is not None:
                return
            self.champion = champion
        self._record("local", champion)
        told = "serving version %s from the local copy until the store has one that is whole"
        logger.warning(told, champion.version)

    def _pointer_missing(self) -> None:
        champion = self.champion
        # Before the first promotion there is none; once there was one, somebody removed it.
        if champion is None or time.monotonic() < self._told_until:
            return
        self._told_until = time.monotonic() + REFUSED_AGAIN_SECONDS
        self._record("missing", None)
        logger.error(
            "%s is gone from the store; version %s keeps serving, after a restart from the local "
            "copy alone: %s",
            POINTER_KEY,
            champion.version,
            way_back(champion.version),
        )

    def _store_failed(self, error: ChurnError) -> None:
        # Once for each trouble whatever its figures: an outage of hours is no thousand lines.
        trouble = re.sub(r"\d+", "", str(error))
        if trouble in self._reported_troubles:
            return
        self._reported_troubles.add(trouble)
        self._record("unreachable", None)
        serving = "serving goes on" if self.champion else "nothing is served yet"
        logger.warning("cannot look at the champion pointer, %s: %s", serving, error)

    def _store_answered(self) -> None:
        if self._reported_troubles:
            logger.info("the champion pointer can be read again")
            self._reported_troubles.clear()
