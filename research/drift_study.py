# %% [markdown]
# # When is a changed day worth an alarm?
#
# Every day `churn_drift` compares the customers whom the model was asked about with those whom it
# was trained on. If they differ, a training run starts. An alarm that rings for nothing costs a
# training run, and soon nobody looks any more; an alarm that stays silent leaves a stale model in
# production. This study counts both kinds of error, and shows why the rule in
# `include/config/params.yaml` is what it is.
#
# Everything below is computed when this page is made, with the same functions that run in
# production (`include/drift`). Nothing is typed in by hand: change a rule, run `make research`,
# and the text says something else.

# %%
# %config InlineBackend.figure_format = "retina"
from dataclasses import dataclass

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.ticker import PercentFormatter
from scipy.stats import binomtest

from include.drift import statistics
from include.drift.findings import Verdict
from research import bank_days, figures
from research.bank_days import Change, Floats, Population
from research.customers import EIGHT_COLUMNS, open_study

# %% tags=["parameters"]
csv = ""  # real customers; empty: made-up ones
sample_rows = 10_000  # of the made-up ones
days = 40  # each alarm rate is counted over so many

# %%
figures.set_style()
study = open_study(csv, sample_rows=sample_rows)
rules = study.params.drift
Markdown(
    f"**Customers:** {study.source}. **Budget:** {days} days behind each rate. "
    f"**The rule in production:** at least {rules.rows_min:,} customers a day; each feature and "
    "the score tested "
    f"(Kolmogorov–Smirnov, chi-squared); Benjamini–Hochberg at {rules.false_discovery_rate:.0%} "
    "over all of them; and "
    f"a floor on the size of the change: {rules.ks_floor:.0%} of customers for numbers, "
    f"{rules.category_floor:.0%} for categories."
)

# %% [markdown]
# ## 1. A bank whose days we know
#
# To count errors one must know the truth, and no log tells it. So the days here are made: half of
# the customers are a champion's world (its training rows, and the rows that drift is measured
# against); each day is drawn from the other half, whom the champion has never seen. A day drawn
# as it comes is *quiet*: whatever rings is a false alarm. A day that we change beforehand has
# *drifted*: whatever stays silent is a miss. Because one way of halving the customers could be
# lucky, the days are spread over three.

# %%
BANKS = [bank_days.make_bank(study, salt=f"halves-{place}") for place in range(3)]
bank = BANKS[0]
sizes = pd.DataFrame(
    {
        "reference: training rows": [each.reference.rows("all") for each in BANKS],
        "reference of the score: rows that no tree saw": [
            each.reference.rows("all", statistics.SCORE) for each in BANKS
        ],
        "customers to draw days from": [len(each.left) for each in BANKS],
        "of them left": [f"{each.left.mean():.1%}" for each in BANKS],
    },
    index=[f"bank {place + 1}" for place in range(len(BANKS))],
)
sizes


# %%
@dataclass(frozen=True)
class Outcome:
    """What one day's verdicts would have led to under each rule."""

    any_p: bool  # any of all features below 0.05
    any_p_of_eight: bool
    corrected: bool  # Benjamini-Hochberg, no floor
    rings: bool  # the rule in production, as if that judged a day of any size
    largest: float  # difference of any number, category or the score, significant or not
    floor_needed: float  # the floor that would have kept the day silent


def outcome(verdicts: tuple[Verdict, ...]) -> Outcome:
    low = {verdict.feature for verdict in verdicts if verdict.p_value < 0.05}
    return Outcome(
        any_p=bool(low),
        any_p_of_eight=bool(low & set(EIGHT_COLUMNS)),
        corrected=any(verdict.significant for verdict in verdicts),
        rings=statistics.day_drifted(verdicts, rules),
        largest=max(verdict.effect for verdict in verdicts),
        floor_needed=max((v.effect for v in verdicts if v.significant), default=0.0),
    )


def live(
    rows: int, count: int, change: Change | None = None, population: Population = "all"
) -> pd.DataFrame:
    """So many days of so many customers each, over all banks; the same call gives the same days."""
    random = np.random.default_rng([rows, count])
    lived = []
    for number in range(count):
        here = BANKS[number % len(BANKS)]
        day = here.draw(rows, random, population=population)
        lived.append(outcome(here.judge(change(here, day, random) if change else day, rules)))
    return pd.DataFrame(lived)


