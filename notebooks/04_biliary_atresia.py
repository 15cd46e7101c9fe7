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
# # Biliary atresia: a network for photos of a screen, and when it should say nothing
#
# An infant with jaundice may have biliary atresia; if so, each week counts. The gallbladder on
# ultrasound tells much, to those who know it. A published app lets anyone photograph the screen
# with a phone. Its code shows how the numbers came about: class weights of 5 to 1 whose odds were
# called probabilities, a checkpoint chosen by sensitivity on the list that then reports it, no
# photos in training, AUCs from hard labels, and one kappa.
#
# This notebook follows that study twice: **as published**, and **as it should be done**. Every
# infant is **SYNTHETIC**: drawn by a program whose law we know, so that we can tell who is right.

# %%
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from PIL import Image
from scipy.special import expit, logit

import usstats
from dl.abstention import abstention_curve
from dl.calibrate import fit_temperature
from dl.config import AugmentConfig, TrainConfig
from dl.crossval import cross_validate
from dl.explain import cam_frame, explain
from dl.predict import predict, predict_members
from dl.uncertainty import mutual_information
from reports.app.band import abstention_band
from reports.files import write_json
from reports.synthetic.as_published import SensitiveRecipe, put_aside, train_as_published
from reports.synthetic.gallbladder import GALLBLADDER, READERS, SECOND, photographed
from reports.synthetic.small_network import SMALL
from usstats.errors import SmallSampleWarning
from usstats.plots.cam import plot_cam_panels
from usstats.plots.decision import plot_decision
from usstats.plots.readers import plot_reader_points

SEED = 20261121
EVENT = "biliary atresia"
home = Path(tempfile.mkdtemp())
drawn = GALLBLADDER.draw(home / "home", n_patients=120, seed=SEED)
screens = GALLBLADDER.draw(home / "later", n_patients=120, seed=SEED + 1, prefix="N")
photos = photographed(screens, home / "phone", seed=SEED)
second = GALLBLADDER.draw(
    home / "second", n_patients=100, seed=SEED + 2, hospital=SECOND, prefix="S"
)
cohorts = {"screens": screens, "photos": photos, "second hospital": second}
pd.DataFrame(
    {
        name: {
            "infants": cohort.truth["patient_id"].nunique(),
            "with biliary atresia": cohort.truth.drop_duplicates("patient_id")["label"].sum(),
            "images": len(cohort.truth),
        }
        for name, cohort in {"development": drawn, **cohorts}.items()
    }
).T

# %% [markdown]
# ## The infants
#
# 120 infants for development, two to four images each. 120 seen later at the same hospital: of
# each image we have the file **and a phone's photo of the screen**. 100 at a second hospital,
# with another machine and more biliary atresia.

# %%
order = screens.truth.sort_values("shown").index
few = order[np.linspace(4, len(order) - 5, 7).astype(int)]
fig, axes = plt.subplots(2, 7, figsize=(11, 3.4))
for column, row in zip(axes.T, few, strict=True):
    for ax, cohort in zip(column, (screens, photos), strict=True):
        ax.imshow(Image.open(cohort.study.file(row)), cmap="gray", vmin=0, vmax=255)
        ax.axis("off")
    column[0].set_title(EVENT if screens.truth["label"][row] else "other jaundice", fontsize=9)
fig.suptitle("SYNTHETIC: from the healthiest gallbladder to the sickest; below, the phone's photo")
fig.tight_layout()

# %% [markdown]
# Some healthy gallbladders look sick and the other way round. The best possible AUC, from one image
# and from three:

# %%
best = GALLBLADDER.best_auc(3)
round(GALLBLADDER.best_auc(), 3), round(best, 3)

# %% [markdown]
# ## As published
#
# Three in ten infants are the evaluation list. An infant's score is the mean P over its images.
# After every epoch the list is looked at; the epoch that finds most of the sick, with a
# specificity of 85 % at least, is kept, and its numbers on that list are the result.

