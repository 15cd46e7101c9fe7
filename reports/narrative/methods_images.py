"""Methods of the images: how they were prepared, trained on, fused and explained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.evidence import Evidence
from reports.narrative.words import said
from reports.numbers import format_shortest
from reports.study import Network, Study
from reports.text import Paragraph, Value, author_note, paragraph
from reports.training import folder_name, train_config

if TYPE_CHECKING:
    from dl.config import AugmentConfig

ARCHITECTURES = {
    "efficientnet_lite0": "EfficientNet-Lite0",
    "nasnet_mobile": "NASNet-A Mobile",
    "densenet121": "DenseNet-121",
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "mobilenet_v2": "MobileNetV2",
}
AGGREGATES = {
    "mean_logit": "the mean logit over a patient's images",
    "mean_probability": "the mean probability over a patient's images",
    "max": "the highest probability over a patient's images",
}
OPTIMISERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "stochastic gradient descent"}
SCHEDULES = {
    "cosine": "falling along a cosine",
    "constant": "held constant",
    "one_cycle": "rising and falling in one cycle",
    "step": "falling in steps",
}
LOSSES = {"cross_entropy": "cross-entropy", "focal": "focal"}
CALIBRATIONS = {
    "temperature": "temperature scaling",
    "platt": "Platt scaling",
    "isotonic": "isotonic regression",
}
AUGMENTATIONS = {
    "flip": "left-right flips",
    "rotate": "rotation",
    "shear": "shearing",
    "scale": "scaling",
    "translate": "translation",
    "gain": "gain",
    "gamma": "contrast (gamma)",
    "attenuation": "attenuation with depth",
    "tgc": "time-gain compensation",
    "haze": "haze",
    "speckle": "speckle",
    "shadow": "acoustic shadows",
    "blur": "blur",
    "photo": "photographs of a screen",
}
_FOLDS = (
    "in {folds} folds that were stratified by outcome and kept all images of a patient, and "
    "near-identical images, together (seed {seed})"
)


def networks(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    """Preparation and training of every declared network."""
    for name, network in study.config.networks.items():
        yield _preparation(study, name, network)
        yield _training(study, name, network)
        if network.route == "finetune":
            yield _settings(study, name)


def fusion(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    """How the images of a patient became one covariate."""
    aggregate = said(study, "fusion.aggregate", AGGREGATES[study.config.fusion.aggregate])
    if not study.config.networks:
        yield paragraph(
            "The images' probabilities came with the study as a table; {aggregate} entered the "
            "models as one covariate.",
            aggregate=aggregate,
        )
        yield author_note(
            "by which network they were made and how it was trained and calibrated, and that no "
            "patient's probability comes from a network that had seen the patient."
        )
        return
    names = study.config.networks
    entering = study.config.fusion.network
    calibration = train_config(
        study, entering if entering in names else next(iter(names))
    ).calibration
    yield paragraph(
        "Each development patient's network probability is out-of-fold: it comes from the model "
        "that had not seen the patient. "
        + (
            "Out-of-fold logits were calibrated by {calibration}, each fold by the others; "
            if calibration in CALIBRATIONS
            else "The probabilities were {calibration}; "
        )
        + "{aggregate} entered the models as one covariate.",
        calibration=said(
            study, "networks", CALIBRATIONS.get(calibration, "taken as they came, uncalibrated")
        ),
        aggregate=aggregate,
    )
    if study.config.cohorts.external:
        yield paragraph(
            "Patients of external cohorts received the mean logit of all fold models of the "
            "network named for their cohort; no network was refitted."
        )


def explanation(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    """The maps, where there are any."""
    if evidence.has("explain/cam"):
        yield paragraph(
            "Grad-CAM maps of the evidence for the event were computed for the development images, "
            "each by the model that had not seen its patient, and the share of the evidence inside "
            "the annotated mask was compared with the mask's share of the picture. The pictures "
            "shown were chosen by rule."
        )


def _preparation(study: Study, name: str, network: Network) -> Paragraph:
    path = f"networks.{name}"
    size = said(study, f"{path}.input_size", f"{network.input_size} × {network.input_size}")
    label = said(study, path, name)
    if network.region == "whole":
        return paragraph(
            "For the network “{name}”, whole images were letterboxed (never stretched) to {size} "
            "pixels.",
            name=label,
            size=size,
        )
    return paragraph(
        "For the network “{name}”, images were cropped to the region of interest, enlarged by "
        "{margin} of its longer side all around, and letterboxed (never stretched) to {size} "
        "pixels.",
        name=label,
        size=size,
        margin=said(study, f"{path}.roi_margin", f"{network.roi_margin * 100:g}%"),
    )


def _training(study: Study, name: str, network: Network) -> Paragraph:
    path = f"networks.{name}"
    known = ARCHITECTURES.get(network.architecture, network.architecture.replace("_", " "))
    shared = {
        "architecture": said(study, f"{path}.architecture", known),
        "start": said(study, f"{path}.weights", _start(network.weights)),
        "folds": said(study, f"{path}.folds", network.folds),
        "seed": said(study, "seed", study.config.seed),
    }
    if network.route == "frozen":
        return paragraph(
            "{architecture}, {start}, was used as a fixed feature extractor; a penalised logistic "
            f"head was fitted {_FOLDS}, its penalty chosen inside the training folds.",
            **shared,
        )
    return paragraph(
        "{architecture}, {start}, was trained for at most {epochs} epochs "
        f"{_FOLDS}. The epoch was chosen on an inner tuning split of the training patients; the "
        "held-out fold chose nothing.",
        epochs=said(study, f"{path}.epochs", network.epochs),
        **shared,
    )


def _start(weights: str | None) -> str:
    if weights is None:
        return "initialised at random"
    return f"initialised with {'ImageNet' if weights == 'imagenet' else 'given'} weights"


def _settings(study: Study, name: str) -> Paragraph:
    """Loss, optimiser and augmentation, as the run's own configuration holds them."""
    config, folder = train_config(study, name), folder_name(study, name)

    def of(setting: str, text: str) -> Value:
        return Value(f"train/{folder}/config.json:{setting}", text)

    return paragraph(
        "Training minimised the {loss} loss by {optimiser} in batches of {batch} images, with a "
        "peak learning rate of {lr} {schedule} and a weight decay of {decay}. Training images were "
        "varied at random: {augment}.",
        loss=of("loss", LOSSES.get(config.loss, config.loss)),
        optimiser=of("optimiser", OPTIMISERS.get(config.optimiser, config.optimiser)),
        batch=of("batch_size", str(config.batch_size)),
        lr=of("lr", format_shortest(config.lr)),
        schedule=of("schedule", SCHEDULES.get(config.schedule, config.schedule)),
        decay=of("weight_decay", format_shortest(config.weight_decay)),
        augment=of("augment", _augmentations(config.augment)),
    )


def _augmentations(config: AugmentConfig) -> str:
    """The changes that are switched on, in words."""
    used = [words for name, words in AUGMENTATIONS.items() if getattr(config, name, 0)]
    return ", ".join(used) or "not at all"