def rate(rung: "pd.Series[bool]") -> tuple[float, float, float]:
    """The share of days that rang, with its 95 % interval (Wilson)."""
    found = binomtest(int(rung.sum()), len(rung)).proportion_ci(0.95, method="wilson")
    return float(rung.mean()), float(found.low), float(found.high)


def shown(rung: "pd.Series[bool]") -> str:
    share, low, high = rate(rung)
    together = "\u2060"  # no line breaks here
    return f"{share:.0%}\u00a0({low:.0%}{together}–{together}{high:.0%})"


# %% [markdown]
# ## 2. Quiet days: who cries wolf?
#
# The rule that many public examples use is "any feature with p < 0.05 means drift". Each test rings
# by design on one quiet day in twenty, so the more features there are, the surer is a false alarm.
# Correcting for the number of tests (Benjamini–Hochberg) mends that as long as reference and day
# come from *exactly* the same customers; they never quite do, and with enough rows even a
# difference that matters to nobody becomes significant. The floor asks a second question: is it
# large?
#
# A bank asks about the customers whom it still has, some callers about everybody it ever had.
# Neither is drift. Under `drift.reference: nearest` each day is compared with both kinds of
# reference rows, and the nearer one counts.
#
# Production judges no day of fewer than `drift.rows_min` customers, and so none of those rings
# there. They are judged here to show what it would be like if it did.

# %% alt="Share of quiet days that ring under four rules, by customers a day."
ROWS = tuple(sorted({200, 500, 1_000, rules.rows_min, 5_000}))
RULES = {
    "any_p": "any of all features p < 0.05",
    "any_p_of_eight": "any of eight features p < 0.05",
    "corrected": "corrected for many tests, no floor",
    "rings": f"corrected, and above the floor (production, from {rules.rows_min:,} customers on)",
}
POPULATIONS: dict[Population, str] = {"all": "all customers", "existing": "existing customers only"}
quiet = {
    population: {rows: live(rows, days, population=population) for rows in ROWS}
    for population in POPULATIONS
}

figure, axes = figures.panels(2, height=3.6)
for place, (population, title) in enumerate(POPULATIONS.items()):
    for (rule, label), ink, mark in zip(
        RULES.items(), (*figures.INKS[1:4], figures.INKS[0]), figures.MARKS, strict=False
    ):
        found = np.array([rate(quiet[population][rows][rule]) for rows in ROWS])
        axes[place].plot(ROWS, found[:, 0], color=ink, marker=mark, label=label)
        axes[place].fill_between(ROWS, found[:, 1], found[:, 2], color=ink, alpha=0.12, lw=0)
    axes[place].set(title=title, xscale="log", xlabel="customers a day", ylim=(-0.02, 1))
    axes[place].set_xticks(ROWS, [f"{rows:,}" for rows in ROWS], minor=False)
    axes[place].minorticks_off()
    axes[place].yaxis.set_major_formatter(PercentFormatter(1))
axes[0].set_ylabel("quiet days that ring")
figures.legend_below(figure, axes[:1], columns=2)

# %%
at_minimum = {population: quiet[population][rules.rows_min] for population in POPULATIONS}
pd.DataFrame(
    {
        title: {label: shown(at_minimum[population][rule]) for rule, label in RULES.items()}
        for population, title in POPULATIONS.items()
    }
).rename_axis(columns=f"quiet days of {rules.rows_min:,} customers that ring (95 % interval)")

# %%
both = pd.concat(at_minimum.values())
in_a_year = {rule: 365 * both[rule].mean() for rule in RULES}
Markdown(
    f"**False alarms in a year of quiet days** with {rules.rows_min:,} customers each: "
    f'{in_a_year["any_p"]:.0f} under "any feature p < 0.05", {in_a_year["any_p_of_eight"]:.0f} '
    f"with the eight columns of the reference system, {in_a_year['corrected']:.0f} with the "
    f"correction alone, and {in_a_year['rings']:.0f} under the rule in production (at most "
    f"{365 * rate(both['rings'])[2]:.0f} with 95 % confidence, as {len(both)} days show it). A day "
    "of fewer customers raises none in production, where it is not judged."
)

