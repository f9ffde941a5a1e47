"""What the operators of `churn_scoring` call: light to import, heavy only inside a task."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from include.errors import ChurnError, ConfigurationError, DataError
from include.tasks.errors import reported

if TYPE_CHECKING:
    from include.scoring.score_range import Night

logger = logging.getLogger(__name__)

NO_CHAMPION = (
    "there is no champion yet, so nobody is scored: run churn_training, and the next run of this "
    "DAG scores everybody"
)


def plan_ranges(**context: Any) -> list[dict[str, Any]]:
    """Pin the champion and cut the table; one dict of arguments for each mapped task."""
    from airflow.sdk.exceptions import AirflowSkipException

    with reported(), _unreachable_database():
        from include.handover import now
        from include.scoring import score_range

        portions = score_range.plan_ranges(_night(context), day=_day(context), now=now())
    if not portions:
        raise AirflowSkipException(NO_CHAMPION)
    return [{"portion": asdict(portion)} for portion in portions]


def score_range(*, portion: Mapping[str, Any], **context: Any) -> dict[str, Any]:
    """Score one range of customers."""
    with reported(), _unreachable_database():
        from include.scoring import score_range

        return asdict(score_range.score_range(_night(context), score_range.Portion(**portion)))


def summarise_scores(
    *, planned: Iterable[Mapping[str, Any]], scored: Iterable[Mapping[str, Any]], **context: Any
) -> dict[str, Any]:
    """Prove that every customer was scored exactly once, and write the summary."""
    with reported(), _unreachable_database():
        from include.scoring import score_range, summarise_scores

        summary = summarise_scores.summarise_scores(
            _night(context),
            [score_range.Portion(**arguments["portion"]) for arguments in planned],
            [score_range.Scored(**done) for done in scored],
        )
        return summary.model_dump(mode="json")


def _day(context: Mapping[str, Any]) -> date:
    given = context["params"]["date"]
    if given is None:
        found: date = context["dag_run"].run_after.date()
        return found
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise ConfigurationError(
            f"the parameter date must be a day such as 2026-11-30, found {given!r}"
        ) from error


def _night(context: Mapping[str, Any]) -> "Night":
    from include.params import load_params
    from include.scoring.score_range import Night
    from include.settings import load_settings
    from include.tasks import connections

    settings = load_settings()
    params = load_params(settings.params_file)
    return Night(
        dag_run_id=context["dag_run"].run_id,
        store=connections.task_store(settings),
        engine=connections.customer_engine(settings),
        rules=params.scoring,
        rejected_share_max=params.validation.rejected_share_max,
    )


@contextmanager
def _unreachable_database() -> Iterator[None]:
    """Let a task be tried again when the database went away under it: the data is not at fault."""
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except DataError as error:
        if isinstance(error.__cause__, OperationalError):
            raise ChurnError(str(error)) from error
        raise
