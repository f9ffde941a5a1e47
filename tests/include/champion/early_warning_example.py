"""Made-up figures of early warning: a model beside the naive rule and the champion before it."""

from datetime import date

import pandas as pd

from include.champion.early_warning import EarlyWarning, LeadTimes, LeavingMonth, OlderMonth
from include.target import Target

TARGET = Target(kind="horizon", gap_days=14, horizon_days=90)
SPANS = ("15–30", "31–60", "61–104")
MONTHS = [str(month) for month in pd.period_range("2025-10", "2026-09", freq="M")]


def lead_times(roc_auc: float, *recall: float) -> LeadTimes:
    """How one ranking does."""
    found = dict(zip(SPANS, recall, strict=True))
    return LeadTimes(roc_auc=roc_auc, top_decile_lift=10 * recall[1], recall=found)


def leaving_month(place: int, month: str) -> LeavingMonth:
    """The first two months have no snapshot that lies 90 days back."""
    late = {"90": None if place < 2 else 0.38 + 0.01 * place}
    return LeavingMonth(
        month=month,
        leavers=140 + place,
        model={"30": 0.66 + 0.01 * place, "60": 0.55, **late},
        baseline={"30": 0.41, "60": 0.3, "90": None if place < 2 else 0.22},
    )


EARLY = EarlyWarning(
    target=TARGET,
    as_of=date(2026, 6, 1),
    rows=1912,
    leavers={"15–30": 21, "31–60": 34, "61–104": 52},
    list_share=0.1,
    listed=191,
    model=lead_times(0.871, 0.76, 0.62, 0.44),
    baseline=lead_times(0.702, 0.48, 0.32, 0.25),
    older=tuple(
        OlderMonth(
            as_of=date(2026, month, 1),
            rows=1900 + month,
            leavers=100 + month,
            model=0.86 + month / 1000,
            baseline=0.69,
        )
        for month in (2, 3, 4, 5)
    ),
    months=tuple(leaving_month(place, month) for place, month in enumerate(MONTHS)),
)
COMPARED = EARLY.model_copy(
    update={
        "champion": lead_times(0.858, 0.71, 0.6, 0.4),
        "months": (),
        "older": tuple(m.model_copy(update={"champion": 0.85}) for m in EARLY.older[-2:]),
    }
)