# %% [markdown]
# ## 3. How many customers does a day need?
#
# Chance alone moves a distribution, the more the fewer customers there are. The floor keeps quiet
# days silent only where chance stays below it. The next figure shows the largest difference of
# any feature or the score that quiet days came up with: half of the days lie below the line,
# nineteen of twenty below the band's upper edge.

# %% alt="Largest difference of any feature or the score on quiet days, by customers a day."
figure, axes = figures.panels(2, height=3.2)
for place, (population, title) in enumerate(POPULATIONS.items()):
    spread = np.array([quiet[population][r]["largest"].quantile([0.05, 0.5, 0.95]) for r in ROWS])
    axes[place].fill_between(
        ROWS, spread[:, 0], spread[:, 2], alpha=0.2, lw=0, label="90 % of quiet days"
    )
    axes[place].plot(ROWS, spread[:, 1], marker="o", label="median of quiet days")
    axes[place].axhline(rules.ks_floor, color=figures.INKS[1], ls="--", label="floor")
    axes[place].axvline(rules.rows_min, color=figures.QUIET, ls=":", label="minimum of rows")
    axes[place].set(title=title, xscale="log", xlabel="customers a day", ylim=(0, None))
    axes[place].set_xticks(ROWS, [f"{rows:,}" for rows in ROWS])
    axes[place].minorticks_off()
    axes[place].yaxis.set_major_formatter(PercentFormatter(1))
axes[0].set_ylabel("largest difference of a day\n(share of customers)")
figures.legend_below(figure, axes[:1], columns=4)

# %%
beyond = {
    rows: float(pd.concat([quiet[p][rows]["largest"] for p in POPULATIONS]).quantile(0.95))
    for rows in ROWS
}
safe = [rows for rows in ROWS if beyond[rows] < rules.ks_floor]
Markdown(
    "On nineteen of twenty quiet days neither a feature nor the score differs by more than "
    + ", ".join(f"{beyond[rows]:.1%} with {rows:,} customers" for rows in ROWS)
    + ". "
    + (
        f"From {min(safe):,} customers on that is below the floor of {rules.ks_floor:.0%}; the "
        "minimum of "
        f"{rules.rows_min:,} leaves room above it."
        if safe
        else f"That is above the floor of {rules.ks_floor:.0%} at every size tried here."
    )
)

# %% [markdown]
# ## 4. Changed days: what does the rule see?
#
# Four kinds of change, each in several sizes:
#
# * **one number moves**: every customer makes more transactions;
# * **a category moves**: some customers' income becomes the lowest band;
# * **the score alone moves**: the same customers get other answers, as when a model or a feature
#   is computed otherwise;
# * **other customers**: more of those come who are about to leave. Many features move a little at
#   once.
#
# The horizontal axis is the true size of each change: the share of customers by which the most
# affected feature differs, measured on all customers at once. So all kinds can be held against
# the same floor. Days of fewer than `drift.rows_min` customers are judged here by production's
# rule, which production itself does not apply to them.


# %% alt="Share of changed days that ring, by true size, for four kinds of change."
@dataclass(frozen=True)
class Kind:
    """A kind of change, in ascending sizes."""

    title: str
    written: str
    changes: dict[float, Change]


