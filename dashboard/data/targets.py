"""What the answers of a version say: who has left, or who will leave within so many days."""

import logging

from include.champion.versions import read_version
from include.errors import ChurnError
from include.store import Store
from include.target import STATE, Target

logger = logging.getLogger(__name__)


class Targets:
    """The targets of the versions asked for, read once for each: a version never changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[str, Target] = {}

    def read(self, version: str) -> Target:
        """A version's target; ChurnError where its manifest cannot be read."""
        if version not in self._found:
            self._found[version] = read_version(self._store, version)[0].target
        return self._found[version]

    def shown(self, version: str) -> Target:
        """The same for words on a page, which says less where it cannot be read."""
        try:
            return self.read(version)
        except ChurnError as error:
            logger.warning("what version %s predicts is unknown: %s", version, error)
            return STATE
