"""What the operators of `churn_upkeep` call: light to import, heavy only inside a task."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.tasks.adapter import Context, task

if TYPE_CHECKING:
    from include.settings import Settings
    from include.upkeep.run import Places, UpkeepRun


def upkeep_task(name: str) -> Callable[..., Any]:
    """What the operator of that name calls."""
    return task("upkeep", name, open_run)


def open_run(context: Context) -> "UpkeepRun":
    """The run's connections and rules; ConfigurationError where those or a clock are wrong."""
    from include.handover import now
    from include.params import load_params
    from include.settings import load_settings
    from include.tasks import connections
    from include.upkeep.retention import check_clock, checked_retention
    from include.upkeep.run import UpkeepRun

    settings = load_settings()
    run = UpkeepRun(
        dag_run_id=context["dag_run"].run_id,
        store=connections.task_store(settings),
        retention=checked_retention(settings, load_params(settings.params_file).drift),
        places=_places(settings),
        store_expires=settings.store_expires,
        now=now(),
        dry_run=bool(context["params"]["dry_run"]),
    )
    check_clock(run.store, run.key(context["ti"].task_id, "clock"), run.now)
    return run


def _places(settings: "Settings") -> "Places":
    from airflow.sdk.configuration import conf

    from include.upkeep.run import Places

    remote = conf.getboolean("logging", "remote_logging", fallback=False)
    return Places(
        log_folder=Path(conf.get("logging", "base_log_folder")),
        remote_logs=conf.get("logging", "remote_base_log_folder", fallback="") if remote else "",
        airflow_database_url=settings.airflow_database_url.get_secret_value(),
        mlflow_database_url=settings.mlflow_database_url.get_secret_value(),
        tracking_uri=settings.tracking_uri,
    )
