# %% [markdown]
# # Which customers leave, and how well can a model tell?
#
# A bank's credit-card team wants to call customers before they leave. This notebook shows the
# reasoning behind the model that this project trains: what the customers look like, which
# features help, whether a simple model would do, what to do about leavers being rare, what a
# search for hyperparameters adds, how sure all of that is, and what a retention team can and
# cannot make of it.
#
# Everything is computed when this page is made, with the same functions that train and judge in
# production (`include/`). Numbers in the text come from the cells: on other customers the text
# says something else.

# %%
# %config InlineBackend.figure_format = "retina"
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
import pyarrow as pa
from IPython.display import Markdown, display
from matplotlib.ticker import PercentFormatter

from include.customers.campaign_effect import customers_needed
from include.customers.sample import sample_customers
from include.features import ENGINEERED, engineer
from include.params import ModelParams
from include.scoring.list_columns import Revenue, with_list_columns
from include.settings import Settings
from include.training import evaluation, fit, gate
from include.training.fit import SPLIT
from include.tuning import study as studies
from include.tuning.cross_validation import CrossValidation, labelled_rows
from include.tuning.publish_best import confirm
from include.tuning.tune_hyperparameters import judge_trial
from research import assessment, figures
from research.assessment import LIST_SHARE, Floats, Split
from research.customers import EIGHT_COLUMNS, SAMPLE_SEED, Study, open_study

# %% tags=["parameters"]
csv = ""  # real customers; empty: made-up ones
sample_rows = 6_000  # of the made-up ones
splits = 4  # each model is trained and judged on so many
trials = 5  # of the search
contact_cost = 5.0  # dollars a call or letter; an assumption
persuaded_share = 0.3  # of the leavers who are contacted; an assumption (section 7)

# %%
figures.set_style()
study = open_study(csv, sample_rows=sample_rows)
frame, contract, params = study.frame, study.contract, study.params
labels = contract.labels(frame)
left, stayed = frame[labels == 1], frame[labels == 0]
Markdown(
    f"**Customers:** {study.source}, of whom {len(left):,} ({labels.mean():.1%}) have left. "
    f"**Budget:** {splits} splits, {trials} trials of the search."
)

# %% [markdown]
# ## 1. The customers
#
# One row is one credit-card customer of one bank at one moment: who they are, what they hold, and
# what they did in the last twelve months. The columns are those of the ["Credit Card customers"
# data set on Kaggle](https://www.kaggle.com/datasets/sakshigoyal7/credit-card-customers); the
# page names its licence, and nothing more is known of the bank, the country or the year. The
# project holds none of its rows. The made-up customers, which this page uses where no file is
# given, are drawn from statistics of it.
#
# The table says for each column how well it *alone* tells leavers from stayers: 0.5 is a coin
# toss, 1 is perfect (ROC-AUC in whichever direction; a category stands for its share of leavers).

# %%
numeric = [column.name for column in contract.features if not column.categories]
categorical = [column.name for column in contract.features if column.categories]
alone = gate.feature_aucs(
    gate.Holdout(
        labels,
        (),
        {name: contract.matrix(frame, [name])[:, 0] for name in numeric},
        {name: contract.matrix(frame, [name])[:, 0] for name in categorical},
    )
)


def typical(rows: pd.DataFrame, name: str) -> str:
    return f"{rows[name].median():,.6g}" if name in numeric else str(rows[name].mode()[0])


columns = pd.DataFrame(
    [
        {
            "column": name,
            "meaning": contract.column(name).meaning,
            "typical stayer": typical(stayed, name),
            "typical leaver": typical(left, name),
            "ROC-AUC alone": f"{alone[name]:.3f}",
        }
        for name in sorted(alone, key=lambda name: -alone[name])
    ]
).set_index("column")
columns.rename_axis(index=None, columns="column (typical: median, or commonest category)")

