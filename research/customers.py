"""The customers that a notebook looks at: a CSV file's, or made-up ones."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from include.contract import Contract, load_contract
from include.customers.csv_file import read_csv_customers
from include.customers.sample import sample_customers
from include.params import Params, load_params
from include.settings import Settings

SAMPLE_SEED = 1
EIGHT_COLUMNS = (  # of the public example that this project set out to surpass
    "Total_Relationship_Count",
    "Credit_Limit",
    "Total_Revolving_Bal",
    "Total_Amt_Chng_Q4_Q1",
    "Total_Trans_Amt",
    "Total_Trans_Ct",
    "Total_Ct_Chng_Q4_Q1",
    "Avg_Utilization_Ratio",
)


@dataclass(frozen=True)
class Study:
    """Labelled customers, what their columns mean, and the parameters that production uses."""

    frame: pd.DataFrame
    contract: Contract
    params: Params
    source: str


def open_study(csv: str, *, sample_rows: int) -> Study:
    """The file's labelled customers, or so many made-up ones; DataError lists a file's faults."""
    contract, params = load_contract(), load_params(Settings().params_file)
    if not csv:
        made_up = sample_customers(sample_rows, seed=SAMPLE_SEED)
        return Study(made_up, contract, params, f"{sample_rows:,} made-up customers")
    frame = read_csv_customers(Path(csv), contract)
    labelled = frame[frame[contract.target.name].notna()].reset_index(drop=True)
    source = f"{len(labelled):,} labelled customers of {Path(csv).name}"
    return Study(labelled, contract, params, source)
