"""How many clients each worker of a machine has, so that a new one goes where there are fewest.

Workers share one listening socket, and the kernel gives a client to whoever asks first: sixteen
clients that come at once often all went to the worker that was awake, and the other idled.
"""

import mmap
import resource

ABSENT = -1
CLIENTS_MAX, CLIENTS_MIN = 1000, 16
OTHER_FILES = 100  # a worker's own: the listener, the spool, the store, libraries, metrics


def clients_max(open_files: int) -> int:
    """How many clients a worker may have that may hold so many files open at once."""
    if open_files == resource.RLIM_INFINITY:
        return CLIENTS_MAX
    return max(CLIENTS_MIN, min(CLIENTS_MAX, open_files - OTHER_FILES))


class ConnectionShares:
    """One count for each worker, in memory that the master shares with all of them.

    The master gives a place to each worker before it forks it and takes it back when it has ended,
    however it ended, so that no count outlives its worker.
    """

    def __init__(self, places: int) -> None:
        self._memory = mmap.mmap(-1, 4 * places)
        self._counts = memoryview(self._memory).cast("i")
        self._taken: dict[int, int] = {}  # place by the worker's age; only the master's is whole
        for place in range(places):
            self._counts[place] = ABSENT

    def join(self, age: int) -> "ConnectionShare | None":
        """A place for the worker of that age; None when all are taken."""
        free = set(range(len(self._counts))) - set(self._taken.values())
        if not free:
            return None
        self._taken[age] = min(free)
        return ConnectionShare(self._counts, self._taken[age])

    def leave(self, age: int) -> None:
        """Take the place of a worker that has ended."""
        place = self._taken.pop(age, None)
        if place is not None:
            self._counts[place] = ABSENT


class ConnectionShare:
    """One worker's count among the others'."""

    def __init__(self, counts: "memoryview[int]", place: int) -> None:
        self._counts = counts
        self._place = place

    def publish(self, clients: int) -> None:
        """Let the others know how many clients this worker has."""
        self._counts[self._place] = clients

    def leave(self) -> None:
        """Take no more clients."""
        self._counts[self._place] = ABSENT

    def above_another(self) -> bool:
        """Whether another worker that takes clients has fewer."""
        mine = self._counts[self._place]
        return any(0 <= count < mine for count in self._counts)
