"""The columns' names and values as an analyst says them."""

from typing import Any

from include.target import Target

FEATURES = {
    "Customer_Age": "Age",
    "Gender": "Gender",
    "Dependent_count": "Dependents",
    "Education_Level": "Education",
    "Marital_Status": "Marital status",
    "Income_Category": "Income",
    "Card_Category": "Card",
    "Months_on_book": "Months as a customer",
    "Total_Relationship_Count": "Products held",
    "Months_Inactive_12_mon": "Months inactive, of 12",
    "Contacts_Count_12_mon": "Contacts, 12 months",
    "Credit_Limit": "Credit limit",
    "Total_Revolving_Bal": "Balance carried",
    "Avg_Open_To_Buy": "Unused credit",
    "Total_Amt_Chng_Q4_Q1": "Change in spend",
    "Total_Trans_Amt": "Spend, 12 months",
    "Total_Trans_Ct": "Transactions, 12 months",
    "Total_Ct_Chng_Q4_Q1": "Change in transactions",
    "Avg_Utilization_Ratio": "Share of credit used",
    "probability": "The model's answer",
}
DOLLARS = {"Credit_Limit", "Total_Revolving_Bal", "Avg_Open_To_Buy", "Total_Trans_Amt"}
TIMES = {"Total_Amt_Chng_Q4_Q1", "Total_Ct_Chng_Q4_Q1"}  # ratios of the fourth quarter to the first
SHORT = {  # within a sentence, where a comma would part them
    "Months_Inactive_12_mon": "Months inactive",
    "Contacts_Count_12_mon": "Contacts",
    "Total_Trans_Amt": "Spend",
    "Total_Trans_Ct": "Transactions",
}
UNITS = {
    "Customer_Age": "years",
    **dict.fromkeys(DOLLARS, "$"),
    **dict.fromkeys(TIMES, "×"),
}
WITHOUT_HISTORY = "Answered without a customer's past months; the nightly list knows them."


def feature_label(name: str) -> str:
    """A column or an engineered feature in words."""
    of, months = change_of(name)
    if of:
        return f"{short_label(of)}, change over {months} month{'s' if months != '1' else ''}"
    return FEATURES.get(name) or name.replace("_", " ").capitalize()


def change_of(name: str) -> tuple[str, str]:
    """The column that a change over past months is of, and how many; of any other name, nothing."""
    of, _, months = name.removesuffix("m").partition("_Change_")
    return (of, months) if months.isdecimal() and of in FEATURES else ("", "")


def short_label(name: str) -> str:
    """The same for a list of several, without a comma."""
    of, months = change_of(name)
    if of:
        return f"{months}-month change in {short_label(of).lower()}"
    return SHORT.get(name) or feature_label(name)


def value_text(name: str, value: Any) -> str:
    """A column's value with its unit; a dash where there is none."""
    if value is None:
        return "–"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    if change_of(name)[0]:
        sign = "−" if value < 0 else "+" if value > 0 else ""
        return sign + value_text(change_of(name)[0], round(abs(value)))
    if name in DOLLARS:
        return money(value)
    if name == "Avg_Utilization_Ratio":
        return percent(value)
    if name in TIMES:
        return f"{value:.2f}×"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def risk_words(target: Target) -> str:
    """What a probability is of, in few words; `str(target)` says it whole."""
    within = f" within {target.horizon_days} days" if target.is_early_warning else ""
    return f"risk of leaving{within}"


def risk_heading(target: Target) -> str:
    """The same at the head of a column."""
    within = f"Leaves within {target.horizon_days} days"
    return within if target.is_early_warning else "Risk of leaving"


def counted(count: int, noun: str) -> str:
    """So many of them, the noun in the number that goes with it: `1 customer`, `2 customers`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def money(value: float) -> str:
    """Whole dollars, the sign before them."""
    return f"{'−' if value < -0.5 else ''}${abs(value):,.0f}"


def percent(share: float | None, *, decimals: int = 0) -> str:
    """A share as a percentage; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.{decimals}f}%"