# %%
train, judged = put_aside(drawn.study, share=0.3, seed=SEED, by="patient")
recipe = SensitiveRecipe(
    architecture=SMALL, classes=("0", "1"), alpha=(1.0, 5.0), epochs=16, seed=SEED
)
published = train_as_published(
    train,
    {"evaluation list": judged} | {name: cohort.study for name, cohort in cohorts.items()},
    recipe,
    cache_dir=home / "cache",
)
published


# %%
def by_infant(table: pd.DataFrame) -> pd.DataFrame:
    """The mean P of each infant, and the outcome."""
    means = table.groupby("patient_id")[["label", "1"]].mean()
    return means.astype({"label": int}).rename(columns={"1": "p"})


def interval(a: usstats.Estimate | pd.Series) -> str:
    """Estimate and interval as text."""
    return f"{a.estimate:.2f} ({a.conf_low:.2f} to {a.conf_high:.2f})"


rows = {}
for place, table in published.predictions.items():
    infants = by_infant(table)
    accuracy = usstats.diagnostic_accuracy(infants["label"], infants["p"], threshold=0.5)
    measures = accuracy.frame().set_index("measure")
    kappa = usstats.cohen_kappa(infants["label"], (infants["p"] >= 0.5).astype(int))
    hard = usstats.auc(table["label"], (table["1"] >= 0.5).astype(int), cluster=table["patient_id"])
    rows[place] = {
        "sensitivity": interval(measures.loc["sensitivity"]),
        "specificity": interval(measures.loc["specificity"]),
        "kappa": interval(kappa.frame().iloc[0]),
        "AUC of hard labels, images": interval(hard),
        "AUC of P, images": interval(
            usstats.auc(table["label"], table["1"], cluster=table["patient_id"])
        ),
        "AUC of P, infants": interval(usstats.auc(infants["label"], infants["p"])),
    }
pd.DataFrame(rows).T

# %% [markdown]
# The same network, six numbers, four places. An AUC of hard labels is the mean of sensitivity and
# specificity at one cut-off under another name: it throws away how sure the network was. And a
# kappa on the list that chose the checkpoint says what the choice was worth, not the network.

# %%
chosen_by = published.history["evaluation list"]
enough = published.history[chosen_by > 0]
ill = by_infant(published.predictions["evaluation list"])["label"].sum()
Markdown(
    f"The list has {ill} infants with biliary atresia, so one infant is {1 / ill:.0%} of its "
    f"sensitivity. Of {len(chosen_by)} epochs {(chosen_by > 0).sum()} were specific enough there; "
    f"of those {(enough['screens'] > 0).sum()} are so in later infants, and "
    f"{(enough['photos'] > 0).sum()} on their photos."
)

# %% [markdown]
# ## As it should be done
#
# Folds that keep an infant together; the epoch is chosen on tuning infants inside each training
# part. Three trainings that differ in one thing only, how images are changed while training: not
# at all, as usual (moves, gain, speckle), and as usual with every second image made a phone's
# photo.

# %%
ways = {
    "no augmentation": AugmentConfig.none(),
    "usual": AugmentConfig(),
    "usual and photos": AugmentConfig(photo=0.5),
}
config = TrainConfig(
    positive=EVENT,
    architecture=SMALL,
    weights=None,
    region="whole",
    input_size=64,
    folds=3,
    epochs=11,
    lr=3e-3,
    head_lr=3e-3,
    class_weights="balanced",
    flip_views=False,
    seed=SEED,
)
out_of_fold = {
    way: cross_validate(
        drawn.study, config.changed(name=way, augment=augment), run_dir=home / way, n_jobs=1
    )
    for way, augment in ways.items()
}
best_way = "usual and photos"
found = {
    (way, place): predict(home / way, cohort.study)
    for way in ways
    for place, cohort in cohorts.items()
    if place != "second hospital" or way == best_way
}