# %%
strongest = sorted(numeric, key=lambda name: -alone[name])[:6]
top = strongest[0]
weak = {name for name in alone if alone[name] < 0.55}
correlations = np.triu(np.abs(np.corrcoef(contract.matrix(frame, numeric).T)), k=1)
twins = [numeric[place] for place in np.unravel_index(correlations.argmax(), correlations.shape)]
unknown = {name: float((frame[name] == "Unknown").mean()) for name in categorical}
vaguest = max(unknown, key=lambda name: unknown[name])
Markdown(
    f"* The strongest column is `{top}`, {alone[top]:.3f} by itself: the typical leaver has "
    f"{typical(left, top)}, the typical stayer {typical(stayed, top)}.\n"
    f"* {len(weak)} of {len(alone)} columns say next to nothing alone (below 0.55), "
    f"{len(weak & set(categorical))} of the {len(categorical)} categories among them.\n"
    f"* Two columns can say the same: `{twins[0]}` and `{twins[1]}` correlate at "
    f"{correlations.max():.3f}. Trees do not mind; a reader of coefficients should.\n"
    f'* Of `{vaguest}` {unknown[vaguest]:.0%} are "Unknown". That is kept as a category of its '
    "own: that a bank does not know it may itself say something."
)

# %% alt="Distributions of the six strongest columns, for customers who stayed and who left."
figure, axes = figures.panels(3, rows=2, height=2.6)
for axis, name in zip(axes, strongest, strict=True):
    edges = np.linspace(frame[name].min(), frame[name].quantile(0.99), 31)
    for rows, ink, label in ((stayed, figures.STAYED, "stayed"), (left, figures.LEFT, "left")):
        shares = np.histogram(rows[name].clip(upper=edges[-1]), edges)[0] / len(rows)
        axis.stairs(shares, edges, color=ink, fill=True, alpha=0.25)
        axis.stairs(shares, edges, color=ink, label=label)
    axis.set(title=name)
    axis.set_xlabel(textwrap.fill(contract.column(name).meaning, 42), fontsize=8)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
for axis in axes[::3]:
    axis.set_ylabel("share of customers")
figures.legend_below(figure, axes[:1], columns=2)

# %% [markdown]
# ## 2. The features
#
# Besides the raw columns the model gets engineered ones, computed from them inside the same ONNX
# graph that answers in production, so that training and serving cannot disagree. Categories enter
# as ordinals; numbers are scaled (trees do not need it, logistic regression does).
#
# Three questions. What do the engineered features say by themselves? What do the other columns add
# to the eight that the public example of this system uses? And how much of the success is due to
# *activity*: what would be left if the bank did not see how much customers still use their card?

# %%
raw = engineer(contract.matrix(frame, contract.feature_names), contract.feature_names)
made = {f.name: raw[:, len(contract.feature_names) + i] for i, f in enumerate(ENGINEERED)}
made_alone = gate.feature_aucs(gate.Holdout(labels, (), made, {}))
pd.DataFrame(
    {
        "is": {
            f.name: " × ".join(f.factors) + (f" / {f.divisor}" if f.divisor else "")
            for f in ENGINEERED
        },
        "ROC-AUC alone": {name: f"{auc:.3f}" for name, auc in made_alone.items()},
    }
).rename_axis(columns="engineered feature")

# %%
ACTIVITY = (  # what customers did with the card in the last twelve months
    "Total_Trans_Amt",
    "Total_Trans_Ct",
    "Total_Amt_Chng_Q4_Q1",
    "Total_Ct_Chng_Q4_Q1",
    "Months_Inactive_12_mon",
    "Total_Revolving_Bal",
    "Avg_Utilization_Ratio",
)
SPLITS = assessment.make_splits(study, splits)
blind_to = {name: float(frame[name].median()) for name in ACTIVITY}
unseeing = frame.assign(**blind_to, Avg_Open_To_Buy=frame["Credit_Limit"])
BLIND = assessment.make_splits(Study(unseeing, contract, params, study.source), splits)
PLAIN = {"family": "xgboost", "resampling": "none", "class_weight": "none"}
answers = assessment.judge({"all columns": lambda split: split.trees(PLAIN)}, SPLITS)
answers |= assessment.judge(
    {"eight columns": lambda split: split.trees(PLAIN | {"columns": EIGHT_COLUMNS})}, SPLITS
)
answers |= assessment.judge({"without activity": lambda split: split.trees(PLAIN)}, BLIND)
SHOWN = {
    "roc_auc": "ROC-AUC",
    "average_precision": "average precision",
    "f1": "F1",
    "brier": "Brier",
}
assessment.compare(answers, SPLITS, SHOWN).rename_axis(columns="XGBoost, no resampling, on")

