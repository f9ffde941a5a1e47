"""A variable whose name differs from a setting's by a letter: a mistake that nobody would notice.

`CHURN_KEEP_PREDICTION_DAYS=3650` would keep predictions for the 400 days that are usual.
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from include.errors import ConfigurationError

PREFIX = "CHURN_"
ALIKE = 0.93  # one letter of fifteen; no two names of `.env.example` are as much alike


def refuse_misspelt(names: Iterable[str], settings: Collection[str]) -> None:
    """ConfigurationError where one of the names is almost a setting's; others are others' own."""
    unknown = {name for name in names if name.startswith(PREFIX)}.difference(settings)
    for name in sorted(unknown):
        for meant in get_close_matches(name, settings, n=1, cutoff=ALIKE):
            raise ConfigurationError(
                f"{name} is no setting, expected {meant}: write it so, or give yours another name"
            )
