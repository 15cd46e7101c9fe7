"""What is written under a nomogram: a patient's reading and the frozen cut-off, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from usstats._nomogram.reading import OutcomeReading
from usstats.nomogram import Nomogram, NomogramReading

_LEAST_SHOWN = 0.0001


def reading_notes(
    nomogram: Nomogram,
    reading: NomogramReading | None,
    cutoff: float | None,
    labels: Mapping[str, str],
) -> list[str]:
    """Lines of text, the patient's first."""
    notes = [] if reading is None else _patient_notes(nomogram, reading, labels)
    if cutoff is not None:
        time = nomogram.risk_scale.time
        by = "" if time is None else f" for the risk by {time:g} {nomogram.model.unit}".rstrip()
        where = "" if on_axis(nomogram, cutoff) else ": beyond the risks points can reach"
        notes.append(f"\N{BLACK DOWN-POINTING TRIANGLE} Cut-off {cutoff:.3g}{by}{where}")
    return notes


def on_axis(nomogram: Nomogram, risk: float) -> bool:
    """Whether total points reach a risk."""
    return 0 <= float(nomogram.total_of_risk(risk)) <= nomogram.total_ticks[-1]


def _patient_notes(
    nomogram: Nomogram, reading: NomogramReading, labels: Mapping[str, str]
) -> list[str]:
    outcome = labels.get(nomogram.spec.outcome, nomogram.spec.outcome)
    survival = {own.time for own in reading.outcomes if own.measure == "survival"}
    found = [
        f"{_uncapitalised(axis.scale.title(outcome))} {_with_interval(own, reading.conf_level)}"
        for axis, own in zip(nomogram.outcomes, reading.outcomes, strict=True)
        if own.measure != "risk" or own.time not in survival
    ]
    notes = [
        f"\N{BLACK CIRCLE} Patient: {reading.total:.1f} points, {'; '.join(found)}",
    ]
    if reading.outside:
        names = ", ".join(labels.get(name, name) for name in reading.outside)
        notes.append(f"Outside development data: {names}")
    if reading.between:
        names = ", ".join(labels.get(name, name) for name in reading.between)
        notes.append(
            f"\N{WHITE CIRCLE} Drawn on the nearest axis: {names} lies between those drawn; the "
            "points are the model's"
        )
    return notes


def _uncapitalised(title: str) -> str:
    return title[:1].lower() + title[1:]


def _with_interval(outcome: OutcomeReading, conf_level: float) -> str:
    """The estimate and its interval in words; a lasso model has none."""
    write = _time if outcome.measure == "median" else _probability
    if math.isnan(outcome.conf_low):
        return write(outcome.estimate)
    ends = f"{write(outcome.conf_low)} to {write(outcome.conf_high)}"
    return f"{write(outcome.estimate)} ({conf_level * 100:g}% CI {ends})"


def _time(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not reached"


def _probability(p: float) -> str:
    """Two decimals; more where they would say 0 or 1, up to four."""
    nearest = min(p, 1 - p)
    if nearest < _LEAST_SHOWN:
        return f"<{_LEAST_SHOWN}" if p < 1 / 2 else f">{1 - _LEAST_SHOWN}"
    return f"{p:.{max(2, math.ceil(-math.log10(nearest)))}f}"