# %%
all_columns = answers["all columns"]
narrower = assessment.gain(all_columns, answers["eight columns"], SPLITS, "roc_auc")
blinder = assessment.gain(all_columns, answers["without activity"], SPLITS, "roc_auc")
above_chance = fmean(
    assessment.figures(split, given)["roc_auc"] - 0.5
    for split, given in zip(SPLITS, all_columns, strict=True)
)
Markdown(
    f"All {len(contract.features)} columns instead of eight: ROC-AUC {narrower.in_words}. Hiding "
    f"the {len(ACTIVITY)} columns of activity takes {blinder.mean:.3f} of ROC-AUC away, "
    f"{blinder.mean / above_chance:.0%} of what lies above a coin toss: so much of what the model "
    "knows it knows from customers who already use their card less. Section 8 comes back to that."
)

# %% [markdown]
# ## 3. Would something simple do?
#
# A model must beat what a team could do without it: guess at random (everybody gets the base
# rate), sort customers by their number of transactions, or fit a logistic regression. Each is
# fitted on the training rows of a split and judged on its hold-out, which it has never seen. The
# splits are made as in production, by a hash of the customer's number.
#
# Intervals here and below are 95 % intervals of the mean over splits, corrected for the rows that
# splits share (Nadeau and Bengio 2003), as in the search of section 5. They say how far a figure
# depends on the split, not how far it would move at another bank. A difference between two models
# is always taken on the same hold-outs.

# %%
BASELINES = {
    "base rate for everybody": Split.base_rate,
    "number of transactions alone": lambda split: split.one_column("Total_Trans_Ct"),
    "logistic regression": Split.logistic,
    "random forest": lambda split: split.trees(PLAIN | {"family": "random_forest"}),
}
answers |= assessment.judge(BASELINES, SPLITS)
baselines = {name: answers[name] for name in BASELINES} | {"XGBoost": all_columns}
SHOWN |= {"calibration_error": "calibration error", "top_tenth_recall": "leavers in the top tenth"}
assessment.compare(baselines, SPLITS, SHOWN).rename_axis(columns="no resampling")

# %%
over_logistic = assessment.gain(all_columns, answers["logistic regression"], SPLITS, "roc_auc")
over_forest = assessment.gain(all_columns, answers["random forest"], SPLITS, "roc_auc")
Markdown(
    f"Boosted trees against logistic regression: ROC-AUC {over_logistic.in_words}. Against a "
    f"random forest: {over_forest.in_words}."
)

# %% [markdown]
# ## 4. Leavers are rare: does it help to balance them?
#
# Four ways: leave the classes as they are; let each leaver weigh as much as the stayers together
# (class weight); invent leavers between neighbouring ones (SMOTE); or invent them without
# inventing values between two categories (SMOTENC). Only training rows are ever balanced, and
# every model is calibrated afterwards on rows as rare as in life, so that its probabilities stay
# honest. Production invents nobody above `model.resampling_rows_max` training rows, and weighs
# instead; here every way is tried at any size.

# %%
AT_ANY_SIZE = {"resampling_rows_max": 10**9}  # so that what is named is what was run
BALANCED: dict[str, Mapping[str, object]] = {
    "class weight": PLAIN | {"class_weight": "balanced"},
    "SMOTE": PLAIN | AT_ANY_SIZE | {"resampling": "smote"},
    "SMOTENC": PLAIN | AT_ANY_SIZE | {"resampling": "smotenc"},
}
for name, changes in BALANCED.items():
    answers[name] = [split.trees(changes) for split in SPLITS]
balanced = {"none": all_columns} | {name: answers[name] for name in BALANCED}
assessment.compare(balanced, SPLITS, SHOWN).rename_axis(columns="XGBoost, balanced by")

