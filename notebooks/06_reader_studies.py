# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Reader studies: does the network help physicians, and is it as good as they are?
#
# Two published designs, each **as such studies are usually analysed** and **as they should be**:
#
# 1. **Testicular torsion.** Experts and juniors read the same boys with acute scrotum without and
#    with a network. Does it help? Does it help juniors more?
# 2. **Biliary atresia.** Fourteen radiologists and a phone app read the same infants. Is the app
#    better than radiologists?
#
# All readings are **SYNTHETIC**, drawn from a law whose true AUCs are known. So we can say not only
# what an analysis finds, but whether it is right.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import usstats
from reports.synthetic.readings import BILIARY_ATRESIA, TORSION
from usstats.plots.readers import plot_reader_points

COLUMNS = {
    "truth": "truth",
    "case": "case",
    "reader": "reader",
    "condition": "condition",
    "rating": "rating",
}

# %% [markdown]
# ## 1. Torsion: 8 physicians, 160 boys, without and with the network
#
# Every reader reads every boy twice, four weeks apart. Half of the readers begin without the
# network, half with it. A rating is a confidence from 0 to 100. In the population that these
# readers come from, the truth is:

# %%
truth = TORSION.true_auc()
truth.round(3)

# %%
readings = TORSION.draw(seed=20261121)
readings.groupby(["experience", "condition"]).agg(
    readers=("reader", "nunique"), cases=("case", "nunique"), seconds=("reading_time", "median")
)

# %% [markdown]
# ### As it is usually done
#
# The ratings of a group are averaged, the average is treated as one reader, and the p values of the
# two groups are set beside each other.

# %%


def averaged(part):
    """One "reader" who is the mean of all, with and without the network, by DeLong."""
    mean = part.groupby(["case", "truth", "condition"])["rating"].mean().unstack().reset_index()
    both = usstats.compare_auc(mean["truth"], {name: mean[name] for name in ("aided", "unaided")})
    return both.frame().iloc[0]


usual = pd.DataFrame({name: averaged(part) for name, part in readings.groupby("experience")}).T[
    ["auc_1", "auc_2", "estimate", "conf_low", "conf_high", "p_value"]
]
usual.rename(columns={"auc_1": "aided", "auc_2": "unaided", "estimate": "difference"})

# %% [markdown]
# The averaged reader is better than the people he is made of, because their errors cancel, and he
# leaves the network less to improve. His interval knows cases only: other readers would give
# another.
#
# ### As it should be done
#
# Obuchowski and Rockette's analysis keeps the readers apart, treats readers *and* cases as samples,
# and compares the groups by one number with one interval: the interaction.

# %%
effect = usstats.assistance_effect(
    readings,
    **COLUMNS,
    experience="experience",
    reading_time="reading_time",
    session="session",
    order="order",
    washout="washout",
    threshold=50,
    standalone="network",
    standalone_threshold=0.5,
)
print(effect.summary())

# %%
right = effect.frame()
difference = right[right["measure"] == "difference"].copy()
difference["experience"] = difference["group"].fillna("all")
found = difference.set_index("experience")[["estimate", "conf_low", "conf_high"]].astype(float)
wrong = usual[["estimate", "conf_low", "conf_high"]].astype(float)
side = found.join(truth.set_index("experience")["difference"].rename("truth"))
side.join(wrong, rsuffix="_averaged").round(3)

# %%
network = usstats.roc_curve(
    *readings.drop_duplicates("case")[["truth", "network"]].to_numpy().T, band="bootstrap", seed=1
)
_, ax = plt.subplots(figsize=(4.2, 4.2))
plot_reader_points(effect.operating_points, ax, curve={"network alone": network})
plt.show()

# %%
_, ax = plt.subplots(figsize=(4.2, 3.2))
effect.plot(ax)
plt.show()

# %% [markdown]
# ### Who is right? A hundred studies
#
# One study proves little. Draw a hundred, and count how often the 95 % interval of each analysis
# holds the true difference.

# %%


def covers(row, value):
    return row["conf_low"] <= value <= row["conf_high"]


true_difference = truth.set_index("experience")["difference"]
rows = []
for seed in range(100):
    study = TORSION.draw(seed=seed)
    for name, part in study.groupby("experience"):
        kept = usstats.reader_study(part, **COLUMNS).differences.iloc[0]
        rows.append((name, "averaged reader", covers(averaged(part), true_difference[name])))
        rows.append((name, "Obuchowski-Rockette", covers(kept, true_difference[name])))
