"""One customer, under the names by which each place knows them."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from include.contract import CUSTOMER_ID_CHARACTERS
from include.errors import ConfigurationError
from include.predictions.log import customer_key, hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_KEY = 2**63 - 1  # of a BIGINT


@dataclass(frozen=True)
class Person:
    """A customer: the number in the tables, and what stands for it in the prediction log."""

    text: str  # as it was given, which is how callers may have sent it
    number: int | None  # None where it is no number, and so in no table
    log_keys: tuple[str, ...]
    log_hashes: "NDArray[np.uint64]"

    @property
    def texts(self) -> frozenset[str]:
        """The number as tables of texts have it; a column with gaps was one of floats."""
        if self.number is None:
            return frozenset({self.text})
        return frozenset({self.text, str(self.number), f"{self.number}.0"})

    def is_in(self, text: str) -> bool:
        """Whether a text of somebody else's names the customer."""
        return any(re.search(rf"(?<!\w){re.escape(each)}(?!\w)", text) for each in self.texts)


def person_of(given: str, id_key: bytes) -> Person:
    """The customer of a number, or of another id that callers of the API sent."""
    text = given.strip()
    if not 0 < len(text) <= CUSTOMER_ID_CHARACTERS:
        raise ConfigurationError(
            f"name the customer: expected a number, or a text of 1 to {CUSTOMER_ID_CHARACTERS} "
            f"characters as it was sent to the API, found {len(text)} characters"
        )
    number = int(text) if re.fullmatch(r"-?\d+", text, re.ASCII) else None
    if number is not None and abs(number) > LARGEST_KEY:
        number = None
    names = dict.fromkeys([text, *([] if number is None else [str(number)])])
    keys = tuple(customer_key(name, id_key) for name in names)
    return Person(text, number, keys, hashes(pa.array(keys), np.zeros(len(keys), np.uint64)))