# %%
against_none = pd.DataFrame(
    {
        name: {
            title: assessment.gain(answers[name], all_columns, SPLITS, key).in_words
            for key, title in (("roc_auc", "ROC-AUC"), ("f1", "F1"), ("brier", "Brier"))
        }
        for name in BALANCED
    }
).T
against_none.rename_axis(columns="difference from none (of Brier, less is better)")

# %%
told_apart = int(
    against_none.apply(lambda column: column.str.endswith("beyond chance")).sum().sum()
)
Markdown(
    f"Of these {against_none.size} differences {told_apart} are beyond chance. Calibration "
    "afterwards leaves little for balancing to do: it can move the order of customers and the "
    f"decision at P = {params.model.threshold:g}, not how common leavers are said to be. "
    f"`params.yaml` has `{params.model.resampling}`; where no difference is beyond chance, the "
    "choice is free, and `none` is the cheapest."
)

# %% [markdown]
# ## 5. Does a search find better hyperparameters?
#
# This is what `make tune` does, with a small budget: Optuna's TPE proposes a family, a way of
# balancing and hyperparameters within the bounds of `params.yaml`; each set is cross-validated on
# the training side of production's own split, and one that lags behind the others' median is
# given up early. The best of many trials looks better in its own folds than it is. So it meets
# the current set twice more: in `tuning.repeats` cross-validations whose folds no trial saw, as in
# production, and on the hold-out rows that the search never touched.

# %%
if (space := params.tuning) is None:
    raise ValueError("params.yaml has no section `tuning`, so there is no space to search: add it")
split = fit.with_split(frame, contract, params.split)
training = labelled_rows(split[split[SPLIT] == "training"], contract, params.model)
places = fit.categorical_places(contract, contract.chosen(params.model.columns))


def folds_of(seed: int, folds: int = space.folds) -> CrossValidation:
    return CrossValidation(training, categorical=places, folds=folds, seed=seed)


with tempfile.TemporaryDirectory() as folder:
    search = studies.open_study(str(Path(folder) / "journal"), "notebook")
    for _ in range(trials):
        trial = studies.ask(search, worker=0, seed=space.seed)
        judge_trial(search, trial, folds_of(space.seed), rules=space, current=params.model)
    tried = studies.finished(search)
    chosen = ModelParams.model_validate(search.best_trial.user_attrs[studies.PARAMS])
pd.DataFrame(
    [
        {
            "trial": each.number,
            "family": each.params["family"],
            "resampling": each.params["resampling"],
            "ROC-AUC": f"{studies.mean_auc(each):.4f}" if studies.is_whole(each) else "given up",
            "folds": len(each.intermediate_values),
            "seconds": f"{each.duration.total_seconds():.0f}",
        }
        for each in sorted(
            tried, key=lambda each: (studies.is_whole(each), studies.mean_auc(each)), reverse=True
        )[:10]
    ]
).set_index("trial").rename_axis(index=None, columns="the best trials")

# %%
confirmed = confirm(folds_of, chosen, current=params.model, rules=space)
in_folds = assessment.Interval(confirmed.gain, *confirmed.gain_interval)
production = Split(split, contract, params)
held_gain, held_interval = gate.paired_gain(
    production.labels,
    production.trees(chosen.model_dump()),
    production.trees({}),
    confidence=space.confidence,
)
on_held = assessment.Interval(held_gain, *held_interval)
Markdown(
    f"The best set is {chosen.family} with resampling `{chosen.resampling}`: "
    + ", ".join(f"{name} {value:.3g}" for name, value in chosen.hyperparameters.items())
    + f". Against the set in `params.yaml`, ROC-AUC in {space.repeats} fresh "
    f"cross-validations {in_folds.in_words}; on the "
    f"hold-out {on_held.in_words}. Training takes a found set only where it is better beyond "
    f"chance in fresh folds: this one it {'takes' if in_folds.low > 0 else 'does not take'}."
)

# %% [markdown]
# ## 6. How good is it, and how sure is that?
#
# The model of `params.yaml`, as it is trained in production, beside logistic regression. ROC-AUC
# and average precision judge the order of customers, F1 the decision at the threshold, the Brier
# score and the calibration error the probabilities. *Leavers in the top tenth* is what a team
# finds that contacts the likeliest tenth; *lift* is how many times as many that is as in a random
# tenth.

