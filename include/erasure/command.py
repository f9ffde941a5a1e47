"""What a person is told who has a customer forgotten; nothing of it names the customer."""

from datetime import UTC, datetime

from include.customers.database import opened, shown_url
from include.customers.queries import column_types
from include.customers.table import published_contract
from include.erasure.files import UPLOADS
from include.erasure.forget import Forgotten, Places, forget
from include.erasure.person import person_of
from include.errors import ConfigurationError
from include.settings import Settings
from include.store import open_store

SPOOL_SECONDS = 20  # beyond the age at which answers are shipped


def run(settings: Settings, customer: str, *, asked_by: str, log_only: bool = False) -> list[str]:
    """Forget a customer in the database and the store of the settings; what there is to tell."""
    with opened(settings.resolved_database_url) as engine:
        places = Places(
            engine=engine,
            store=open_store(settings.resolved_store_uri),
            var_dir=settings.var_dir,
            spool_dir=settings.resolved_spool_dir,
            spool_seconds=settings.log_flush_seconds + SPOOL_SECONDS,
            airflow_database_url=settings.airflow_database_url.get_secret_value(),
        )
        column_types(engine, published_contract())  # or a database would be made where none is
        former = [each.get_secret_value().encode() for each in settings.former_id_keys]
        person = person_of(customer, _id_key(settings), *former, log_only=log_only)
        done = forget(places, person, asked_by=asked_by, now=datetime.now(UTC))
    where = f"{shown_url(engine)} and {places.store.uri}"
    return [where, *_told(done), *_left(done, places)]


def _id_key(settings: Settings) -> bytes:
    """The key of the log, which is not made here: a new one would find nobody."""
    kept = settings.var_dir / "id_key"
    if settings.id_key is None and not kept.exists():
        raise ConfigurationError(
            f"expected the key of the prediction log in CHURN_ID_KEY or {kept}, found neither: "
            "set CHURN_ID_KEY as the API has it, or the log would have nobody; nothing was erased"
        )
    return settings.customer_id_key()


def _told(done: Forgotten) -> list[str]:
    if not done.rows:
        return [
            "nothing of that customer was found: an earlier call erased all, or a digit is wrong",
            f"noted without a name in {done.key}",
        ]
    erased = [f"  {name:34} {count:>9,} erased" for name, count in sorted(done.rows.items())]
    return [*erased, "looked everywhere again: 0 left", f"noted without a name in {done.key}"]


def _left(done: Forgotten, places: Places) -> list[str]:
    """What still holds the customer, or may bring the customer back."""
    lines = [
        "What this cannot reach:",
        "  the bank's own system: a row that it loads again comes back, so erase it there, too",
        "  copies of database, store and disks: docs/personal-data.md says which there may be",
    ]
    if done.unmarked:
        lines.append(
            f"  answers of {done.unmarked}, if CHURN_ID_KEY was changed since: a release that did "
            "not say under which key has logged them; give earlier keys in CHURN_FORMER_ID_KEYS"
        )
    if not places.spool_dir.exists():
        lines.append(
            "  answers that the API has not shipped yet, if its spool is elsewhere: none is in "
            f"{places.spool_dir}; say it again when they are (prediction_log_pending_rows of its "
            "/metrics says how many wait)"
        )
    if not (places.var_dir / UPLOADS).exists():
        lines.append(
            "  files that were uploaded to the dashboard, if they are elsewhere: there are none in "
            f"{places.var_dir / UPLOADS}; they go after a day"
        )
    if done.under_way is None:
        lines.append(
            "  runs that are under way, and write what they read before: nobody here can ask "
            "Airflow for them (CHURN_AIRFLOW_DATABASE_URL); say it again when none is"
        )
    elif done.under_way:
        lines.append(
            "  runs that are under way, and write what they read before: say it again when they "
            f"have ended ({', '.join(sorted(done.under_way))})"
        )
    if done.notes:
        lines.append(f"  notes on other customers that name the number: {done.notes}; edit them")
    return lines