LOWEST_INCOME = "Less than $40K"
KINDS = (
    Kind(
        "one number moves (Total_Trans_Ct)",
        "{:g} standard deviations",
        {size: bank_days.shift("Total_Trans_Ct", size) for size in (0.1, 0.2, 0.35, 0.6, 1.0)},
    ),
    Kind(
        "a category moves (Income_Category)",
        "{:.0%} of customers",
        {
            size: bank_days.recategorise("Income_Category", LOWEST_INCOME, size)
            for size in (0.08, 0.15, 0.2, 0.3, 0.4)
        },
    ),
    Kind(
        "the score alone moves",
        "{:+g} log-odds",
        {size: bank_days.shift_score(size) for size in (0.1, 0.25, 0.5, 0.75, 1.5)},
    ),
    Kind(
        "other customers: more who leave",
        "{:.0%} of customers leave",
        {share: bank_days.more_leavers(share) for share in (0.2, 0.3, 0.4, 0.5, 0.65)},
    ),
)
POWER_ROWS = (500, rules.rows_min, 5_000)
A_DAY = {  # in words
    rows: f"{rows:,} customers a day"
    + (" (not judged in production)" if rows < rules.rows_min else "")
    for rows in POWER_ROWS
}
power_days = max(days // 3, 10)
sizes_of = {
    kind.title: [bank_days.true_effect(bank, change, rules)[1] for change in kind.changes.values()]
    for kind in KINDS
}
changed = {
    (kind.title, size, rows): live(rows, power_days, change)
    for kind in KINDS
    for size, change in kind.changes.items()
    for rows in POWER_ROWS
}

figure, axes = figures.panels(2, rows=2, height=3.1)
for axis, kind in zip(axes, KINDS, strict=True):
    for rows, mark in zip(POWER_ROWS, figures.MARKS, strict=False):
        shares = [float(changed[kind.title, size, rows]["rings"].mean()) for size in kind.changes]
        axis.plot(sizes_of[kind.title], shares, marker=mark, label=A_DAY[rows])
    axis.axvline(rules.ks_floor, color=figures.QUIET, ls="--", label="floor")
    axis.set(title=kind.title, ylim=(-0.03, 1.03), xlim=(0, None))
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
for axis in axes[2:]:
    axis.set_xlabel("true size of the change (share of customers)")
for axis in axes[::2]:
    axis.set_ylabel("changed days that ring")
figures.legend_below(figure, axes[:1], columns=2)

# %%
pd.DataFrame(
    [
        {
            "change": kind.title if place == 0 else "",
            "size": kind.written.format(size),
            "true size": f"{effect:.0%}",
            "the rule in production": shown(changed[kind.title, size, rules.rows_min]["rings"]),
            "any p < 0.05": shown(changed[kind.title, size, rules.rows_min]["any_p"]),
        }
        for kind in KINDS
        for place, (size, effect) in enumerate(zip(kind.changes, sizes_of[kind.title], strict=True))
    ]
).set_index("change").rename_axis(
    index=None, columns=f"changed days of {rules.rows_min:,} customers that ring"
)

# %%
below = [
    (kind.title, size)
    for kind in KINDS
    for size, effect in zip(kind.changes, sizes_of[kind.title], strict=True)
    if effect <= rules.ks_floor
]
rung_below = {
    rows: float(np.mean([changed[title, size, rows]["rings"].mean() for title, size in below]))
    for rows in POWER_ROWS
}
Markdown(
    "With few customers a day the rule is not blind but loose: chance adds to the difference "
    "that it sees, which is why production applies it only from "
    f"{rules.rows_min:,} customers on. Of the changes that are truly below the floor, the rule "
    "rings for "
    + ", ".join(f"{share:.0%} at {A_DAY[rows]}" for rows, share in rung_below.items())
    + "."
)

# %% [markdown]
# ## 5. Where should the floor be?
#
# A higher floor trades misses for silence. Each day's verdicts say which floor would just have
# kept it silent, so every floor can be tried on the same days: the quiet ones of section 2, and
# of section 4 those days whose change is large enough that somebody should look (a fifth of
# customers or more) or too small to matter (below a twentieth). Again the days below
# `drift.rows_min` show what production would meet if it judged them: there they raise no alarm,
# false or true, under any floor.

# %% alt="Share of quiet, slightly and largely changed days that ring, by floor."
FLOORS = np.linspace(0, 0.25, 51)
LARGE, SMALL = 0.2, 0.05
by_size = {
    "large": [
        (kind.title, size)
        for kind in KINDS
        for size, effect in zip(kind.changes, sizes_of[kind.title], strict=True)
        if effect >= LARGE
    ],
    "small": [
        (kind.title, size)
        for kind in KINDS
        for size, effect in zip(kind.changes, sizes_of[kind.title], strict=True)
        if effect < SMALL
    ],
}


def silent_from(rows: int, size: str) -> Floats:
    """The floor that keeps each of the days silent."""
    if size == "quiet":
        lived = [quiet[population][rows] for population in POPULATIONS]
    else:
        lived = [changed[title, each, rows] for title, each in by_size[size]]
    return pd.concat(lived)["floor_needed"].to_numpy(dtype=np.float64)


def rung_share(rows: int, size: str, floor: float) -> float:
    """The share of the days that ring under a floor."""
    return float((silent_from(rows, size) > floor).mean())


PANELS = {
    "quiet": "quiet days",
    "small": f"changes below {SMALL:.0%}",
    "large": f"changes of {LARGE:.0%} or more",
}
figure, axes = figures.panels(3, height=3.2)
for axis, (size, title) in zip(axes, PANELS.items(), strict=True):
    for rows, ls in zip(POWER_ROWS, (":", "-", "--"), strict=True):
        axis.plot(
            FLOORS,
            [rung_share(rows, size, floor) for floor in FLOORS],
            ls=ls,
            label=A_DAY[rows],
        )
    axis.axvline(rules.ks_floor, color=figures.QUIET, ls="--", lw=1, label="floor in production")
    axis.set(title=title, xlabel="floor (share of customers)", ylim=(-0.03, 1.03))
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
axes[0].set_ylabel("days that ring")
figures.legend_below(figure, axes[:1], columns=2)

# %%
candidates = (
    pd.DataFrame(
        [
            {
                "days of": A_DAY[rows],
                "floor": f"{floor:.0%}",
                "false alarms a year, if judged": f"{365 * rung_share(rows, 'quiet', floor):.0f}",
                f"rings below {SMALL:.0%}": f"{rung_share(rows, 'small', floor):.0%}",
                f"rings from {LARGE:.0%}": f"{rung_share(rows, 'large', floor):.0%}",
            }
            for rows in POWER_ROWS
            for floor in (0.0, 0.05, rules.ks_floor, 0.15)
        ]
    )
    .set_index("days of")
    .rename_axis(index=None, columns="days of")
)
candidates

# %% [markdown]
# ## 6. What follows

# %% tags=["summary"]
large = pd.concat(
    [changed[title, size, rules.rows_min]["rings"] for title, size in by_size["large"]]
)
pd.DataFrame(
    {
        "quiet days: any p < 0.05": shown(both["any_p"]),
        "quiet days: any p < 0.05, eight columns": shown(both["any_p_of_eight"]),
        "quiet days: corrected, no floor": shown(both["corrected"]),
        "quiet days: the rule in production": shown(both["rings"]),
        f"changes of {LARGE:.0%} or more: the rule in production": shown(large),
    },
    index=["ring (95 % interval)"],
).T.rename_axis(columns=f"days of {rules.rows_min:,} customers, {study.source}")

# %%
Markdown(
    "* **Keep the correction and the floor together.** On the same quiet days the rule of the "
    "reference system rings "
    f"on {both['any_p_of_eight'].mean():.0%}, the correction alone on "
    f"{both['corrected'].mean():.0%}, both together on "
    f"{both['rings'].mean():.0%}.\n"
    f"* **The price** is that changes below the floor of {rules.ks_floor:.0%} pass unseen by "
    "design; of those of "
    f"{LARGE:.0%} or more, {large.mean():.0%} ring.\n"
    f"* **The minimum of {rules.rows_min:,} customers** is where chance alone reaches "
    f"{beyond[rules.rows_min]:.1%} on one quiet day in twenty; with 500 it reaches "
    f"{beyond[500]:.1%}. A bank with fewer "
    "customers a day should look at several days together rather than lower it."
)

# %% [markdown]
# ### What this study cannot say
#
# * The days are drawn anew from one snapshot, so they know no weekends, pay days or seasons. Real
#   quiet days differ from each other more than these do: read the false alarms as a lower bound.
# * The reference here is half of the customers; in production it is all of them, so chance is a
#   little smaller there.
# * Drift of the customers is not the same as a worse model. A change of the rule by which
#   customers leave, with the customers as they were, moves no distribution: only outcomes show it
#   (`measure_outcomes`).
