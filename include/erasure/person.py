"""One customer, under the names by which each place knows them."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from include.contract import CUSTOMER_ID_CHARACTERS
from include.errors import ConfigurationError
from include.predictions.log import customer_key, hashes, key_mark

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_KEY = 2**63 - 1  # of a BIGINT


@dataclass(frozen=True)
class Person:
    """A customer: the number in the tables, and what stands for it in the prediction log."""

    text: str  # as it was given, which is how callers may have sent it
    number: int | None  # None where no table has it
    log_keys: tuple[str, ...]  # one for each key that was given
    log_hashes: "NDArray[np.uint64]"
    key_marks: frozenset[str]
    texts: frozenset[str]  # as tables of texts have it; a column with gaps was one of floats

    def is_in(self, text: str) -> bool:
        """Whether a text of somebody else's names the customer."""
        return any(
            re.search(rf"(?<!\w){re.escape(each)}(?!\w)", text) for each in {self.text, *self.texts}
        )


def person_of(given: str, *id_keys: bytes, log_only: bool = False) -> Person:
    """The customer of a number, or `log_only` of an id that callers of the API sent, to the letter.

    `id_keys` are those of the prediction log, the present one and earlier ones.
    ConfigurationError for what is in no table, and for zeros before it: that may be another's id.
    """
    text = given if log_only else given.strip()
    if not text.strip() or not 0 < len(text) <= CUSTOMER_ID_CHARACTERS:
        raise ConfigurationError(
            f"name the customer: expected a number, or a text of 1 to {CUSTOMER_ID_CHARACTERS} "
            f"characters as API_ID=… (--log-only), found {len(text)} characters"
        )
    number = None if log_only else _number(text)
    keys = tuple(customer_key(text, each) for each in id_keys)
    own = () if log_only else (text, f"{text}.0")
    hashed = hashes(pa.array(keys), np.zeros(len(keys), np.uint64))
    marks = frozenset(map(key_mark, id_keys))
    return Person(text, number, keys, hashed, marks, frozenset(own))


def _number(text: str) -> int:
    number = int(text) if re.fullmatch(r"-?\d+", text, re.ASCII) else None
    if number is None or abs(number) > LARGEST_KEY:
        found = "a text that can be none"
    elif str(number) != text:
        found = "zeros before it: leave them out"
    else:
        return number
    raise ConfigurationError(
        f"expected the customer's number as the tables have it, such as 708082083, found {found}; "
        "nothing was erased. An id that callers of the API sent is API_ID=… (--log-only)"
    )
