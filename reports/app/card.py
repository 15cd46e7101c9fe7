"""What the page says about the networks: rounded once, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import usstats
from reports.app.band import AbstentionBand
from reports.numbers import format_auc, format_risk
from usstats.results import Estimate

__all__ = ["network_card"]

RULES = {
    "mean_logit": "Mean of the log-odds over the patient's images",
    "mean_probability": "Mean of the probabilities over the patient's images",
    "max": "Largest of the probabilities of the patient's images",
}


def network_card(
    facts: Mapping[str, Any],
    *,
    auc: Estimate,
    band: AbstentionBand,
    aggregate: str,
    population: str,
    finished: Path,
) -> dict[str, str]:
    """Return the lines of the page's foot.

    Parameters
    ----------
    facts : mapping
        Of the ONNX file.
    auc : Estimate
        Out of fold, one probability a patient.
    band : AbstentionBand
    aggregate : str
    population : str
        Where the patients came from; empty where the run does not know.
    finished : Path
        Written when the last network was.

    Returns
    -------
    dict
    """
    return dict(_lines(facts, auc, band)) | {
        "Several images": RULES[aggregate],
        "Population": population or "Not stated by the run",
        "Trained": datetime.fromtimestamp(finished.stat().st_mtime, tz=UTC).strftime("%d %B %Y"),
        "Software": f"usstats {usstats.__version__}",
    }


def _lines(
    facts: Mapping[str, Any], auc: Estimate, band: AbstentionBand
) -> Iterator[tuple[str, str]]:
    yield "Intended use", "Research use only; not a medical device."
    yield "Network", f"{facts['model']} ({facts['architecture']}); {facts['rule']}"
    yield "Networks (hash)", str(facts["model_hash"])
    yield "Development", f"{band.n} patients, {band.n_event} with the outcome"
    low, high = (format_auc(value, 2, preset="plain") for value in (auc.conf_low, auc.conf_high))
    estimate = format_auc(auc.estimate, 2, preset="plain")
    yield "AUC, out of fold", f"{estimate} (95% CI {low} to {high}), one probability a patient"
    yield "Cut-off", f"{_percent(band.cutoff)}, {_words(band.criterion)}, frozen in development"
    yield "Unsure", _band_text(band)


def _words(criterion: str) -> str:
    return {"youden": "largest Youden index", "closest_topleft": "nearest to the corner"}.get(
        criterion, criterion
    )


def _band_text(band: AbstentionBand) -> str:
    if band.low == band.high:
        return "Never: the networks answer for everybody."
    return (
        f"Between {_percent(band.low)} and {_percent(band.high)}, the band around the cut-off that "
        f"leaves {_percent(1 - band.retained, 0)} of the development patients to people. "
        f"Out-of-fold accuracy {_rate(band.accuracy)} on all of them and "
        f"{_rate(band.accuracy_retained)} on the others; apparent, as cut-off and band were chosen "
        "on the same patients."
    )


def _rate(found: tuple[float, float, float]) -> str:
    estimate, low, high = (_percent(value, 0) for value in found)
    return f"{estimate} (95% CI {low} to {high})"


def _percent(p: float, decimals: int = 1) -> str:
    return format_risk(p, decimals, preset="plain")
