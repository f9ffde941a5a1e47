"""Made-up customers, one at a time."""

import pandas as pd

from include.contract import load_contract

CUSTOMER = {
    "CLIENTNUM": 1,
    "Attrition_Flag": "Existing Customer",
    "Customer_Age": 45,
    "Gender": "M",
    "Dependent_count": 3,
    "Education_Level": "High School",
    "Marital_Status": "Married",
    "Income_Category": "$60K - $80K",
    "Card_Category": "Blue",
    "Months_on_book": 39,
    "Total_Relationship_Count": 5,
    "Months_Inactive_12_mon": 1,
    "Contacts_Count_12_mon": 3,
    "Credit_Limit": 12691.0,
    "Total_Revolving_Bal": 777,
    "Avg_Open_To_Buy": 11914.0,
    "Total_Amt_Chng_Q4_Q1": 1.335,
    "Total_Trans_Amt": 1144,
    "Total_Trans_Ct": 42,
    "Total_Ct_Chng_Q4_Q1": 1.625,
    "Avg_Utilization_Ratio": 0.061,
}
# Of a column that a bank adds, whatever its contract allows.
CUSTOMER |= {
    column.name: column.categories[0] if column.categories else column.low
    for column in load_contract().features
    if column.name not in CUSTOMER
}


def customer(key: int = 1, **values: object) -> dict[str, object]:
    """A customer of the table: the published columns, some of them as given."""
    return CUSTOMER | {"CLIENTNUM": key} | values


def features(**values: object) -> dict[str, object]:
    """A record as a request holds it: the features alone."""
    return dict(list(CUSTOMER.items())[2:]) | values


def csv_text(*rows: dict[str, object]) -> str:
    """CSV of the rows, with the first one's columns as the header."""
    return pd.DataFrame(rows, columns=list(rows[0]), dtype=object).to_csv(index=False)