# %% [markdown]
# ## Class weights
#
# A loss that counts a sick infant w times makes a network answer with w times the odds, as far as
# it has learned anything. `class_weights="balanced"` takes the logarithm of w off the logit
# again. Here is the mean P of images with the weights taken off and left in, both after
# temperature scaling, and the published network's.

# %%
oof = out_of_fold[best_way]
label = drawn.truth["label"].to_numpy()
left_in = oof["logit"] + logit(1 - label.mean())
old = published.predictions["screens"]
old_logit = logit(old["1"].clip(1e-6, 1 - 1e-6))
shifted = pd.DataFrame(
    {
        "out of fold, weights taken off": [oof["probability_calibrated"].mean(), label.mean()],
        "out of fold, weights left in": [
            expit(left_in / fit_temperature(left_in, label)).mean(),
            label.mean(),
        ],
        "as published, screens": [old["1"].mean(), old["label"].mean()],
        "as published, screens, log 5 taken off": [
            expit(old_logit - np.log(5)).mean(),
            old["label"].mean(),
        ],
    },
    index=["mean P", "share with biliary atresia"],
).T
shifted.round(3)

# %% [markdown]
# A temperature stretches logits and cannot move them; a shift that is known can be taken off. The
# published checkpoint was chosen for its specificity, among epochs whose outputs swing: what its P
# means on average is up to that choice, and nobody knows how much of the 5 it still carries.
# Calibration is measured, not assumed.
#
# ## Photos
#
# An infant's probability is the mean logit of its images, each by the mean logit of the three fold
# networks, calibrated out of fold.


# %%
def outcome(cohort) -> pd.Series:
    """Of every infant."""
    return cohort.truth.drop_duplicates("patient_id").set_index("patient_id")["label"]


def of_infants(predictions: pd.DataFrame) -> pd.Series:
    return usstats.patient_probability(predictions).set_index("patient_id")["dl_prob"]


areas = {
    key: usstats.auc(outcome(cohorts[key[1]]), of_infants(table)) for key, table in found.items()
}
text = pd.Series({key: interval(a) for key, a in areas.items()}).unstack()[list(cohorts)].fillna("")
oof_areas = {
    way: usstats.auc(outcome(drawn), of_infants(table)) for way, table in out_of_fold.items()
}
text.insert(0, "out of fold", {way: interval(a) for way, a in oof_areas.items()})
text.loc[list(ways)]

# %%
on_photos = {way: of_infants(found[way, "photos"]) for way in ways}
rest = [way for way in ways if way != "usual and photos"]
photo_gain = usstats.compare_auc(
    outcome(photos).to_numpy(),
    {way: p.to_numpy() for way, p in on_photos.items()},
    contrasts=[("usual and photos", way) for way in rest],
)
by_image = usstats.compare_auc(
    photos.truth["label"],
    {way: found[way, "photos"]["probability"].to_numpy() for way in ways},
    contrasts=[("usual and photos", way) for way in rest],
    cluster=photos.truth["patient_id"],
)
pd.concat({"infants": photo_gain.frame(), "images": by_image.frame()}).droplevel(1)[
    ["model_1", "model_2", "estimate", "conf_low", "conf_high", "p_adjusted"]
].round(3)