# %%
answers["production"] = [split.trees({}) for split in SPLITS]
CONTENDERS = {
    "number of transactions alone": figures.INKS[4],
    "logistic regression": figures.INKS[1],
    "production": figures.INKS[0],
}
SHOWN |= {"precision": "precision", "recall": "recall", "lift": "lift"}
assessed = assessment.compare({name: answers[name] for name in CONTENDERS}, SPLITS, SHOWN).T
assessed.rename_axis(columns="figure on hold-outs")

# %% alt="Leavers found by share of customers contacted; share who left by probability."
pooled = np.concatenate([split.labels for split in SPLITS])
figure, (gains_axis, calibration_axis) = figures.panels(2, height=3.6)
for (name, ink), mark in zip(CONTENDERS.items(), figures.MARKS, strict=False):
    curves = evaluation.curves(pooled, np.concatenate(answers[name]), threshold=0.5)
    gained, bins = curves["gains"], curves["calibration"]
    gains_axis.plot(gained["contacted_share"], gained["found_share"], color=ink, label=name)
    calibration_axis.plot(bins["predicted"], bins["observed"], color=ink, marker=mark, ms=5)
gains_axis.axvline(LIST_SHARE, color=figures.QUIET, ls=":", label="a tenth of customers")
gains_axis.plot([0, 1], [0, 1], color=figures.QUIET, ls="--", lw=1)
calibration_axis.plot(
    [0, 1], [0, 1], color=figures.QUIET, ls="--", lw=1, label="chance; perfect calibration"
)
gains_axis.set(
    title="how many leavers a list finds",
    xlabel="share of customers contacted",
    ylabel="share of leavers found",
)
calibration_axis.set(
    title="whether probabilities are meant",
    xlabel="predicted P(churn), ten bins",
    ylabel="share who left",
)
for axis in (gains_axis, calibration_axis):
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_formatter(PercentFormatter(1))
figures.legend_below(figure, [gains_axis, calibration_axis], columns=3)

# %% [markdown]
# A good average can hide a group that the model serves badly. The gate of `churn_training`
# therefore refuses a challenger that loses on any large enough group of gender or age. On all
# hold-outs together:

# %%
everybody = pd.concat([split.held for split in SPLITS], ignore_index=True)
pooled_answers = np.concatenate(answers["production"])
groups = evaluation.slice_scores(
    pooled,
    pooled_answers,
    evaluation.slices(everybody, params.gate.fairness.columns),
    threshold=params.model.threshold,
    selected=(pooled_answers >= params.model.threshold).astype(float),
)
pd.DataFrame(
    [
        {
            "group": group["slice"],
            "share of customers": f"{group['rows'] / len(everybody):.1%}",
            "left": f"{group.get('attrited_share', 0):.1%}",
            **{
                title: f"{group[key]:.4f}" if key in group else "one class only"
                for key, title in (("roc_auc", "ROC-AUC"), ("brier", "Brier"), ("recall", "recall"))
            },
        }
        for group in groups
        if group["rows"]
    ]
).set_index("group").rename_axis(index=None, columns="group")

# %% [markdown]
# ## 7. What a retention team should take from it
#
# A contact costs money whether or not its customer would have left; it earns something only where
# a leaver is kept. The next figure reckons for each length of list what is earned per 1,000
# customers:
#
# > leavers on the list × share of them who can be persuaded × what they bring in a year −
# > contacts × cost of a contact
#
# What a customer brings is the dashboard's own estimate (a share of spending and interest on the
# balance, from the settings). The cost of a contact and the share who can be persuaded are
# assumptions: the parameters at the top. The default of 0.3 is the mean that the profit measure
# of Verbraken, Verbeke and Baesens (2013, doi:10.1109/TKDE.2012.50) assumes; nobody has measured
# it here, and section 8 says why.

# %%
settings = Settings()
revenue = Revenue(settings.revenue_per_spend, settings.revenue_per_balance)
CONTACTED = np.linspace(0.01, 1, 100)  # the share of customers on a list
PERSUADED = (0.1, 0.2, 0.3, 0.5)


