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
# # Skin tumours: three classes, an attention gate, a policy search, and where the network looks
#
# A published network tells lipomas, epidermal cysts and pilomatricomas apart on ultrasound: a
# ResNet18 with attention gates, focal loss, and augmentation found by a search. Its code shows how
# the numbers came about: images were dealt into folders without a patient key, the best accuracy on
# the judged folder was the result, the policies were chosen by a loss that rewards doing nothing,
# the networks that chose them took the softmax of a softmax, and the rarest class had the smallest
# weight.
#
# This notebook follows that study twice: **as published**, and **as it should be done**. Every
# tumour is **SYNTHETIC**: drawn by a program whose law we know, so that we can tell who is right.

# %%
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

import usstats
from dl.config import AugmentConfig, TrainConfig
from dl.crossval import cross_validate
from dl.explain import cam_frame, explain
from dl.policy import PolicySearch
from dl.policy_search import found_policies
from dl.predict import predict
from reports.files import write_json
from reports.synthetic.as_published import (
    Recipe,
    policies_as_published,
    put_aside,
    train_as_published,
)
from reports.synthetic.skin import SKIN, SKIN_CLASSES
from reports.synthetic.small_network import SMALL_GATED
from usstats.plots.cam import plot_cam_panels

SEED = 20261121
CLASSES = list(SKIN_CLASSES)
home = Path(tempfile.mkdtemp())
drawn = SKIN.draw(home / "clinic", n_patients=80, seed=SEED)
new = SKIN.draw(home / "elsewhere", n_patients=60, seed=SEED + 1, prefix="N")
drawn

# %% [markdown]
# ## The tumours
#
# 80 patients with two to four images each, and 60 others seen elsewhere, whom no training sees.
# Four tumours in five look like what they are; the others look like another class, and pictures
# alone cannot tell. Some images carry a caliper mark, by chance alone.

# %%
pd.crosstab(drawn.truth["label"], drawn.truth["look"]).loc[CLASSES, CLASSES]

# %%
fig, axes = plt.subplots(1, 6, figsize=(11, 2.3))
typical = drawn.truth[drawn.truth["label"] == drawn.truth["look"]].drop_duplicates("patient_id")
examples = typical.groupby("label").head(2).sort_values("label")
for ax, row in zip(axes, examples.to_dict("records"), strict=True):
    ax.imshow(Image.open(home / f"clinic/images/{row['image_id']}.png"), cmap="gray")
    mask = np.asarray(Image.open(home / f"clinic/masks/{row['image_id']}.png"))
    ax.contour(mask, [0.5], colors="tab:orange", linewidths=1)
    ax.set_title(row["label"], fontsize=9)
    ax.axis("off")
fig.suptitle("SYNTHETIC")
fig.tight_layout()

# %% [markdown]
# So the best AUC that anybody can reach who sees every look without error, each class against the
# others, is known:

# %%
best = SKIN.best_auc()
{name: round(value, 3) for name, value in best.items()}

# %% [markdown]
# ## As published
#
# Three in ten images go into the judged folder, whoever they are of. A child network, with two
# softmaxes, chooses the augmentation policies with the smallest loss on the judged images; the
# network is trained with them, by a focal loss with the published weights, and the epoch with the
# best accuracy on the judged images is the result. The gates are those of `attention_resnet18`, on
# a trunk that trains in seconds.


# %%
def macro_auc(table: pd.DataFrame, *, by_patient: bool = True) -> usstats.MulticlassAuc:
    """Mean of the one-vs-rest AUCs; the interval counts patients, or takes images for them."""
    cluster = table["patient_id"] if by_patient else None
    return usstats.multiclass_auc(
        table["label"], table[CLASSES], classes=CLASSES, average="macro", cluster=cluster
    )


train, folder = put_aside(drawn.study, share=0.3, seed=SEED, by="image")
judged = {"judged folder": folder, "new patients": new.study}
recipe = Recipe(architecture=SMALL_GATED, classes=SKIN_CLASSES, epochs=12, seed=SEED)
child = train_as_published(
    train, judged, replace(recipe, softmax_twice=True), cache_dir=home / "cache"
)
policies = policies_as_published(child, folder, candidates=60, seed=1)
recipe = replace(
    recipe,
    policy=tuple(policies["sub_policy"].head(5)),
    gamma=3.0,
    alpha=(0.75, 0.75, 0.25),
    epochs=30,
)
published = train_as_published(train, judged, recipe, cache_dir=home / "cache")
published

