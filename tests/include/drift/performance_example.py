"""A made-up performance.json: version 1 keeps its promise and then loses, version 2 is not ripe."""

from datetime import UTC, date, datetime, timedelta

from include.drift.performance import (
    CalibrationGroup,
    Estimate,
    Figure,
    Performance,
    Realised,
    Version,
    VersionWeek,
    WeekVerdict,
)

MONDAY = date(2026, 5, 4)


def about(value: float, half: float) -> Figure:
    """A figure in the middle of its interval."""
    return Figure(value=value, low=value - half, high=value + half)


def estimate(customers: int, *, roc_auc: float = 0.961) -> Estimate:
    """What the probabilities promise of so many."""
    return Estimate(
        customers=customers,
        left=0.16 * customers,
        left_share=about(0.16, 0.012),
        roc_auc=about(roc_auc, 0.008),
        recall=about(0.83, 0.04),
        brier=about(0.052, 0.005),
    )


def realised(customers: int, *, roc_auc: float) -> Realised:
    """What came of so many."""
    left = round(0.17 * customers)
    groups = [
        CalibrationGroup(customers=customers // 5, probability=0.1 + 0.2 * i, left_share=0.2 * i)
        for i in range(5)
    ]
    return Realised(
        customers=customers,
        left=left,
        left_share=about(left / customers, 0.015),
        roc_auc=about(roc_auc, 0.012),
        recall=about(roc_auc - 0.14, 0.05),
        brier=about(1.02 - roc_auc, 0.006),
        calibration_slope=about(roc_auc - 0.02, 0.11),
        calibration_groups=tuple(groups),
    )


def version_week(
    version: str, weeks: int, *, customers: int, ripe: int, roc_auc: float, verdict: WeekVerdict
) -> VersionWeek:
    """A version's week, so many after the first."""
    begins = MONDAY + timedelta(weeks=weeks)
    year, week, _ = begins.isocalendar()
    return VersionWeek(
        version=version,
        week=f"{year}-W{week:02}",
        begins=begins,
        ripe_on=begins + timedelta(days=7 + 90 + 14),
        customers=customers,
        ripe=ripe,
        called=customers - ripe - 9 if ripe else 0,
        gone_before=2 if ripe else 0,
        unlabelled=7 if ripe else 0,
        estimate=estimate(customers),
        realised=realised(ripe, roc_auc=roc_auc) if ripe else None,
        estimate_of_ripe=estimate(ripe) if ripe else None,
        verdict=verdict,
        explanation={
            "unripe": "outcomes are known from 2026-09-14 on",
            "too_few_ripe": "120 customers are ripe, 500 are needed (drift.performance.ripe_min)",
            "kept": "ROC-AUC 0.959 (0.947 to 0.971) of 2,900 ripe customers, promised was 0.964",
            "lost": "ROC-AUC 0.881 (0.869 to 0.893) of 2,800 ripe customers is below the 0.964 of "
            "the hold-out and the 0.961 (0.953 to 0.969) that the probabilities promised of them",
        }[verdict],
    )


EXAMPLE = Performance(
    as_of=datetime(2026, 9, 9, 0, 31, tzinfo=UTC),
    day=date(2026, 9, 8),
    outcome_days=90,
    label_days=14,
    confidence=0.95,
    ripe_min=500,
    leavers_min=50,
    loss_min=0.02,
    retrains=False,
    rows_without_customer=31,
    unreadable_objects=(),
    versions=(
        Version(
            version="1",
            champion=False,
            threshold=0.5,
            promised_roc_auc=0.964,
            promised_recall=0.84,
            promised_brier=0.05,
            judged_week="2026-W21",
            lost=True,
        ),
        Version(
            version="2",
            champion=True,
            threshold=0.5,
            promised_roc_auc=0.971,
            promised_recall=0.86,
            promised_brier=0.048,
            judged_week=None,
            lost=False,
        ),
    ),
    weeks=(
        version_week("1", 0, customers=3000, ripe=2900, roc_auc=0.959, verdict="kept"),
        version_week("1", 1, customers=2950, ripe=2850, roc_auc=0.955, verdict="kept"),
        version_week("1", 2, customers=2900, ripe=2800, roc_auc=0.881, verdict="lost"),
        version_week("1", 3, customers=130, ripe=120, roc_auc=0.87, verdict="too_few_ripe"),
        version_week("2", 4, customers=2000, ripe=0, roc_auc=0, verdict="unripe"),
        version_week("2", 5, customers=3100, ripe=0, roc_auc=0, verdict="unripe"),
    ),
)
