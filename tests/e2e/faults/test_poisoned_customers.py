"""Tables that would teach a model something wrong: refused, or a person is asked and told why."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from include.champion import versions
from include.champion.gate_decision import Decision
from include.customers import loading
from include.customers.sample import Drift, sample_customers
from include.documents import parse_document
from include.errors import DataError, NeedsPerson
from include.training.evaluate_model import Evaluated, Lineage
from include.training.run import TrainingRun
from infra.local.demo_traffic import BUSIER
from tests.include.conftest import (
    Judged,
    MakeRun,
    evaluate,
    lineage_of,
    promote,
    promote_judged,
    sql,
)

pytestmark = pytest.mark.slow  # a training run each

LEAVER, STAYER = "Attrited Customer", "Existing Customer"
Poison = Callable[[pd.DataFrame], pd.DataFrame]


def flipped(frame: pd.DataFrame, share: float) -> pd.DataFrame:
    """The labels of so many customers turned into their opposite."""
    chosen = np.random.default_rng(4).uniform(size=len(frame)) < share
    other = frame["Attrition_Flag"].map({LEAVER: STAYER, STAYER: LEAVER})
    return frame.assign(Attrition_Flag=frame["Attrition_Flag"].mask(chosen, other))


def leaking(frame: pd.DataFrame, column: str, *, values: tuple[object, object], right: float):
    """A column that says who left, rightly for such a share of customers."""
    left = (frame["Attrition_Flag"] == LEAVER).to_numpy()
    wrong = np.random.default_rng(5).uniform(size=len(frame)) >= right
    return frame.assign(**{column: np.where(left ^ wrong, *values)})


def poisoned(engine: Engine, people: pd.DataFrame, poison: Poison) -> None:
    """Let the bank's table be like that."""
    loading.load_customers(engine, poison(people), now=datetime.now(UTC))


def judged(run: TrainingRun) -> tuple[Decision, Lineage, Evaluated]:
    """The run up to the gate's decision."""
    lineage = lineage_of(run)
    evaluated = evaluate(run, lineage)
    return parse_document(Decision, run.read(evaluated.gate), evaluated.gate), lineage, evaluated


ASKED = {
    "all labels flipped": (
        lambda people: flipped(people, 1),
        r"% of the hold-out customers left, the contract expects 1% to 60%.*where the labels",
    ),
    "a column that knows all answers": (
        lambda people: leaking(people, "Months_Inactive_12_mon", values=(6, 1), right=1),
        r"Months_Inactive_12_mon alone has ROC-AUC 1\.0000, above 0\.95: it seems to give",
    ),
    "a column that knows 98 of 100 answers": (
        lambda people: leaking(people, "Months_Inactive_12_mon", values=(6, 1), right=0.98),
        r"Months_Inactive_12_mon alone has ROC-AUC 0\.9[78]\d\d, above 0\.95: it seems to give",
    ),
    "a category that knows 98 of 100 answers": (
        lambda people: leaking(people, "Card_Category", values=("Gold", "Blue"), right=0.98),
        r"Card_Category alone has ROC-AUC 0\.9[78]\d\d, above 0\.95: it seems to give",
    ),
    "a number that is the same for all": (
        lambda people: people.assign(Total_Trans_Ct=60),
        r"Total_Trans_Ct is 60 for all \d+ hold-out customers.*find out how it is filled",
    ),
    "everybody under a second number": (
        lambda people: pd.concat([people, people.assign(CLIENTNUM=people["CLIENTNUM"] + 10**8)]),
        r"% of the hold-out customers have the very record of a training customer.*two numbers",
    ),
    "a category that is the same for all": (
        lambda people: people.assign(Gender="F"),
        r"Gender is F for all \d+ hold-out customers.*find out how it is filled",
    ),
}


@pytest.mark.parametrize("poison", ASKED)
def test_a_table_that_looks_wrong_asks_a_person_and_moves_nothing_alone(
    make_run: MakeRun, champion: Judged, engine: Engine, people: pd.DataFrame, poison: str
) -> None:
    make, why = ASKED[poison]
    poisoned(engine, people, make)
    run = make_run("poisoned")
    decision, lineage, evaluated = judged(run)
    assert decision.outcome == "needs_person"
    before = run.store.read(versions.POINTER_KEY)
    with pytest.raises(NeedsPerson, match=why) as told:
        promote_judged(run, lineage, evaluated)
    assert "Production stays as it is" in str(told.value)
    assert run.store.read(versions.POINTER_KEY) == before


def test_one_label_in_ten_flipped_promotes_nothing(
    make_run: MakeRun, champion: Judged, engine: Engine, people: pd.DataFrame
) -> None:
    poisoned(engine, people, lambda people: flipped(people, 0.1))
    promoted = promote(make_run("flipped"))
    assert (promoted.outcome, promoted.moved) == ("rejected", False)
    assert "the gain in ROC-AUC is" in promoted.message


@pytest.mark.parametrize("label", [LEAVER, STAYER])
def test_a_table_of_one_class_trains_nothing(
    make_run: MakeRun, engine: Engine, people: pd.DataFrame, label: str
) -> None:
    poisoned(engine, people, lambda people: people.assign(Attrition_Flag=label))
    with pytest.raises(DataError, match="both classes|needs|of each class") as told:
        lineage_of(make_run("one class"))
    assert "0" in str(told.value)


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_customers_who_are_there_twice_are_set_aside_or_refused(
    make_run: MakeRun, engine: Engine, share: float
) -> None:
    sql(engine, "CREATE TABLE copies AS SELECT * FROM churners")
    sql(engine, "DROP TABLE churners")
    sql(engine, "ALTER TABLE copies RENAME TO churners")
    sql(engine, f"INSERT INTO churners SELECT * FROM churners LIMIT {int(3000 * share)}")
    run = make_run("twice")
    if share > run.params.validation.rejected_share_max:
        with pytest.raises(DataError, match=r"break the contract, allowed are 5\.0%: CLIENTNUM"):
            lineage_of(run)
        return
    assert lineage_of(run).validated.rejected_rows == 2 * int(3000 * share)


@pytest.mark.usefixtures("weak_champion")
def test_the_demos_honest_gain_is_promoted_unasked(make_run: MakeRun, engine: Engine) -> None:
    changed = Drift(0.8, BUSIER, changed_rule=True)
    newcomers = sample_customers(3000, seed=1001, first_key=900_000_000, drift=changed)
    loading.load_customers(engine, newcomers, now=datetime.now(UTC))
    run = make_run("demo")
    decision, lineage, evaluated = judged(run)
    assert decision.strongest_feature_auc is not None and decision.strongest_feature_auc < 0.85
    assert promote_judged(run, lineage, evaluated).version == "2"