# %%
promised = macro_auc(published.predictions["judged folder"], by_patient=False)
promised_by_patient = macro_auc(published.predictions["judged folder"])
kept_published = macro_auc(published.predictions["new patients"])
pd.DataFrame(
    {
        "judged folder, images for patients": promised,
        "judged folder, by patient": promised_by_patient,
        "new patients": kept_published,
    }.items(),
    columns=["as published", "macro AUC"],
).set_index("as published")["macro AUC"].map(
    lambda a: f"{a.estimate:.3f} ({a.conf_low:.3f} to {a.conf_high:.3f})"
).to_frame()

# %%
_, ax = plt.subplots(figsize=(4.6, 2.8))
ax.plot(published.history["epoch"], published.history["judged folder"], label="judged folder")
ax.plot(published.history["epoch"], published.history["new patients"], "--", label="new patients")
ax.axvline(published.epoch, color="0.6", linewidth=1)
ax.set_xlabel("Epoch (line: the one chosen)")
ax.set_ylabel("Accuracy")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The judged folder promises more than anybody can reach who has not met the patients: the network
# knows odd tumours from their other images. (The interval by patient just includes that bound; a
# single folder proves little, and other seeds give gaps of other sizes.) In new patients the
# promise is not kept.
#
# ### Two softmaxes
#
# What the child network calls probabilities cannot pass 0.576, whatever it has seen. The toolkit
# notices:

# %%
theirs = child.predictions["new patients"]
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    macro_auc(theirs)
print(said[0].message)
top = theirs[CLASSES].max(axis=1)
{
    "largest value two softmaxes can give": round(float(np.e / (np.e + 2)), 3),
    "largest given": round(float(top.max()), 3),
    "mean of the largest of each image": round(float(top.mean()), 3),
    "share that was right": round(
        float((theirs[CLASSES].idxmax(axis=1) == theirs["label"]).mean()), 3
    ),
}

# %% [markdown]
# ### What the published search rewards
#
# The probability of an operation scales its harm, and it was searched along with the operation: the
# loss is smallest where little is done. 60 random policies, by the rank of their loss:

# %%
ranked = policies.assign(rank=pd.qcut(policies.index, 4, labels=["best", "2nd", "3rd", "worst"]))
ranked.groupby("rank", observed=True)[["probability", "loss"]].mean().round(3)

# %% [markdown]
# ## As it should be done
#
# Folds that keep a patient together. The policy is searched inside each training part: every
# candidate is tried at full probability, must change the picture visibly, and competes with the
# others, not with doing nothing. Focal loss on logits, one softmax, all classes alike; the epoch is
# chosen on tuning patients, and the probabilities are calibrated out of fold.

# %%
config = TrainConfig(
    name="gated",
    classes=SKIN_CLASSES,
    architecture=SMALL_GATED,
    weights=None,
    region="whole",
    input_size=64,
    folds=3,
    epochs=15,
    lr=3e-3,
    head_lr=3e-3,
    loss="focal",
    policy_search=PolicySearch(inner_folds=2, candidates=9, rounds=2, chosen=2),
    augment=AugmentConfig(rotate=5.0, shadow=0.0),
    flip_views=False,
    seed=SEED,
)
out_of_fold = cross_validate(drawn.study, config, run_dir=home / "run", n_jobs=1)


