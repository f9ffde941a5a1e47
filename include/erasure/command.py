"""What a person is told who has a customer forgotten; nothing of it names the customer."""

from datetime import UTC, datetime

from include.customers.database import open_engine, shown_url
from include.customers.queries import column_types
from include.customers.table import published_contract
from include.erasure.forget import Forgotten, Places, forget
from include.erasure.person import person_of
from include.settings import Settings
from include.store import open_store

SPOOL_SECONDS = 20  # beyond the age at which answers are shipped


def run(settings: Settings, customer: str, *, asked_by: str) -> list[str]:
    """Forget a customer in the database and the store of the settings; what there is to tell."""
    person = person_of(customer, settings.customer_id_key())
    engine = open_engine(settings.resolved_database_url)
    places = Places(
        engine=engine,
        store=open_store(settings.resolved_store_uri),
        var_dir=settings.var_dir,
        spool_dir=settings.resolved_spool_dir,
        spool_seconds=settings.log_flush_seconds + SPOOL_SECONDS,
    )
    try:
        column_types(engine, published_contract())  # or a database would be made where none is
        done = forget(places, person, asked_by=asked_by, now=datetime.now(UTC))
    finally:
        engine.dispose()
    where = f"{shown_url(engine)} and {places.store.uri}"
    return [where, *_told(done), *_left(done, places)]


def _told(done: Forgotten) -> list[str]:
    rows = done.erasure.rows
    if not rows:
        return [
            "nobody of that number was found, so nothing was erased: look whether a digit is wrong",
            f"noted without a name in {done.key}",
        ]
    erased = [f"  {name:34} {count:>9,} erased" for name, count in sorted(rows.items())]
    return [*erased, "looked everywhere again: 0 left", f"noted without a name in {done.key}"]


def _left(done: Forgotten, places: Places) -> list[str]:
    """What still holds the customer, or may bring the customer back."""
    lines = [
        "What this cannot reach:",
        "  the bank's own system: a row that it loads again comes back, so erase it there, too",
        "  copies of database, store and disks: docs/personal-data.md says which there may be",
    ]
    if not places.spool_dir.exists():
        lines.append(
            "  answers that the API has not shipped yet, for its spool is not here: say it again "
            "when they are (prediction_log_pending_rows of its /metrics says how many wait)"
        )
    if done.recent_runs:
        lines.append(
            "  runs that wrote in the last hour may still be under way, and write what they read "
            f"before: say it again when they have ended ({', '.join(done.recent_runs)})"
        )
    if done.notes:
        lines.append(f"  notes on other customers that name the number: {done.notes}; edit them")
    return lines
