"""What could not be searched for a customer: torn objects, and answers under a key not given."""

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from include.erasure.person import Person
from include.errors import DataError
from include.predictions.asked import CUSTOMER_KEY
from include.predictions.log import KEY_MARK
from include.predictions.log import PREFIX as LOG_PREFIX

NAMED = 5
UNMARKED = ""  # what a release that wrote no mark left


@dataclass
class Unsearched:
    """Of one pass, whose threads share it."""

    unreadable: set[str] = field(default_factory=set)
    _under: set[tuple[str, str]] = field(default_factory=set)  # a key's mark, and a day of the log

    def look_at_key(self, person: Person, key: str, data: bytes) -> None:
        """Remember an object of the log that names customers by none of the given keys."""
        if not (key.startswith(f"{LOG_PREFIX}/") and key.endswith(".parquet")):
            return
        file = pq.ParquetFile(pa.BufferReader(data))
        mark = (file.metadata.metadata or {}).get(KEY_MARK.encode(), UNMARKED.encode()).decode()
        if mark not in person.key_marks and _names_customers(file):
            self._under.add((mark, key.split("/")[1].removeprefix("date=")))

    def unmarked(self) -> str | None:
        """The days of which nobody can tell under which key they were logged."""
        return self._days(UNMARKED)

    def refuse(self, person: Person) -> None:
        """DataError where the customer may be left, with what to do."""
        told = []
        if self.unreadable:
            told.append(
                f"nobody knows whom {', '.join(sorted(self.unreadable)[:NAMED])} hold, of objects "
                f"that cannot be read {len(self.unreadable)}: look at them and delete them"
            )
        told += [
            f"answers of {self._days(mark)} are logged under another key (its mark is {mark}; of "
            f"those given: {', '.join(sorted(person.key_marks))}): give it, too, in "
            "CHURN_FORMER_ID_KEYS"
            for mark in sorted({mark for mark, _ in self._under} - {UNMARKED})
        ]
        if told:
            raise DataError(
                f"{'; '.join(told)}; then forget the customer again. Elsewhere nothing is left"
            )

    def _days(self, mark: str) -> str | None:
        days = [day for each, day in self._under if each == mark]
        return f"{min(days)} to {max(days)}" if days else None


def _names_customers(file: pq.ParquetFile) -> bool:
    if CUSTOMER_KEY not in file.schema_arrow.names:
        return False
    keys = file.read([CUSTOMER_KEY])[CUSTOMER_KEY]
    return bool(keys.null_count < len(keys))
