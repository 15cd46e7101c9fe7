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
# # Testicular torsion: a network of two images that never saw the second
#
# A boy with sudden pain in the scrotum is operated on within hours, if the testis is twisted. A
# published system reads the gray image and the colour Doppler image of the testis, gated by its
# outline, with cross-attention between the two. Its code shows how the numbers came about: the crop
# fills the Doppler slots with the gray image, so the network never sees Doppler; where Doppler is
# read, its colour is thrown away; a fixed list puts a fifth of the images aside, whoever they are
# of, and the best accuracy on that list is the result; the outlines of the list are drawn by hand.
#
# This notebook follows that study twice: **as published**, and **as it should be done**. Every boy
# is **SYNTHETIC**: drawn by a program whose law we know, so that we can tell who is right.

# %%
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from PIL import Image

import usstats
from dl.config import AugmentConfig, TrainConfig
from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.errors import ImageError
from dl.explain import explain
from dl.gates import gate_masks
from dl.predict import predict
from dl.run_folder import open_run
from reports.files import write_json
from reports.synthetic.acute_scrotum import ACUTE_SCROTUM, gray_for_doppler, without_colour
from reports.synthetic.as_published import put_aside, train_as_published
from reports.synthetic.pair_recipe import PairRecipe
from reports.synthetic.small_network import SMALL
from usstats.plots.cam import plot_cam_panels
from usstats.plots.decision import plot_decision
from usstats.plots.readers import plot_reader_points

SEED = 20261121
home = Path(tempfile.mkdtemp())
drawn = ACUTE_SCROTUM.draw(home / "hospital", n_patients=70, seed=SEED)
new = ACUTE_SCROTUM.draw(home / "elsewhere", n_patients=60, seed=SEED + 1, prefix="N")
drawn

# %% [markdown]
# ## The boys
#
# Each painful testis was examined in two planes, and each plane once in gray and once in colour.
# The images are paired by patient, side and view, never by a piece of the file's name. Of some
# planes no Doppler image was kept. 60 other boys were seen elsewhere; no training sees them.

# %%
columns = ["patient_id", "side", "view", "path", "doppler_path", "label"]
drawn.study.images[columns].head(4)

# %%
images = drawn.study.images
complete = images[drawn.study.has_doppler & (images["view"] == "longitudinal")]
typical = complete[complete["label"] != drawn.truth["flow"][complete.index]]
shown = typical.groupby("label").head(3).sort_values("label")
fig, axes = plt.subplots(2, 6, figsize=(11, 4))
for (above, below), (_, row) in zip(axes.T, shown.iterrows(), strict=True):
    above.imshow(Image.open(home / "hospital" / row["path"]), cmap="gray")
    above.contour(Image.open(home / "hospital" / row["mask"]), [0.5], colors="tab:orange")
    below.imshow(Image.open(home / "hospital" / row["doppler_path"]))
    above.set_title("torsion" if row["label"] else "no torsion", fontsize=9)
    above.axis("off")
    below.axis("off")
fig.suptitle("SYNTHETIC")
fig.tight_layout()

# %% [markdown]
# The gray image tells nothing here: only the flow *inside* the testis does, while flow around it is
# as common in torsion as without. An incomplete torsion lets some flow through, and in a small
# healthy testis none may be found; so even who sees the flow without error cannot be always right.

# %%
best_image, best_boy = ACUTE_SCROTUM.best_auc(), ACUTE_SCROTUM.best_auc(2)
Markdown(
    f"Best possible AUC: **{best_image:.3f}** from one plane, **{best_boy:.3f}** from both planes "
    f"of a boy. Planes with a Doppler image: {drawn.study.has_doppler.sum()} of {len(images)}."
)

# %% [markdown]
# ## Outlines that nobody has to draw
#
# The network is gated by the testis' outline. Who drew the outlines of these boys knew what surgery
# had found, and drew a twisted testis a little wider. In the emergency room nobody draws. So a
# segmenter is trained, and each boy gets the outline of the network that never met him.

# %%
small = {
    "weights": None,
    "region": "whole",
    "input_size": 48,
    "folds": 3,
    "lr": 2e-3,
    "head_lr": 2e-3,
    "augment": AugmentConfig(rotate=10.0, shadow=0.0),
    "flip_views": False,
    "seed": SEED,
}
outlining = TrainConfig(
    name="outline",
    architecture="unet",
    options={"encoder": SMALL, "widths": [32, 16]},
    epochs=8,
    **small,
)
outlines = cross_validate(drawn.study, outlining, run_dir=home / "outlines", n_jobs=1)
study = gate_masks(home / "outlines", drawn.study)
elsewhere = gate_masks(home / "outlines", new.study)
folds = open_run(home / "outlines").folds


