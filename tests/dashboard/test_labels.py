"""Columns and values in the words of an analyst."""

from dashboard.labels import counted, feature_label, short_label, value_text


def test_a_change_over_past_months_has_words_a_sign_and_its_columns_unit() -> None:
    name = "Total_Revolving_Bal_Change_1m"
    assert feature_label(name) == "Balance carried, change over 1 month"
    assert feature_label("Total_Trans_Ct_Change_6m") == "Transactions, change over 6 months"
    assert short_label(name) == "1-month change in balance carried"
    assert [value_text(name, value) for value in (-194.3, 1123, 0)] == ["−$194", "+$1,123", "$0"]
    assert value_text("Total_Trans_Ct_Change_3m", None) == "–"


def test_one_customer_is_not_customers() -> None:
    assert [counted(count, "customer") for count in (0, 1, 1200)] == [
        *("0 customers", "1 customer", "1,200 customers")
    ]
