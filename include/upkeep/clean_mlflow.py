"""MLflow's runs of candidates that never came to production: into its bin, and later out of it.

`mlflow gc` looks at nothing but the bin and an age. So what is in production, or ever was, is
looked up first, and where a person has put such a run into the bin, nothing is destroyed.
"""

import logging

from include.champion.versions import MANIFEST_FILE, VERSIONS_PREFIX, read_version
from include.store import Store
from include.upkeep import mlflow_bin
from include.upkeep.retention import moment_before
from include.upkeep.run import Freed, UpkeepRun, left_alone, say

logger = logging.getLogger(__name__)

IN_THE_BIN = "runs and models in MLflow's bin"
NOT_REACHED = (
    "CHURN_MLFLOW_DATABASE_URL is not set, and `mlflow gc` needs MLflow's own database; where "
    "MLflow is somebody else's, that somebody destroys what is deleted"
)


def clean_mlflow(run: UpkeepRun) -> Freed:
    """Bin runs of old rejected candidates; destroy what has been in the bin for long enough."""
    found = mlflow_bin.Bin(run.places.tracking_uri)
    kept = found.production_runs() | _runs_of_champions(run.store)
    before = moment_before(run.now, run.retention.predictions_days)
    rejected = found.rejected_runs(before=before, keep=kept)
    if not run.dry_run:
        for run_id in rejected:
            found.put(run_id)
    what = f"MLflow runs without an accepted candidate of before {before:%Y-%m-%d}, into its bin"
    say(Freed(what, len(rejected), None, run.dry_run))
    return _empty(run, found, kept)


def _empty(run: UpkeepRun, found: mlflow_bin.Bin, kept: set[str]) -> Freed:
    """What was binned lies there for `runs_days`, and frees nothing before."""
    days, places = run.retention.runs_days, run.places
    if run.dry_run:
        return left_alone(run, IN_THE_BIN, "`mlflow gc` has no dry run")
    if not places.mlflow_database_url:
        return left_alone(run, IN_THE_BIN, NOT_REACHED)
    found.check_none_in_bin(kept)
    destroyed = mlflow_bin.empty(places.mlflow_database_url, places.tracking_uri, days=days)
    return say(Freed(f"{IN_THE_BIN} for {days} days", destroyed, None, run.dry_run))


def _runs_of_champions(store: Store) -> set[str]:
    """The same by the store's own manifests, should the registry have lost its memory."""
    manifests = (i.key for i in store.list(f"{VERSIONS_PREFIX}/") if i.key.endswith(MANIFEST_FILE))
    return {read_version(store, key.split("/")[-2])[0].run_id for key in manifests}