# %%
def size_of(table: pd.DataFrame, column: str, root: Path) -> list[float]:
    """Share of each picture inside its outline."""
    return [np.asarray(Image.open(root / path), dtype=float).mean() for path in table[column]]


def auc_row(found: usstats.Estimate) -> dict[str, float]:
    """AUC with its interval over boys."""
    return {"AUC": found.estimate, "95 % from": found.conf_low, "to": found.conf_high}


# An AUC below 0.5, of what tells nothing, is no surprise here.
warnings.simplefilter("ignore", usstats.errors.DirectionWarning)
y, boy = drawn.study.labels(), drawn.study.patients
outline_size = {
    how: usstats.auc(y, size_of(study.images, column, study.root), cluster=boy)
    for how, column in {"drawn by hand": "mask", "predicted out of fold": "gate"}.items()
}
told = pd.DataFrame({how: auc_row(found) for how, found in outline_size.items()}).T
told.rename_axis("torsion, told by the outline's size alone").round(3)

# %% [markdown]
# ## As published
#
# First, the gray image as its own Doppler image. The toolkit refuses:

# %%
itself = ImageStudy(images=images.assign(doppler_path=images["path"]), root=drawn.study.root)
network = {"encoder": SMALL, "dim": 32, "heads": 4, "depth": 1, "mask_dropout": 0.0}
network["modality_dropout"] = 0.1
config = TrainConfig(
    name="both",
    positive="torsion",
    architecture="dual_aspp",
    options=network,
    epochs=11,
    batch_size=8,
    dropout=0.0,
    grad_clip=0.5,
    **small,
)
try:
    cross_validate(itself, config, run_dir=home / "refused", n_jobs=1)
except ImageError as error:
    print("\n".join(str(error).splitlines()[:2]))

# %% [markdown]
# We do it all the same, with copies of the gray images. One image in five is put aside, the network
# is trained with outlines drawn by hand, the list is looked at after every epoch, and the best
# epoch is the result. Beside it, what that epoch does in new boys: with outlines drawn by someone
# who knows, and with predicted ones. (The encoders are five convolutions, to train in seconds.)

# %%
filled, filled_elsewhere = (gray_for_doppler(s, "copies") for s in (study, elsewhere))


def drawn_by_hand(pairs: ImageStudy) -> ImageStudy:
    """The pairs, gated by the outlines of whoever knew the case."""
    return ImageStudy(images=pairs.images.assign(gate=pairs.images["mask"]), root=pairs.root)


train, aside = put_aside(drawn_by_hand(filled), share=0.2, seed=SEED, by="image")
recipe = PairRecipe(
    architecture="dual_aspp",
    classes=("0", "1"),
    options=network | {"modality_dropout": 0.0},
    epochs=12,
    batch_size=8,
    input_size=48,
    seed=SEED,
)
judged = {
    "the list": aside,
    "new boys, outlines by hand": drawn_by_hand(filled_elsewhere),
    "new boys, outlines predicted": filled_elsewhere,
}
published = train_as_published(train, judged, recipe, cache_dir=home / "cache")
published

# %%
fig, ax = plt.subplots(figsize=(5, 2.8))
for place, style in zip(judged, ("-", "--", ":"), strict=True):
    ax.plot(published.history["epoch"], published.history[place], style, label=place)
ax.axvline(published.epoch, color="0.6", linewidth=1)
ax.set_xlabel("Epoch (line: the one chosen)")
ax.set_ylabel("Accuracy")
ax.legend(frameon=False, fontsize=8)
fig.tight_layout()


# %%
sins = {
    place: usstats.auc(table["label"].astype(int), table["1"], cluster=table["patient_id"])
    for place, table in published.predictions.items()
}
whose = published.predictions["the list"]["patient_id"]
known = whose.isin(train.images["patient_id"]).mean()
accuracy = published.history["the list"].max()
numbers = {"images": [a.n for a in sins.values()], "boys": [a.n_cluster for a in sins.values()]}
pd.DataFrame({place: auc_row(a) for place, a in sins.items()}).T.assign(**numbers).round(3)

# %%
promised, kept_published = sins["the list"], sins["new boys, outlines predicted"]
Markdown(
    f"Of the list's images, {known:.0%} are of boys the network was trained on. What would be "
    f"printed is an accuracy of **{accuracy:.2f}** and an AUC of **{promised.estimate:.2f}**. For "
    f"new boys with outlines by a hand that knows, the AUC is "
    f"{sins['new boys, outlines by hand'].estimate:.2f}: what the outlines tell. For new boys "
    f"whose testes nobody outlined it is **{kept_published.estimate:.2f}** "
    f"({kept_published.conf_low:.2f} to {kept_published.conf_high:.2f}): a coin."
)