coverage = pd.DataFrame(rows, columns=["experience", "analysis", "covered"])
coverage = coverage.groupby(["analysis", "experience"])["covered"].mean().unstack()
coverage

# %% [markdown]
# ## 2. Biliary atresia: 14 radiologists and an app
#
# The app's score is fixed: it is the same for whoever holds the phone. The radiologists are a
# sample.

# %%
alone = BILIARY_ATRESIA.true_auc()[["experience", "n_reader", "unaided"]]
alone.round(3)

# %%
infants = BILIARY_ATRESIA.draw(seed=2026, aided=False)
app = infants.drop_duplicates("case")
app_auc = usstats.auc(app["truth"], app["network"])
app_auc

# %% [markdown]
# ### As it is usually done
#
# Fourteen DeLong tests, one for each radiologist, and a count of the significant ones; or again the
# averaged reader.

# %%
ratings = infants.pivot(index="case", columns="reader", values="rating").loc[app["case"]]
tests = usstats.compare_auc(
    app["truth"].to_numpy(),
    {"app": app["network"].to_numpy()} | {name: ratings[name].to_numpy() for name in ratings},
    contrasts=[("app", name) for name in ratings],
).frame()
{
    "app better, p < 0.05": int(((tests["estimate"] > 0) & (tests["p_value"] < 0.05)).sum()),
    "after Holm": int(((tests["estimate"] > 0) & (tests["p_adjusted"] < 0.05)).sum()),
}

# %%
mean_rating = ratings.mean(axis=1).to_numpy()
one_reader = usstats.compare_auc(
    app["truth"].to_numpy(), {"app": app["network"].to_numpy(), "mean rating": mean_rating}
).frame()
one_reader[["auc_1", "auc_2", "estimate", "conf_low", "conf_high", "p_value"]].round(3)

# %% [markdown]
# ### As it should be done
#
# One question: is the app better than the radiologist these fourteen stand for?

# %%
comparison = usstats.compare_standalone(
    infants, truth="truth", case="case", reader="reader", rating="rating", standalone="network"
)
print(comparison.summary())

# %%
true_gain = BILIARY_ATRESIA.network_auc - alone.set_index("experience")["unaided"]["all"]
overall = comparison.frame().iloc[0]
pd.DataFrame(
    {
        "averaged reader": one_reader.iloc[0][["estimate", "conf_low", "conf_high"]].astype(float),
        "random readers": overall[["estimate", "conf_low", "conf_high"]].astype(float),
        "truth": pd.Series({"estimate": true_gain}),
    }
).T.round(3)

# %%
points = pd.DataFrame(
    [
        {
            "reader": name,
            "group": part["experience"].iloc[0],
            "condition": "unaided",
            "sensitivity": (part.loc[part["truth"] == 1, "rating"] >= 50).mean(),
            "specificity": (part.loc[part["truth"] == 0, "rating"] < 50).mean(),
        }
        for name, part in infants.groupby("reader")
    ]
)
curve = usstats.roc_curve(app["truth"], app["network"], band="bootstrap", seed=2)
_, ax = plt.subplots(figsize=(4.2, 4.2))
plot_reader_points(points, ax, curve={"app": curve})
plt.show()

# %% [markdown]
# ## How many readers, how many cases, next time?
#
# The variance components of this study plan the next one.

# %%
study = effect.study
plan = usstats.sample_size_readers(
    0.05, variances=study.variances(), readers=range(4, 33, 4), cases=[80, 120, 160, 240]
)
print(plan.summary())
plan.table().round(2)

# %%
_, ax = plt.subplots(figsize=(3.8, 2.8))
plan.plot(ax)
plt.show()

# %% [markdown]
# ## What to take home
#
# * Never average ratings before an AUC: the mean of several readers is a reader nobody has.
# * Readers are a sample. An interval that knows cases only speaks for these readers only.
# * "Significant in juniors, not in experts" is no difference between them; the interaction is.
# * A network is one system: compare it with the readers' average once, not with each of fourteen.

# %%
summary = {
    "true_difference_junior": float(true_difference["junior"]),
    "difference_junior": float(found.loc["junior", "estimate"]),
    "difference_junior_averaged": float(wrong.loc["junior", "estimate"]),
    "coverage_reader_study": float(np.mean(coverage.loc["Obuchowski-Rockette"])),
    "coverage_averaged_reader": float(np.mean(coverage.loc["averaged reader"])),
    "true_gain_of_app": float(true_gain),
    "gain_of_app": float(overall["estimate"]),
}
{name: round(value, 3) for name, value in summary.items()}