# %%
large = {}
for way in ways:
    for place in ("screens", "photos"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            p = of_infants(found[way, place])
            measures = usstats.assess_calibration(outcome(cohorts[place]), p).frame()
        large[way, place] = measures.set_index("measure").loc["calibration_in_the_large"]
pd.Series({key: interval(row) for key, row in large.items()}).unstack().loc[list(ways)]

# %%
gain = photo_gain.frame().set_index("model_2")
image_gain = by_image.frame().set_index("model_2")
Markdown(
    "Photos in training are worth, on photos of infants, an AUC of "
    f"{interval(gain.loc['no augmentation'])} against no augmentation and "
    f"{interval(gain.loc['usual'])} against the usual one (image by image: "
    f"{interval(image_gain.loc['no augmentation'])} and {interval(image_gain.loc['usual'])}). "
    "So moves, gain and speckle already make the network ready for most of what a phone does; "
    "what photos add to the *order* of infants is, at this size, next to nothing. What they do to "
    "the *risks* is in the second table: the calibration in the large on photos is "
    f"{interval(large['usual', 'photos'])} without and "
    f"{interval(large['usual and photos', 'photos'])} with them. Below zero, too many infants are "
    "called sick: glare and blur wash out the bright lining, as the disease does. We go on with "
    "photos in training, as is right for an app that sees photos, whatever this one table says."
)

# %% [markdown]
# ## The ensemble
#
# Three networks, each trained without a third of the infants, look at the photos. Their mean logit
# is the prediction; where they disagree, they know little.

# %%
members = predict_members(home / best_way, photos.study)
by_member = members.pivot_table("logit", "member", "patient_id", sort=False)[
    on_photos[best_way].index
]
y = outcome(photos)
alone = pd.Series({f"network {k}": usstats.auc(y, s).estimate for k, s in by_member.iterrows()})
alone["all three"] = usstats.auc(y, by_member.mean()).estimate
alone.round(3)

# %% [markdown]
# ## A risk for the infant
#
# The calibration above is of images. The mean of several images is surer than each, so an
# infant's risk is fitted once more, on out-of-fold values, and taken as it is to the other
# cohorts. The second hospital then gets the closed test: is the model to be left, shifted,
# stretched or refitted?


# %%
def sheet(cohort, predictions: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"atresia": outcome(cohort), "dl_prob": of_infants(predictions)})


risk = usstats.fit_logistic("atresia ~ logit(dl_prob)", sheet(drawn, out_of_fold[best_way]))
risk

# %%
sheets = {place: sheet(cohort, found[best_way, place]) for place, cohort in cohorts.items()}
validated = {}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", SmallSampleWarning)
    updated = usstats.update_model(risk, sheets["second hospital"])
    for place, data in sheets.items():
        validated[place] = usstats.evaluate(data["atresia"], risk.predict(data))
kept = pd.DataFrame(
    {
        place: {
            row.measure: interval(row)
            for row in result.frame().itertuples()
            if row.measure in ("auc", "calibration_in_the_large", "calibration_slope", "brier")
        }
        for place, result in validated.items()
    }
).T
kept

# %%
print(updated.summary())

# %% [markdown]
# A slope above one says that the risks are too cautious. Out of fold, one network speaks for an
# infant; outside, three do, and their mean is surer than each (rule R02). It is a reason to
# recalibrate where the app is to be used, which takes few infants, and no reason to train again.

# %% [markdown]
# ## When to say nothing
#
# The most uncertain infants go to a specialist. Two measures of "uncertain": how much the networks
# disagree (mutual information), and how near the risk lies to the cut-off, a band around it. The
# cut-off is chosen once, out of fold, so that an infant missed costs three false alarms.

# %%
own = sheet(drawn, out_of_fold[best_way])
cutoff = usstats.choose_threshold(
    own["atresia"], risk.predict(own), cost=3, prevalence=own["atresia"].mean()
)
phone_risk = pd.Series(risk.predict(sheets["photos"]), index=sheets["photos"].index)
doubts = {
    "networks disagree": mutual_information(by_member.to_numpy()),
    "near the cut-off": -abs(logit(phone_risk) - logit(cutoff.value)),
}
curves = {}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", SmallSampleWarning)
    for name, doubt in doubts.items():
        curves[name] = abstention_curve(
            y, phone_risk, uncertainty=doubt, threshold=cutoff.value, retained=[1, 0.9, 0.75]
        )
    drawn_curve = abstention_curve(
        y, phone_risk, uncertainty=doubts["near the cut-off"], threshold=cutoff.value
    )
