"""What serves, what it depends on, and how that may fail: the table of tests/e2e/faults."""

ANSWERS = ("refuse", "hang", "slow", "garbage")  # of anything that listens on a port
# What answers over HTTP may also be somebody else, who says 200 and means nothing by it.
HTTP = (*ANSWERS, "page")
OBJECTS = (*HTTP, "torn")  # large answers may end in their middle

# A component and what it asks: the faults that are tried.
MATRIX: dict[tuple[str, str], tuple[str, ...]] = {
    ("api", "store"): OBJECTS,
    ("dashboard", "store"): OBJECTS,
    ("dashboard", "database"): ANSWERS,
    ("dashboard", "api"): HTTP,
    ("dashboard", "prometheus"): HTTP,
    ("sign-in", "provider"): HTTP,
}

# A component and what it never asks.
CANNOT_BE = {
    ("api", "database"): "answers come of the request and the champion alone",
    ("api", "api"): "it is the API",
    ("api", "mlflow"): "the champion comes from the store; webapp/ may not import mlflow",
    ("api", "airflow"): "the pointer in the store says all; webapp/ may not import airflow",
    ("api", "provider"): "programs show keys, which the API compares by itself",
    ("api", "prometheus"): "it is asked by Prometheus and asks nothing of it",
    ("dashboard", "mlflow"): "pages link to it; figures come from the store",
    ("dashboard", "airflow"): "pages link to it; runs are read in the store",
    ("dashboard", "provider"): "the sign-in in front of the pages asks it, see there",
    **{
        ("sign-in", other): "it asks the provider, and has its marks on its own disk"
        for other in ("store", "database", "api", "prometheus", "mlflow", "airflow")
    },
}


def faults(component: str, dependency: str) -> tuple[str, ...]:
    """How a dependency of a component fails."""
    return MATRIX[component, dependency]
