"""What each figure shows, for its caption and for a reader who cannot see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SINGLE, DOUBLE = 84.0, 174.0


@dataclass(frozen=True, kw_only=True)
class Caption:
    """Title under a figure, its words for the blind, and its printed width."""

    title: str
    alt: str
    width_mm: float = SINGLE


CAPTIONS: Mapping[str, Caption] = MappingProxyType(
    {
        "flow": Caption(
            title="Flow of participants",
            alt="Flow diagram of enrolled, excluded and analysed patients of each cohort.",
            width_mm=DOUBLE,
        ),
        "nomogram": Caption(
            title="Nomogram. Read each covariate's points on the top ruler, add them, and read "
            "the risk under the total",
            alt="Nomogram with one axis a covariate, the total points and the risk.",
            width_mm=DOUBLE,
        ),
        "roc": Caption(
            title="ROC curves in development, apparent",
            alt="ROC curves of the models with their areas and intervals.",
        ),
        "calibration": Caption(
            title="Calibration of the nomogram in development, apparent and corrected for optimism",
            alt="Observed proportion against predicted risk with the ideal diagonal.",
        ),
        "decision": Caption(
            title="Decision curves in development, corrected for optimism",
            alt="Net benefit of each model, of treating all and of treating none.",
        ),
        "forest": Caption(
            title="Odds ratios of the nomogram, upper against lower quartile",
            alt="Forest plot of odds ratios with intervals.",
            width_mm=DOUBLE,
        ),
        "instability": Caption(
            title="Instability of the predicted risks over the models of the resamples",
            alt="Risk of each patient in the models of the resamples against his risk.",
        ),
        "readers": Caption(
            title="Readers by condition, and their average with its interval; a dashed line leads "
            "to a worse figure",
            alt="Area under the curve of each reader in every condition.",
        ),
        "cam": Caption(
            title="Grad-CAM of patients the network had not seen; the contour is the annotated "
            "mask. Chosen by rule: the surest right and the surest wrong of each class",
            alt="Ultrasound images beside maps of where the network looked.",
            width_mm=DOUBLE,
        ),
    }
)


def external_caption(cohort: str) -> Caption:
    """Caption of the three panels of an external cohort."""
    return Caption(
        title=f"External cohort {cohort}: (a) ROC curve with its band, (b) calibration: solid, "
        "flexible curve; dash-dotted, logistic recalibration where the flexible curve is withheld; "
        "below, events and non-events by risk, (c) decision curve with its band",
        alt="ROC curve, calibration plot and decision curve of an external cohort.",
        width_mm=DOUBLE,
    )