# %% [markdown]
# ## As it should be done
#
# The same architecture sees both images of each pair, in colour. A boy's images share a fold; the
# epoch is chosen on tuning boys inside each training part; the gates are those predicted out of
# fold, in the same folds. In training, one Doppler image in ten is taken away, so that a missing
# one is nothing new. Every row of the table below is trained alike, and one thing is left out.

# %%
variants = {
    "both images": (study, config),
    "gray image only": (study, config.changed(options=network | {"dual": False})),
    "without gates": (study, config.changed(options=network | {"mask": False})),
    "without cross-attention": (
        study,
        config.changed(options=network | {"cross_attention": False}),
    ),
    "Doppler without colour": (without_colour(study, "colourless"), config),
    "gray image as Doppler": (filled, config),
}
tables = {
    name: cross_validate(pairs, how, run_dir=home / name, splits=folds, n_jobs=1)
    for name, (pairs, how) in variants.items()
}

# %%
full, *others = variants
own = {name: auc_row(usstats.auc(y, t["logit"], cluster=boy)) for name, t in tables.items()}
compared = usstats.compare_auc(
    y,
    {name: table["logit"] for name, table in tables.items()},
    contrasts=[(name, full) for name in others],
    cluster=boy,
)
change = compared.frame().set_index("model_1")[["estimate", "conf_low", "conf_high"]]
change.columns = ["change", "change from", "change to"]
ablation = pd.DataFrame(own).T.join(change.astype(float))
ablation.round(3)


# %%
def verdict(row: pd.Series) -> str:
    """What an interval says of a part that was left out."""
    if row["change to"] < 0:
        return "a loss"
    return "a gain" if row["change from"] > 0 else "not shown to matter at this size"


def signed(value: float) -> str:
    """Two decimals and a sign, without a negative zero."""
    return f"{round(value, 2) + 0:+.2f}"


Markdown(
    "\n".join(
        f"* **{name}**: {signed(row['change'])} ({signed(row['change from'])} to "
        f"{signed(row['change to'])}), {verdict(row)}."
        for name, row in ablation.loc[others].iterrows()
    )
)

# %% [markdown]
# An interval that reaches across zero does not say that the part is idle: among 70 boys a loss as
# small as that cannot be told from chance. An ablation printed without intervals hides this.
#
# ## New boys
#
# The mean of the three networks, one probability a boy. And what if the Doppler image is missing?

# %%
external = predict(home / full, elsewhere)
kept = usstats.auc(
    elsewhere.labels(), external["probability_calibrated"], cluster=elsewhere.patients
)
no_doppler = ImageStudy(images=elsewhere.images.drop(columns="doppler_path"), root=elsewhere.root)
blind = predict(home / full, no_doppler)
in_the_dark = usstats.auc(elsewhere.labels(), blind["logit"], cluster=elsewhere.patients)
pd.DataFrame(
    {
        how: auc_row(found) | {"mean |logit|": answers["logit"].abs().mean()}
        for how, found, answers in (
            ("as they came", kept, external),
            ("all Doppler images taken away", in_the_dark, blind),
        )
    }
).T.round(3)

# %% [markdown]
# Without Doppler the network still answers, no better than a coin, as it must be here; and it is
# less sure of itself. A system that is to be trusted would also say that an image is missing.
#
# ## Are its probabilities true?

# %%
boys = usstats.patient_probability(external)[["patient_id", "dl_prob"]].merge(
    new.truth.drop_duplicates("patient_id")[["patient_id", "label"]], validate="1:1"
)
table = published.predictions["new boys, outlines predicted"]
boys["as published"] = boys["patient_id"].map(table.groupby("patient_id")["1"].mean())
boys = boys.rename(columns={"dl_prob": "as it should be"})
ways = ["as published", "as it should be"]
with warnings.catch_warnings():
    warnings.simplefilter("ignore", usstats.errors.SmallSampleWarning)
    calibrations = {way: usstats.assess_calibration(boys["label"], boys[way]) for way in ways}
measures = ["calibration_in_the_large", "calibration_slope", "oe_ratio", "brier"]
calibration = pd.DataFrame(
    {
        way: c.frame().set_index("measure")["estimate"].reindex(measures)
        for way, c in calibrations.items()
    }
)
calibration.round(3)

# %%
calibrations["as it should be"].plot().figure

# %% [markdown]
# A few dozen torsions are too few for a smooth curve, so it is withheld; the interval of the slope
# says how little is known. The published probabilities have nothing to be calibrated.
#
# ## Is it useful?
#
# A missed torsion costs a testis, an idle exploration a scar: so the decision is open between low
# thresholds. The resamples are of boys.

