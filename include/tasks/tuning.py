"""What the operators of `churn_tuning` call: light to import, heavy only inside a task."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from include.errors import ConfigurationError
from include.tasks import adapter
from include.tasks.adapter import Context, task

if TYPE_CHECKING:
    from include.params import TuningRules
    from include.tuning.run import TuningRun

BUDGET = ("trials", "minutes", "workers")


def tuning_task(name: str) -> Callable[..., Any]:
    """What the operator of that name calls."""
    return task("tuning", name, open_run)


def allow_its_minutes(context: Context) -> None:
    """Add the search's own minutes to the task's limit, which is then for its last trial."""
    context["task"].execution_timeout += timedelta(minutes=open_run(context).rules.minutes)


def prepare_study(**context: Any) -> list[dict[str, Any]]:
    """Read the customers and cut up the search; the arguments of each mapped task."""
    return [{"share": share} for share in tuning_task("prepare_study")(**context)]


def publish_best(*, prepared: list[dict[str, Any]], **context: Any) -> Any:
    """Confirm and keep the best set of all workers."""
    return tuning_task("publish_best")(share=prepared[0]["share"], **context)


def close_failed_run(context: Context) -> None:
    """Tell MLflow."""
    adapter.close_failed_run(context, open_run)


def open_run(context: Context) -> "TuningRun":
    """The run's connections and configuration; its budget wins over params.yaml's."""
    from include.build import git_commit
    from include.champion.registry import Registry
    from include.champion.tracking import PARAMS_TAG
    from include.contract import load_contract
    from include.params import load_params
    from include.settings import load_settings
    from include.tasks import connections
    from include.tuning.run import EXPERIMENT, TuningRun

    settings = load_settings()
    params = load_params(settings.params_file)
    if params.tuning is None:
        raise ConfigurationError(f"{settings.params_file} has no section tuning")
    return TuningRun(
        dag_run_id=context["dag_run"].run_id,
        store=connections.task_store(settings),
        engine=connections.customer_engine(settings),
        registry=Registry(settings.tracking_uri, experiment=EXPERIMENT),
        contract=load_contract(),
        params=params,
        rules=within_budget(params.tuning, context["params"]),
        storage=settings.resolved_tuning_storage,
        tags={PARAMS_TAG: params.sha256(), "git_commit": git_commit(settings.git_commit)},
    )


def within_budget(rules: "TuningRules", given: Mapping[str, Any]) -> "TuningRules":
    """The rules with a run's own budget in them: the DAG's parameters have the same limits."""
    budget = {name: given[name] for name in BUDGET if given.get(name) is not None}
    return rules.model_copy(update=budget)