def one_row_an_image(predictions: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Label and the calibrated probability of each class."""
    wide = predictions.pivot(index="image_id", columns="class", values="probability_calibrated")
    return images[["image_id", "patient_id", "label"]].join(wide, on="image_id")


honest_table = one_row_an_image(out_of_fold, drawn.study.images)
honest = macro_auc(honest_table)
honest

# %%
new_table = one_row_an_image(predict(home / "run", new.study), new.study.images)
kept = macro_auc(new_table)
kept

# %%
fig, axes = plt.subplots(1, 2, figsize=(11, 4.4))
honest.plot(axes[0])
report = usstats.multiclass_report(
    honest_table["label"],
    p=honest_table[CLASSES],
    classes=CLASSES,
    cluster=honest_table["patient_id"],
    measures=["sensitivity", "specificity", "ppv", "npv"],
)
report.plot(axes[1])
fig.tight_layout()

# %%
rest = report.frame()
rest["value"] = [
    f"{row.estimate:.2f} ({row.conf_low:.2f} to {row.conf_high:.2f})" for row in rest.itertuples()
]
rest.pivot(index="group", columns="measure", values="value").loc[
    CLASSES, ["sensitivity", "specificity", "ppv", "npv"]
]

# %% [markdown]
# The rarest class is seldom named: 20 patients teach little, and half of its look-alikes are more
# frequent. Naming it more often is a matter of thresholds and consequences, not of weights in the
# loss.
#
# ### The policies that were found
#
# `excess` is the log-loss a candidate adds to that of unchanged images, `change` how far it moves a
# picture, as a share of the distance between two patients. With a few dozen patients the children
# know little, the candidates differ by chance, and the AUC with and without a search is the same
# within its interval: the search is shown here because it must not see the judged images, not for
# what it gains.

# %%
trials = pd.concat(
    [found.frame().assign(fold=fold) for fold, found in found_policies(home / "run").items()]
)
trials.groupby("chosen")[["excess", "change"]].mean().round(3)

# %% [markdown]
# ## Where does it look?
#
# The logits of a gated network are a sum over places, so the map of its evidence is exact. Out of
# fold, toward the class predicted, against the outline of the tumour, and against what a map
# without knowledge would score.

# %%
records = explain(home / "run", drawn.study, drawn.study.images["image_id"].tolist(), method="cam")
looks = usstats.cam_report(cam_frame(records))
print(looks.summary())

# %%
by_id = {record.image_id: record for record in records}
chosen = [by_id[name] for name in examples["image_id"]]
plot_cam_panels(
    [record.panel(f"{record.toward}, {record.probability:.2f}") for record in chosen],
    columns=6,
    label="Evidence for the class named, relative to the map's peak",
)

# %% [markdown]
# More evidence lies on the tumour than chance would put there, and still most of it lies beside:
# what a small network has learnt from 80 patients is not only the tumour. A map turned round by
# hand until it fits, as was published for one class, would have hidden that.
#
# ## Side by side

# %%
ways = {"as published": (promised, kept_published), "as it should be": (honest, kept)}
pd.DataFrame(
    {
        way: {
            "macro AUC promised": before.estimate,
            "its 95 %": f"{before.conf_low:.2f} to {before.conf_high:.2f}",
            "in new patients": after.estimate,
            "their 95 %": f"{after.conf_low:.2f} to {after.conf_high:.2f}",
            "best possible": best["macro"],
        }
        for way, (before, after) in ways.items()
    }
).T

# %% [markdown]
# ## What to take home
#
# * Folders need a patient key. Without one, a network that knows the patient looks like one that
#   knows the disease.
# * One softmax. A probability that cannot pass 0.58 is none.
# * What is chosen, an epoch or a policy, is chosen on patients who do not judge.
# * Maps are measured against chance, not shown for the cases where they fit.

# %%
energy = looks.frame().set_index(["measure", "group"]).loc["energy_in_mask", "estimate"]
summary = {
    "best_possible_auc": best["macro"],
    "auc_promised_published": promised.estimate,
    "auc_kept_published": kept_published.estimate,
    "auc_promised_honest": honest.estimate,
    "auc_kept_honest": kept.estimate,
    "largest_probability_published": float(top.max()),
    "policy_probability_best_quarter": float(policies["probability"].head(15).mean()),
    "policy_probability_worst_quarter": float(policies["probability"].tail(15).mean()),
    "energy_in_mask": float(energy["map"]),
    "energy_by_chance": float(energy["chance"]),
}
summary = {name: round(float(value), 3) for name, value in summary.items()}
write_json("05_skin_tumours.json", summary)
summary
