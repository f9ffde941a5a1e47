"""How early a version sees leavers, in Markdown: for the model card and for MLflow."""

from collections.abc import Iterable, Iterator, Sequence

from include.champion.early_warning import EarlyWarning, LeavingMonth
from include.training.ingest_data import Ingested

LOST = "–"


def early_section(found: EarlyWarning) -> str:
    """The card's part on early warning."""
    spans = [
        (
            name,
            f"{leavers:,}",
            _share(found.model.recall[name]),
            _share(found.baseline.recall[name]),
        )
        for name, leavers in found.leavers.items()
    ]
    older = [
        (str(m.as_of), f"{m.rows:,}", f"{m.leavers:,}", f"{m.model:.4f}", f"{m.baseline:.4f}")
        for m in found.older
    ]
    return "\n".join(
        [
            "## How early it warns\n",
            f"Of {found.rows:,} customers as of {found.as_of} whom it never saw, the first "
            f"{found.listed:,} are its list ({found.list_share:.0%}). Beside it the naive rule, "
            "which ranks by months inactive and the fall in transactions. In the first tenth "
            f"leavers are {found.model.top_decile_lift:.2f} times as frequent as among all, by the "
            f"naive rule {found.baseline.top_decile_lift:.2f} times; the rule's ROC-AUC is "
            f"{found.baseline.roc_auc:.4f}.\n",
            _table(("left so many days later", "leavers", "on the list", "naive rule"), spans),
            "\nBy the month in which customers left: how many were on the list in the newest "
            "snapshot at least so many days before, and by the naive rule.\n",
            _months_table(found.months),
            "\nThe same customers in older months, which taught it by others: ROC-AUC.\n",
            _table(("as of", "customers", "leavers", "model", "naive rule"), older),
            "\n",
        ]
    )


def history_facts(ingested: Ingested) -> Iterator[str]:
    """Which months taught and judged, and which of their rows did not count."""
    months, out = ingested.months, ingested.left_out
    if months is None:
        return
    yield (
        f"- Months: {len(months.training)} teach, {_first_and_last(months.training)}; "
        f"{months.holdout} judges; {len(months.older)} older ones judge beside it. Exits are "
        f"usually known within {months.delay_days} days; the data reaches to {months.cutoff}"
    )
    yield (
        f"- Rows that do not count: {out.too_late:,} of who left within the first "
        f"{months.target.gap_days} days, too late for a call; {out.involuntary:,} of who had to "
        f"leave; {out.after_exit:,} of who had left already; {out.loaded_late:,} loaded too long "
        "after their day"
    )
    if ingested.assumed_rows:
        yield (
            f"- **Of {ingested.assumed_rows:,} rows nobody said when they were loaded**: they are "
            "taken as loaded on their day. If they were put together later, they may know what "
            "came after it, and the figures below flatter"
        )


def early_figures(found: EarlyWarning, champion: str | None) -> Iterator[str]:
    """The figures of the hold-out in a line each, beside the champion's and the naive rule's."""
    new, old, naive = found.model, found.champion, found.baseline
    rivals = [f"the naive rule: {naive.top_decile_lift:.2f}"]
    if old:
        rivals.insert(0, f"version {champion}: {old.top_decile_lift:.2f}")
    yield f"- ROC-AUC of the naive rule {naive.roc_auc:.4f}"
    yield f"- lift of the first tenth {new.top_decile_lift:.2f} ({', '.join(rivals)})"
    for span, leavers in found.leavers.items():
        rivals = [f"the naive rule: {_share(naive.recall[span])}"]
        if old:
            rivals.insert(0, f"version {champion}: {_share(old.recall[span])}")
        yield (
            f"- of {leavers:,} who left {span} days later, on a list of {found.list_share:.0%}: "
            f"{_share(new.recall[span])} ({', '.join(rivals)})"
        )


def early_metrics(found: EarlyWarning) -> dict[str, float]:
    """The same by names that MLflow takes."""
    recall = {
        f"recall_{span.replace('–', '_to_')}_days": value
        for span, value in found.model.recall.items()
        if value is not None
    }
    return {
        "top_decile_lift": found.model.top_decile_lift,
        "naive_roc_auc": found.baseline.roc_auc,
        "naive_top_decile_lift": found.baseline.top_decile_lift,
        **recall,
    }


def _months_table(months: Sequence[LeavingMonth]) -> str:
    days = list(months[0].model) if months else []
    head = ["left in", "leavers", *(f"{each} days before" for each in days)]
    rows = [
        (
            month.month,
            f"{month.leavers:,}",
            *(_beside(month.model[each], month.baseline[each]) for each in days),
        )
        for month in months
    ]
    return _table(head, rows)


def _beside(model: float | None, naive: float | None) -> str:
    return LOST if model is None else f"{_share(model)} ({_share(naive)})"


def _share(value: float | None) -> str:
    return LOST if value is None else f"{value:.1%}"


def _first_and_last(days: Sequence[object]) -> str:
    return f"{days[0]} to {days[-1]}" if len(days) > 1 else "".join(map(str, days))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
