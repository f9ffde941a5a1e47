"""The assets by which the DAGs hang together; for DAG files alone, because it imports Airflow.

An asset's URI is where it lies in the store. `predictions` has no events: the API writes them all
day, and Airflow is not told.
"""

from typing import TYPE_CHECKING, cast

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule

from include.tasks.events import CHAMPION_ASSET

if TYPE_CHECKING:
    from airflow.sdk.bases.timetable import BaseTimetable

CHAMPION = Asset(CHAMPION_ASSET, uri="champion/current.json")
SCORES = Asset("scores", uri="scores/")
PREDICTIONS = Asset("predictions", uri="predictions/")
DRIFT = Asset("drift", uri="monitoring/")


def at_times_or_after(schedule: str, asset: Asset) -> AssetOrTimeSchedule | list[Asset]:
    """A DAG's schedule: by the clock, unless that is empty, and after each event of the asset."""
    if not schedule:
        return [asset]
    # What Airflow makes of a schedule's text, @once and @continuous included, it makes in a DAG.
    clock = DAG("clock", schedule=schedule, max_active_runs=1).timetable
    return AssetOrTimeSchedule(timetable=cast("BaseTimetable", clock), assets=[asset])