retained = pd.concat({name: curve.frame() for name, curve in curves.items()}).droplevel(1)
accuracy = retained[retained["measure"] == "accuracy"]
accuracy.assign(text=[interval(row) for row in accuracy.itertuples()])[
    ["retained", "n_abstained", "text"]
].rename(columns={"text": "accuracy"}).round(3)

# %%
_, ax = plt.subplots(figsize=(4.4, 3.2))
drawn_curve.plot(ax)
ax.set_title("photos; left out: near the cut-off", fontsize=9)
plt.show()

# %%
kept_back = accuracy["estimate"].groupby(level=0).last()
everybody = accuracy["estimate"].iloc[0]
disorder = {name: c.area for name, c in curves.items()}
at_random = curves["near the cut-off"].area_random
Markdown(
    f"With everybody the accuracy is {everybody:.3f}. Leaving out the quarter on whom the networks "
    f"disagree most makes it {kept_back['networks disagree']:.3f}; leaving out the quarter nearest "
    f"to the cut-off, {kept_back['near the cut-off']:.3f}. Over all shares, the area under the "
    f"error is {disorder['networks disagree']:.3f} and {disorder['near the cut-off']:.3f}, against "
    f"{at_random:.3f} if infants were left out at random. Networks that share most of their "
    "infants agree, and are wrong together, about a sick infant whose gallbladder looks well. And "
    "those left out are not solved: their share belongs beside every such accuracy."
)

# %% [markdown]
# ## Fourteen readers
#
# Six experts and eight juniors read the infants without and with the network's probability on the
# phone. Readers and infants are both samples; experts and juniors are compared by one number.

# %%
readings = GALLBLADDER.readings(photos.truth, phone_risk, seed=SEED)
effect = usstats.assistance_effect(
    readings,
    truth="truth",
    case="case",
    reader="reader",
    condition="condition",
    rating="rating",
    experience="experience",
    reading_time="reading_time",
    session="session",
    order="order",
    washout="washout",
    threshold=50,
    standalone="network",
    standalone_threshold=cutoff.value,
)
print(effect.summary())

# %%
law = READERS.true_auc().set_index("experience")["unaided"].rename("law, unaided")
help_of = effect.frame()
help_of = help_of[help_of["measure"] == "difference"].assign(
    experience=lambda t: t["group"].fillna("all")
)
help_of = help_of.set_index("experience")
pd.DataFrame({"aided minus unaided": {n: interval(r) for n, r in help_of.iterrows()}}).join(
    law.round(3)
)

# %%
curve = usstats.roc_curve(y, phone_risk, band="bootstrap", seed=1)
fig, axes = plt.subplots(1, 2, figsize=(9, 4.2))
plot_reader_points(effect.operating_points, axes[0], curve={"network on photos": curve})
effect.plot(axes[1])
fig.tight_layout()
plt.show()

# %% [markdown]
# ## Where it looks
#
# Grad-CAM of the out-of-fold networks on screens, against the outline of the gallbladder and
# against chance: in sick infants what speaks for biliary atresia, in the others what speaks
# against it.

# %%
one_image = drawn.truth.drop_duplicates("patient_id").sort_values("shown")
sides = {"for": ("event", 1), "against": ("non_event", 0)}
records, gaze = {}, {}
for name, (toward, sick) in sides.items():
    ids = one_image.loc[one_image["label"] == sick, "image_id"].iloc[:: 2 - sick]
    records[name] = explain(home / best_way, drawn.study, ids.tolist(), toward=toward)
    gaze[name] = usstats.cam_report(cam_frame(records[name]))
    print(f"{name} biliary atresia: {gaze[name].summary()}")

# %%
panels = [
    r.panel(f"{name}, P = {r.probability:.2f}")
    for name in ("against", "for")
    for r in [records[name][i] for i in np.linspace(0, len(records[name]) - 1, 3).astype(int)]
]
plot_cam_panels(panels, columns=6, label="Evidence asked for, relative to the map's peak")