# %%
decisions = usstats.decision_curve(
    boys["label"],
    {way: boys[way] for way in ways},
    thresholds=np.arange(5, 51) / 100,
    ci="bootstrap",
    cluster=boys["patient_id"],
    n_boot=500,
    seed=SEED,
)
plot_decision(decisions).figure

# %%
benefit = decisions.frame().set_index(["model", "threshold_probability"])
at = benefit.index.get_level_values("threshold_probability")
at_20 = benefit[np.isclose(at, 0.2)].droplevel("threshold_probability")
at_20[["net_benefit", "conf_low", "conf_high"]].astype(float).round(3)

# %% [markdown]
# ## With physicians
#
# Four experts and four juniors read the 60 new boys without the network and, four weeks apart, with
# it. What they are shown is the probability of the right network. Readers and boys are both
# samples; notebook 06 says why this matters.

# %%
network_says = boys.set_index("patient_id")["as it should be"]
readings = ACUTE_SCROTUM.readings(new.truth, network_says, seed=SEED)
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
    standalone_threshold=0.5,
)
found = effect.frame()
found = found[found["measure"].isin(["reader_averaged_auc", "difference", "interaction"])]
found.assign(group=found["group"].fillna("all"))[
    ["measure", "group", "condition", "estimate", "conf_low", "conf_high"]
].round(3)

# %%
curve = usstats.roc_curve(boys["label"], boys["as it should be"], band="bootstrap", seed=1)
_, ax = plt.subplots(figsize=(4.2, 4.2))
plot_reader_points(effect.operating_points, ax, curve={"network alone": curve})
plt.show()

# %% [markdown]
# ## Where it looks
#
# A torsion without flow, and a testis with flow: what speaks for the answer, in the gray image and
# in the Doppler image, in one unit.

# %%
seen = elsewhere.images.assign(
    probability=external["probability_calibrated"], flow=new.truth["flow"]
)
seen = seen[elsewhere.has_doppler]
found = seen[(seen["label"] == 1) & ~seen["flow"]].nlargest(1, "probability")["image_id"].item()
cleared = seen[(seen["label"] == 0) & seen["flow"]].nsmallest(1, "probability")["image_id"].item()
maps = [
    explain(home / full, elsewhere, [image], method="gradcam", toward=toward)[0]
    for image, toward in ((found, "event"), (cleared, "non_event"))
]
panels = [
    each.panel(f"{truth}\nP(torsion) {each.probability:.2f}")
    for each, truth in zip(
        maps, ("torsion, for torsion", "no torsion, against torsion"), strict=True
    )
]
plot_cam_panels(panels, width_mm=84, label="Evidence for the answer, relative to its peak")

# %%
peak = pd.DataFrame(
    {
        "gray image": [each.cam.max() for each in maps],
        "Doppler image": [each.second.cam.max() for each in maps],
    },
    index=["torsion", "no torsion"],
)
peak.round(2)

# %% [markdown]
# A map says where, not what: that flow is *absent* there no map can show. And two images are
# examples. What shows that the Doppler image is used is the ablation above.
#
# ## Side by side

# %%
honest = usstats.auc(y, tables[full]["probability_calibrated"], cluster=boy)
pd.DataFrame(
    {
        way: {
            "AUC promised": round(before.estimate, 3),
            "its 95 %": f"{before.conf_low:.2f} to {before.conf_high:.2f}",
            "AUC in new boys": round(after.estimate, 3),
            "their 95 %": f"{after.conf_low:.2f} to {after.conf_high:.2f}",
            "best possible": round(best_image, 3),
        }
        for way, before, after in (
            ("as published", promised, kept_published),
            ("as it should be", honest, kept),
        )
    }
).T

# %% [markdown]
# ## What to take home
#
# * A network of two images has to be *shown* to use the second: give it another boy's, or none.
# * Pair images by patient, side and view; a pair that is one picture twice is an error, not a pair.
# * An outline drawn by who knows the case carries the answer into the network. Predict it, out of
#   fold, as it will be in practice.
# * Print an ablation with intervals of the differences, over patients, or do not print it.
# * A decision curve asks whether anybody should act on the number; an AUC does not.

# %%
summary = {
    "best_possible_auc": best_image,
    "auc_promised_published": promised.estimate,
    "auc_kept_published": kept_published.estimate,
    "auc_promised_honest": honest.estimate,
    "auc_kept_honest": kept.estimate,
    **{
        f"change_{name.lower().replace(' ', '_').replace('-', '_')}": float(
            ablation.loc[name, "change"]
        )
        for name in others
    },
    "net_benefit_at_20_published": float(at_20.loc["as published", "net_benefit"]),
    "net_benefit_at_20_honest": float(at_20.loc["as it should be", "net_benefit"]),
}
summary = {name: round(value, 3) + 0 for name, value in summary.items()}
write_json("02_testicular_torsion.json", summary)
summary