def listed(split: Split, given: Floats) -> pd.DataFrame:
    """The hold-out customers: probability, who left, and what each brings in a year (dollars)."""
    scored = with_list_columns(pa.table({"probability": given}), split.held, revenue)
    people: pd.DataFrame = scored.to_pandas()
    return people.assign(left=split.labels)


def earned(people: pd.DataFrame, order: str, persuaded: float) -> Floats:
    """Dollars a year per 1,000 customers, for each share of them contacted."""
    ranked = people.sort_values(order, ascending=False, kind="stable")
    contacts = np.arange(1, len(ranked) + 1)
    kept = (ranked["left"] * ranked["revenue"]).cumsum().to_numpy() * persuaded
    dollars = kept - contacts * contact_cost
    return np.interp(CONTACTED * len(ranked), contacts, dollars) * 1000 / len(ranked)


def over_lists(name: str, order: str, persuaded: float) -> Floats:
    """The same of each split: splits × shares contacted."""
    lists = [listed(split, given) for split, given in zip(SPLITS, answers[name], strict=True)]
    return np.array([earned(people, order, persuaded) for people in lists])


earnings = {
    "production, by revenue at risk": over_lists("production", "at_risk", persuaded_share),
    "production, by probability": over_lists("production", "probability", persuaded_share),
    "logistic regression, by revenue at risk": over_lists(
        "logistic regression", "at_risk", persuaded_share
    ),
}
by_persuasion = {
    share: over_lists("production", "at_risk", share).mean(axis=0) for share in PERSUADED
}

# %% alt="Dollars earned per 1,000 customers by share contacted, by model and by share persuaded."
figure, (model_axis, persuasion_axis) = figures.panels(2, height=3.6)
for (label, earning), ls in zip(earnings.items(), ("-", "--", "-."), strict=True):
    model_axis.plot(CONTACTED[:60], earning.mean(axis=0)[:60], ls=ls, label=label)
for share, dollars in by_persuasion.items():
    longest = int(dollars.argmax())
    persuasion_axis.plot(CONTACTED[:60], dollars[:60], color=figures.INKS[0])
    persuasion_axis.plot(CONTACTED[longest], dollars[longest], "o", color=figures.INKS[1])
    persuasion_axis.annotate(f"{share:.0%} persuaded", (0.37, dollars[36] + 150), fontsize=8)
model_axis.set(
    title=f"{persuaded_share:.0%} of leavers persuaded",
    ylabel="dollars earned a year\nper 1,000 customers",
)
model_axis.legend(loc="lower right", fontsize=8)
persuasion_axis.set(title="production, by revenue at risk; dots: best length")
for axis in (model_axis, persuasion_axis):
    axis.axhline(0, color="#444444", lw=0.8)
    axis.set(xlabel="share of customers contacted", xlim=(0, 0.6))
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    axis.yaxis.set_major_formatter("{x:,.0f}")

# %%
ours = earnings["production, by revenue at risk"]
best_length = int(ours.mean(axis=0).argmax())
top_tenth = [
    listed(split, given).nlargest(round(len(split.labels) * LIST_SHARE), "probability")["left"]
    for split, given in zip(SPLITS, answers["production"], strict=True)
]
found = fmean(
    left.sum() / split.labels.sum() for left, split in zip(top_tenth, SPLITS, strict=True)
)
on_list = fmean(left.mean() for left in top_tenth)
by_probability = earnings["production, by probability"]
tenth = round(LIST_SHARE * 100) - 1


def by_order(place: int) -> str:
    """What the order by revenue at risk earns more than that by probability, at one length."""
    more = assessment.over_splits((ours - by_probability)[:, place].tolist(), params)
    return f"{more.mean:+,.0f} dollars ({more.low:+,.0f} to {more.high:+,.0f})"