# %%
hit = {
    name: report.frame().query("measure == 'pointing_hit'").iloc[0] for name, report in gaze.items()
}
Markdown(
    "What speaks against the disease lies in the gallbladder: the map's peak hits it in "
    f"{hit['against'].estimate:.0%} of infants, and in {hit['for'].estimate:.0%} where the map "
    "speaks for it. A bright smooth lining can be pointed at; one that is missing cannot. So a map "
    "that looks at nothing in particular need not mean that the network guesses."
)

# %% [markdown]
# ## Is it useful?
#
# Net benefit on photos, for anyone who would act on a risk somewhere between 5 and 50 %.

# %%
published_photos = by_infant(published.predictions["photos"])["p"].loc[y.index]
benefit = usstats.decision_curve(
    y,
    {"as published": published_photos.to_numpy(), "as it should be": phone_risk.to_numpy()},
    thresholds=np.arange(5, 51, 5) / 100,
)
plot_decision(benefit).figure

# %% [markdown]
# ## The app
#
# `usstats app RUN` serves a finished run as a page that a phone can open: photograph the screen,
# crop it, and read the probability of the fold networks together and, of a study with covariates,
# the nomogram. Near the cut-off it says "unsure": the band is fixed from out-of-fold predictions
# before the first image is read. Images are read in memory and forgotten. Research use only; it
# is not for the care of a patient. It is not started here; this is the band it would use for a
# study like ours:

# %%
band = abstention_band(own["atresia"], risk.predict(own), cutoff=cutoff)
Markdown(
    f"cut-off {band.cutoff:.2f}; unsure from {band.low:.2f} to {band.high:.2f}; it answers for "
    f"{band.retained:.0%} of the {band.n} infants of the development"
)

# %% [markdown]
# ## Side by side

# %%
promised = by_infant(published.predictions["evaluation list"])
promised = usstats.auc(promised["label"], promised["p"])
pairs = {
    "as published": (promised, usstats.auc(y, published_photos)),
    "as it should be": (oof_areas[best_way], areas[best_way, "photos"]),
}
pd.DataFrame(
    {
        way: {
            "AUC promised": interval(before),
            "AUC on photos of new infants": interval(after),
            "best possible, three images": f"{best:.2f}",
        }
        for way, (before, after) in pairs.items()
    }
).T

# %% [markdown]
# ## What to take home
#
# * What chose the checkpoint cannot report it; sensitivity is the easiest number to choose.
# * Class weights are odds. Take them off again, or do not speak of probabilities.
# * A phone's photo is another machine. Test on photos, train on photos, and look at calibration,
#   not only at the AUC.
# * Near the cut-off a network should say so. Whether the disagreement of an ensemble says more is
#   to be measured: here it does not. The share left out stands beside the accuracy of the rest.
# * Fourteen readers are a sample; whether juniors gain more is one question with one interval.

# %%
difference = help_of["estimate"].astype(float)
summary = {
    "best_possible_auc": best,
    "auc_promised_published": promised.estimate,
    "auc_photos_published": pairs["as published"][1].estimate,
    "prevalence": label.mean(),
    "mean_p_weights_taken_off": shifted["mean P"].iloc[0],
    "mean_p_weights_left_in": shifted["mean P"].iloc[1],
    "auc_promised_honest": oof_areas[best_way].estimate,
    "auc_photos_no_augmentation": areas["no augmentation", "photos"].estimate,
    "auc_photos_usual": areas["usual", "photos"].estimate,
    "auc_photos_honest": areas[best_way, "photos"].estimate,
    "auc_second_hospital": areas[best_way, "second hospital"].estimate,
    "accuracy_all": everybody,
    "accuracy_three_quarters": kept_back["near the cut-off"],
    "gain_juniors": difference["junior"],
    "gain_experts": difference["expert"],
    "pointing_against": hit["against"].estimate,
    "pointing_for": hit["for"].estimate,
}
summary = {name: round(float(value), 3) for name, value in summary.items()}
write_json("04_biliary_atresia.json", summary)
summary
