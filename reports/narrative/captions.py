"""What each figure shows, for its caption and for a reader who cannot see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Caption:
    """Title under a figure, its words for the blind, and whether it spans both columns."""

    title: str
    alt: str
    is_wide: bool = False


CAPTIONS: Mapping[str, Caption] = MappingProxyType(
    {
        "flow": Caption(
            title="Flow of participants",
            alt="Flow diagram of enrolled, excluded and analysed patients of each cohort.",
            is_wide=True,
        ),
        "nomogram": Caption(
            title="Nomogram. Read each covariate's points on the top ruler, add them, and read "
            "the risk under the total. Shaded: where the development patients lie; triangle: the "
            "frozen cut-off",
            alt="Nomogram with one axis a covariate, the total points and the risk.",
            is_wide=True,
        ),
        "roc": Caption(
            title="ROC curves of the models in the patients they were made from (apparent); "
            "markers only tell the curves apart. AUC, area under the receiver operating "
            "characteristic curve, with its confidence interval",
            alt="ROC curves of the models with their areas and intervals.",
        ),
        "calibration": Caption(
            title="Calibration of the nomogram in development, apparent and corrected for "
            "optimism; below, events (upwards) and non-events (downwards) by risk",
            alt="Observed proportion against predicted risk with the ideal diagonal.",
        ),
        "decision": Caption(
            title="Decision curves in development: net benefit corrected for optimism, against "
            "treating all and treating none; markers only tell the curves apart",
            alt="Net benefit of each model, of treating all and of treating none.",
        ),
        "forest": Caption(
            title="Odds ratios of the nomogram, upper against lower quartile of each covariate. "
            "CI, confidence interval",
            alt="Forest plot of odds ratios with intervals.",
            is_wide=True,
        ),
        "instability": Caption(
            title="Instability of the predicted risks: each patient's risk by the models refitted "
            "in the resamples, against the risk by the developed model",
            alt="Risk of each patient by the refitted models and by the developed one.",
        ),
        "confusion": Caption(
            title="Predicted against true class at the frozen cut-off; in each cell the patients "
            "and their share of the true class",
            alt="Confusion matrix of each cohort.",
            is_wide=True,
        ),
        "readers": Caption(
            title="Readers by condition, and their average with its interval; a dashed line leads "
            "to a worse figure",
            alt="Area under the curve of each reader in every condition.",
        ),
        "reader_points": Caption(
            title="Operating point of each reader beside the ROC curve of the model in the same "
            "cohort; open markers, without the aid; filled, with it; large, mean of the readers. "
            "AUC, area under the receiver operating characteristic curve",
            alt="ROC curve with the sensitivity and specificity of every reader.",
        ),
        "cam": Caption(
            title="Grad-CAM maps of patients the network had not seen, above each the image alone; "
            "white contour, annotated mask. Chosen by rule: of each class, the patients who were "
            "most surely right and most surely wrong. A picture without colour has no evidence for "
            "the event",
            alt="Ultrasound images, and the same images with maps of where the network looked.",
            is_wide=True,
        ),
    }
)


def external_caption(cohort: str) -> Caption:
    """Caption of the three panels of an external cohort."""
    return Caption(
        title=f"External evaluation in the {cohort.replace('_', ' ')} cohort. (a) ROC curve with "
        "its band. (b) Calibration: dashed, ideal; solid, flexible curve; dash-dotted, logistic "
        "recalibration where the flexible curve is withheld; below, events (upwards) and "
        "non-events (downwards) by risk. (c) Decision curve with its band",
        alt="ROC curve, calibration plot and decision curve of an external cohort.",
        is_wide=True,
    )
