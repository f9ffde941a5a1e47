"""Labels with a clock: which months are closed, which teach and which judge, and what a label is.

A label of a snapshot is known once its window has passed, and after it the usual delay until exits
are known, by the data's cut-off: the last moment of which the data says anything.
"""

from dataclasses import dataclass
from datetime import date

from include.target import Target


@dataclass(frozen=True)
class Months:
    """The days of the snapshots, by what they are for; each ascending.

    `holdout` is the newest closed one, judged on the hold-out share of the customers alone. The
    windows of `training` end by then, so that no training label depends on a day after it. `older`
    are closed ones before the hold-out, whose hold-out customers say how early leavers are seen.
    """

    target: Target
    cutoff: date
    delay_days: int  # usual, until an exit is known
    training: tuple[date, ...]
    older: tuple[date, ...]
    holdout: date
