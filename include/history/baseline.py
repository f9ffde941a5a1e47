"""The naive rule that early warning must beat: months inactive and the fall in transactions."""

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

INACTIVE = "Months_Inactive_12_mon"
CHANGE = "Total_Ct_Chng_Q4_Q1"  # transactions of the last quarter over those of the first
SIGNS = (INACTIVE, CHANGE)


def naive_scores(snapshot: "pd.DataFrame") -> "NDArray[np.float64]":
    """How likely the customers of one snapshot are to leave by the naive rule: 0 to 1, higher more.

    The mean of two ranks among them, each as a share: of the months inactive, and of how far
    transactions fell. It has nothing to fit, and knows no unit.
    """
    inactive = rankdata(snapshot[INACTIVE].to_numpy(dtype=np.float64))
    fallen = rankdata(-snapshot[CHANGE].to_numpy(dtype=np.float64))
    scores: NDArray[np.float64] = (inactive + fallen) / (2 * max(len(snapshot), 1))
    return scores