lengths = ", ".join(
    f"{CONTACTED[int(dollars.argmax())]:.0%} at {share:.0%}"
    for share, dollars in by_persuasion.items()
)
planned = params.campaigns.leaving_share
needed = customers_needed(planned, persuaded_share, control_share=0.1)
Markdown(
    f"* **The top of the list.** The likeliest tenth holds {found:.0%} of all leavers, and "
    f"{on_list:.0%} of those on it have left.\n"
    f"* **Its length.** Under these assumptions it pays to contact {CONTACTED[best_length]:.0%} of "
    f"customers, which earns {ours.mean(axis=0)[best_length]:,.0f} dollars a year per 1,000 "
    f"customers. The best length by the share who can be persuaded: {lengths}.\n"
    f"* **Its order.** Sorted by revenue at risk instead of probability, a list of a tenth of all "
    f"customers earns {by_order(tenth)} per 1,000 customers, one of the best length "
    f"{by_order(best_length)}.\n"
    f"* **Measure it.** Whether a call persuades anybody, only a control group tells. Of customers "
    f"who are still there far fewer leave than {on_list:.0%}; campaigns are planned with "
    f"{planned:.0%} (`campaigns.leaving_share`). If calls keep {persuaded_share:.0%} of those, a "
    f"campaign needs {needed:,} customers, a tenth of them not called, to show it reliably."
)

# %% [markdown]
# ## 8. What this data cannot say
#
# * **It recognises more than it warns.** There are no dates: one snapshot holds customers who
#   have left beside customers who have not, and the last twelve months of a leaver include the
#   months of leaving. A customer who has closed the account makes no transactions. Section 2
#   measured how much of the model's success hangs on that. A figure near 1 means that the two
#   kinds of customers are told apart, not that a leaver is known three months ahead. Only dated
#   snapshots can show that.
# * **Nobody was called.** The data says who left, not whom a call would have kept. The likeliest
#   to leave may be the hardest to persuade.
# * **Selection.** One bank, one country, one year, none of them named; whoever collected the rows
#   chose them by rules that are not published. The share of leavers may be an artefact of that
#   choice, and with it every precision here.
# * **Source and licence.** The data set's page names both. Published figures on it are common;
#   they compare models on this snapshot, and all share these limits.
# * **Intervals are of the split.** They say nothing of another year or another bank. The gate
#   judges every new model on the bank's own hold-out rows for that reason, and `measure_outcomes`
#   compares predictions with what came of them.

# %%
blind_auc = fmean(
    assessment.figures(split, given)["roc_auc"]
    for split, given in zip(BLIND, answers["without activity"], strict=True)
)
quieter = stayed["Total_Trans_Ct"].median() / left["Total_Trans_Ct"].median()
Markdown(
    f"In figures: the typical stayer makes {quieter:.1f} times as many transactions as the "
    f"typical leaver, and a model that does not see activity reaches a ROC-AUC of {blind_auc:.3f}, "
    "where 0.5 is chance."
)

# %% [markdown]
# ### How far the made-up customers carry
#
# Where real customers are given, a model trained on made-up ones is judged on them. It says
# whether what is tried on the sample (this page without a file, `make run`, the tests) means
# anything.


# %%
def trained_on_sample(seed: int) -> float:
    """ROC-AUC on this page's customers of a model that knows made-up ones only."""
    made_up = Study(sample_customers(20_000, seed=seed), contract, params, "")
    fitted = assessment.make_splits(made_up, 1)[0].fitted({})
    given = fitted.probabilities(contract.matrix(frame, fitted.columns))
    return evaluation.scores(labels, given, threshold=0.5)["roc_auc"]


Markdown(
    "ROC-AUC on the real customers, trained on 20,000 made-up ones: "
    + ", ".join(f"{trained_on_sample(seed):.4f}" for seed in range(SAMPLE_SEED, SAMPLE_SEED + 3))
    if csv
    else "These customers are made up; `make research CSV=path` looks at real ones."
)

# %% [markdown]
# ## Summary

# %% tags=["summary"]
everything = {
    "number of transactions alone": answers["number of transactions alone"],
    "logistic regression": answers["logistic regression"],
    "random forest": answers["random forest"],
    "XGBoost, eight columns": answers["eight columns"],
    "XGBoost": all_columns,
    **{f"XGBoost, {name}": answers[name] for name in BALANCED},
}
titles = {
    key: SHOWN[key] for key in ("roc_auc", "f1", "calibration_error", "brier", "top_tenth_recall")
}
summary = assessment.compare(everything, SPLITS, titles).rename_axis(columns=study.source)
with pd.option_context("display.width", 160):
    display(summary)
