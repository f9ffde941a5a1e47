"""The one way from an Airflow operator to a task's function in `include/`.

A task's file and its function have the task's name. The function's first parameter is the run,
which is opened here; the others are what earlier tasks handed on, by the names of the operator's
`op_kwargs`. Airflow carries JSON, and the annotations say what to make of it.
"""

import inspect
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, date, timedelta
from importlib import import_module
from typing import Any

from include.errors import ConfigurationError
from include.tasks.errors import reported
from include.tasks.limits import ended_by_force

logger = logging.getLogger(__name__)

Context = Mapping[str, Any]
SCHEDULES = {"scheduled", "backfill"}  # the run types whose `run_after` is a schedule's moment


def task(room: str, name: str, open_run: Callable[[Context], Any]) -> Callable[..., Any]:
    """What an operator calls: `include.<room>.<name>.<name>`, imported when the task runs."""

    def call(**context: Any) -> Any:
        from pydantic_core import to_jsonable_python

        with reported(), ended_by_force(context["task"].execution_timeout):
            refuse_unknown(context)
            function = getattr(import_module(f"include.{room}.{name}"), name)
            handed_on = read_handed_on(function, context)
            return to_jsonable_python(function(open_run(context), **handed_on))

    call.__name__ = name
    return call


def refuse_unknown(context: Context) -> None:
    """ConfigurationError where a run was given what its DAG does not know, and would not miss.

    Airflow itself refuses a run of `churn_rollback` that lacks one of its parameters.
    """
    dag = context["dag"]
    if unknown := sorted({*(context["dag_run"].conf or {})}.difference(dag.params)):
        raise ConfigurationError(
            f"expected {dag.dag_id}'s parameters ({', '.join(dag.params) or 'it has none'}), found "
            f"{', '.join(unknown)}, which it does not know: start another run"
        )


def close_failed_run(context: Context, open_run: Callable[[Context], Any]) -> None:
    """Mark the MLflow run of a failed DAG run as failed; the failure itself stands."""
    try:
        run = open_run(context)
        run.registry.finish(run.registry.ensure_run(run.dag_run_id, run.tags), succeeded=False)
    except Exception:  # a callback must not hide the error that it is called for
        logger.exception("could not mark the MLflow run as failed")


def read_handed_on(function: Callable[..., Any], context: Context) -> dict[str, Any]:
    """The function's arguments but for the run, each as its annotation says."""
    from pydantic import TypeAdapter, ValidationError

    _, *others = inspect.signature(function, eval_str=True).parameters.values()
    found = {}
    for each in others:
        try:
            found[each.name] = TypeAdapter(each.annotation).validate_python(context[each.name])
        except ValidationError as error:
            raise ConfigurationError(
                f"what {function.__name__} was handed as {each.name} is of another release "
                f"({error.errors()[0]['loc']}: {error.errors()[0]['msg']}): clear this run from "
                "its first task"
            ) from error
    return found


def day_of(context: Context, *, before: timedelta = timedelta()) -> date:
    """The run's parameter `date`; without one the UTC day on which the run was due, less `before`.

    A logical date that somebody gave, or a backfill, says when that was. A schedule's own logical
    date may be the beginning of its interval; a run by hand has none unless one is given.
    ConfigurationError for a day that has not come when the run is due.
    """
    run, given = context["dag_run"], context["params"].get("date")
    due = run.run_after if run.run_type in SCHEDULES else run.logical_date or run.run_after
    found = date.fromisoformat(given) if given else due.astimezone(UTC).date() - before
    today = run.run_after.astimezone(UTC).date()
    if found > today:  # whose findings would stand as the latest until it comes
        raise ConfigurationError(
            f"expected a day up to {today} (UTC), on which this run was due, found {found}, which "
            "has not come yet: name an earlier one as the parameter date"
        )
    return found
