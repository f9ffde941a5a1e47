"""Runs that may write what they have read of the customer before."""

import sqlalchemy as sa


def running(airflow_database_url: str) -> frozenset[str] | None:
    """Those of which Airflow runs a task now; None where its database is not known or reached.

    A task that waits has read nothing yet, and will find the customer gone.
    """
    if not airflow_database_url:
        return None
    tasks = sa.table("task_instance", *map(sa.column, ("dag_id", "run_id", "state")))
    query = sa.select(tasks.c.dag_id, tasks.c.run_id).where(tasks.c.state == "running")
    engine = sa.create_engine(airflow_database_url)
    try:
        with engine.connect() as connection:
            return frozenset(f"{dag} {run}" for dag, run in connection.execute(query))
    except sa.exc.SQLAlchemyError:
        return None
    finally:
        engine.dispose()
