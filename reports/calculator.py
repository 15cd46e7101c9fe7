"""The calculator: the nomogram as one HTML file that opens from a disk and asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from reports._calculator_content import CONF_LEVEL, Labels, page_content, rounded
from reports.files import atomic_write_text, clean_text
from reports.numbers import format_significant
from reports.templating import csp_hash, inert_json, page_environment, template_text
from usstats._fits.json_file import content_digest, fit_content
from usstats._fits.variables import VariableRange
from usstats._nomogram.outcome_scale import Survival
from usstats._survival.json_file import cox_content
from usstats._updating.result import IN_WORDS
from usstats.errors import ArgumentError
from usstats.logistic import LogisticFit
from usstats.nomogram import Nomogram, build_nomogram
from usstats.pooled_fit import PooledFit
from usstats.survival import CoxFit
from usstats.updating import UpdatedModel

__all__ = [
    "calculator_html",
    "calculator_nomogram",
    "calculator_parts",
    "model_hash",
    "write_calculator",
]

Fit = LogisticFit | PooledFit | UpdatedModel | CoxFit

LARGEST_BYTES = 150_000
SCRIPTS = ("model", "axes", "drawing", "nomogram", "page")
INTENDED_USE = (
    "Research use only; not a medical device. Meant for studying the model, not for the care of a "
    "patient."
)


def write_calculator(
    fit: Fit,
    nomogram: Nomogram,
    path: str | Path,
    *,
    title: str,
    outcome_label: str,
    units: Labels | None = None,
    labels: Labels | None = None,
    threshold: float | None = None,
    model_card: Mapping[str, str] | None = None,
    synthetic: bool = False,
) -> Path:
    """Write the calculator of a model.

    Parameters
    ----------
    fit : LogisticFit, PooledFit, UpdatedModel or CoxFit
    nomogram : Nomogram
        Of the same fit, from `build_nomogram` or `calculator_nomogram`; that of a Cox model says
        at which times the page gives survival and risk.
    path : str or Path
    title, outcome_label : str
        Of the page, and of what the risk is a risk of.
    units, labels : mapping of str to str, optional
        Unit and printed name of each variable; `labels` may also name levels, by
        "variable=level".
    threshold : float, optional
        The cut-off frozen in development; the page says on which side the risk lies. Of a Cox
        model it is one of the risk by the first of the nomogram's times.
    model_card : mapping of str to str, optional
        Further lines about the model: population, performance, version.
    synthetic : bool
        Say on the page that nobody was measured.

    Returns
    -------
    Path

    Raises
    ------
    ArgumentError
        Not one of these models, a nomogram of another fit, a threshold outside (0, 1), or a page
        over 150 kB.

    Notes
    -----
    The page evaluates the design columns themselves, so its risk is the fit's, not one read off
    axes. Its scripts may run by their hashes alone; names and levels reach the page only as JSON
    text. It keeps nothing and asks for nothing.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from usstats.logistic import fit_logistic
    >>> data = pd.DataFrame({"y": [0, 0, 1, 0, 1, 1], "x": [0.0, 12, 21, 33, 40, 50]})
    >>> fit = fit_logistic("y ~ x", data)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "calculator.html"
    ...     options = {"title": "A study", "outcome_label": "retrieval"}
    ...     write_calculator(fit, calculator_nomogram(fit), path, **options).name
    'calculator.html'
    """
    page = calculator_html(
        fit,
        nomogram,
        title=title,
        outcome_label=outcome_label,
        units=units,
        labels=labels,
        threshold=threshold,
        model_card=model_card,
        synthetic=synthetic,
    )
    size = len(page.encode("utf-8"))
    if size > LARGEST_BYTES:
        msg = (
            f"The calculator would have {size} bytes, more than {LARGEST_BYTES}. Use fewer ticks; "
            "for a Cox model leave out the median, which needs a hazard at every event."
        )
        raise ArgumentError(msg)
    return atomic_write_text(path, page)


def calculator_html(
    fit: Fit,
    nomogram: Nomogram,
    *,
    title: str,
    outcome_label: str,
    units: Labels | None = None,
    labels: Labels | None = None,
    threshold: float | None = None,
    model_card: Mapping[str, str] | None = None,
    synthetic: bool = False,
) -> str:
    """Return the page; arguments as `write_calculator`."""
    parts = calculator_parts(
        fit,
        nomogram,
        outcome_label=outcome_label,
        units=units,
        labels=labels,
        threshold=threshold,
        model_card=model_card,
    )
    style = template_text("calculator.css")
    scripts = [template_text(f"calculator_{name}.js") for name in SCRIPTS]
    return (
        page_environment()
        .get_template("calculator.html")
        .render(
            title=clean_text(title),
            synthetic=synthetic,
            style=Markup(style),  # noqa: S704 - our own file
            style_hash=csp_hash(style),
            scripts=[Markup(script) for script in scripts],  # noqa: S704
            script_hashes=[csp_hash(script) for script in scripts],
            **parts,
        )
    )


def calculator_parts(
    fit: Fit,
    nomogram: Nomogram,
    *,
    outcome_label: str,
    units: Labels | None = None,
    labels: Labels | None = None,
    threshold: float | None = None,
    model_card: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return what any page that holds the calculator is rendered with; as `write_calculator`.

    The page's scripts read `model_json` from the element `model`.
    """
    _check(fit, nomogram)
    content = page_content(
        nomogram,
        outcome=clean_text(outcome_label),
        units=units or {},
        labels=labels or {},
        threshold=_checked_threshold(threshold),
    )
    return {
        "headline": _headline(nomogram, outcome_label),
        "card": list(_card(fit, nomogram, model_card or {})),
        "equation": list(_equation(nomogram)),
        "scale_name": "log hazard ratios" if _survival(nomogram) else "log odds",
        "model_json": Markup(inert_json(content)),  # noqa: S704 - no `<` is left in it
    }


def calculator_nomogram(
    fit: Fit,
    *,
    hold: Mapping[str, Sequence[float]] | None = None,
    times: float | Sequence[float] | None = None,
    time_unit: str = "",
) -> Nomogram:
    """Build a nomogram of any model, choosing the values that interacting numbers are held at.

    Parameters
    ----------
    fit : LogisticFit, PooledFit, UpdatedModel or CoxFit
    hold, times, time_unit
        As `build_nomogram`. Of numbers that interact, all but the first not in `hold` are held at
        their quartiles in development.

    Returns
    -------
    Nomogram

    Raises
    ------
    ArgumentError, DesignError
        As `build_nomogram`.

    Examples
    --------
    >>> import pandas as pd
    >>> from usstats.logistic import fit_logistic
    >>> data = pd.DataFrame({"y": [0, 0, 1, 0, 1, 1], "x": [0.0, 12, 21, 33, 40, 50]})
    >>> [axis.name for axis in calculator_nomogram(fit_logistic("y ~ x", data)).axes]
    ['x']
    """
    chosen: dict[str, Sequence[float]] = dict(hold or {})
    for first, second in _interacting_numbers(fit):
        if first not in chosen and second not in chosen:
            chosen[second] = _quartiles(fit.spec.ranges[second])
    return build_nomogram(fit, hold=chosen, times=times, time_unit=time_unit)


def _interacting_numbers(fit: Fit) -> Iterator[tuple[str, str]]:
    """Pairs of continuous variables that interact, each in the order of the model."""
    spec = fit.spec
    order = {name: i for i, name in enumerate(spec.variables)}
    for term in spec.terms:
        numbers = [p for p in term.parts if spec.mains[p].type != "factor"]
        continuous = [name for name in numbers if not spec.ranges[name].values]
        if len(continuous) == 2:
            first, second = sorted(continuous, key=order.__getitem__)
            yield first, second


def _quartiles(known: VariableRange) -> list[float]:
    """Quartiles as a reader would round them."""
    return sorted(
        {
            rounded(float(q or 0.0))
            for q in (known.lower_quartile, known.median, known.upper_quartile)
        }
    )


def model_hash(fit: Fit) -> str:
    """SHA-256 of a model: the digest that its file, written by `to_json`, carries.

    A pooled model's file holds it at `pooled_model.sha256`.

    Raises
    ------
    ArgumentError
        Not a logistic, pooled, updated or Cox model.

    Examples
    --------
    >>> import pandas as pd
    >>> from usstats.logistic import fit_logistic
    >>> data = pd.DataFrame({"y": [0, 0, 1, 0, 1, 1], "x": [0.0, 12, 21, 33, 40, 50]})
    >>> len(model_hash(fit_logistic("y ~ x", data)))
    64
    """
    if isinstance(fit, CoxFit):
        return content_digest(cox_content(fit))
    if isinstance(fit, PooledFit | UpdatedModel):
        return content_digest(fit_content(fit.model))
    if isinstance(fit, LogisticFit):
        return content_digest(fit_content(fit))
    msg = f"`fit` must be a logistic, pooled, updated or Cox model; got {type(fit).__name__}."
    raise ArgumentError(msg)


def _check(fit: Fit, nomogram: Nomogram) -> None:
    if not isinstance(fit, LogisticFit | PooledFit | UpdatedModel | CoxFit):
        model_hash(fit)
    if not _is_of(nomogram, fit):
        msg = "`nomogram` was not built from `fit`: their coefficients differ."
        raise ArgumentError(msg)


def _is_of(nomogram: Nomogram, fit: Fit) -> bool:
    """Whether coefficients, covariance and baseline hazard are those of the fit."""
    own, drawn, record = fit.params, nomogram.params, nomogram.model.record
    if list(own.index) != list(drawn.index) or nomogram.spec.to_dict() != fit.spec.to_dict():
        return False
    pairs: list[tuple[Any, Any]] = [(own, drawn), (fit.covariance, nomogram.covariance)]
    if isinstance(fit, CoxFit):
        if record is None:
            return False
        pairs.append((fit.baseline.hazard_at(record.times), record.hazard))
    elif record is not None:
        return False
    return all(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True) for a, b in pairs)


def _checked_threshold(threshold: float | None) -> float | None:
    if threshold is None:
        return None
    if not isinstance(threshold, int | float | np.number) or not 0 < threshold < 1:
        msg = f"`threshold` must be a risk between 0 and 1; got {threshold!r}."
        raise ArgumentError(msg)
    return float(threshold)


def _survival(nomogram: Nomogram) -> bool:
    return nomogram.model.record is not None


def _headline(nomogram: Nomogram, outcome_label: str) -> str:
    """What the large number is."""
    time = nomogram.risk_scale.time
    by = "" if time is None else f" by {time:g} {nomogram.model.unit}".rstrip()
    return f"{_sentence_case(outcome_label)}: predicted risk{clean_text(by)}"


def _card(fit: Fit, nomogram: Nomogram, model_card: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Lines about the model: what it is for first, its hash last; the caller's own win."""
    lines = {
        "Intended use": INTENDED_USE,
        **dict(_samples(fit)),
        **model_card,
        "Interval": _interval_text(nomogram),
        "Model (SHA-256)": model_hash(fit),
    }
    yield from ((clean_text(name), clean_text(text)) for name, text in lines.items())


def _samples(fit: Fit) -> Iterator[tuple[str, str]]:
    """What the model was developed, and updated, with."""
    if not isinstance(fit, UpdatedModel):
        yield "Development", _sample(fit)
        return
    yield "Development", _sample(fit.original)
    if fit.method != "none":
        yield "Update", f"{_sentence_case(IN_WORDS[fit.method])}: {_sample(fit)}"


def _sample(fit: Fit) -> str:
    """Patients and events; rows where patients have several."""
    events = f"{fit.n_event} with the outcome"
    if fit.n_cluster is None:
        return f"{fit.n} patients, {events}"
    return f"{fit.n} rows of {fit.n_cluster} patients, {events}"


def _interval_text(nomogram: Nomogram) -> str:
    if not np.isfinite(nomogram.model.slope_covariance).all():
        return "None: this kind of model has no standard errors"
    level = f"{CONF_LEVEL * 100:g}%"
    if _survival(nomogram):
        return f"{level} interval by log(-log survival), with the error of the baseline hazard"
    return f"{level} Wald interval of the predicted mean risk"


def _equation(nomogram: Nomogram) -> Iterator[tuple[str, str]]:
    """Coefficients, and what else it takes to compute a risk by hand."""
    model, spec = nomogram.model, nomogram.spec
    for name, value in model.params.items():
        yield clean_text(str(name)), _number(value)
    for term in spec.terms:
        if term.type == "rcs":
            yield f"Knots of {clean_text(term.name)}", ", ".join(map(_number, term.knots or ()))
    if not _survival(nomogram):
        return
    centre = float(model.reference.columns @ model.slopes) - model.reference.lp
    yield "Subtracted from the linear predictor", _number(centre)
    scales = [nomogram.risk_scale, *(axis.scale for axis in nomogram.outcomes)]
    hazards = {scale.time: scale.hazard for scale in scales if isinstance(scale, Survival)}
    for time, hazard in hazards.items():
        at = f"{time:g} {model.unit}".strip()
        yield clean_text(f"Baseline cumulative hazard by {at}"), _number(hazard)


def _number(value: float) -> str:
    return format_significant(value, 6, preset="plain")


def _sentence_case(text: str) -> str:
    """The text with a capital first letter; the rest keeps its case."""
    clean = clean_text(text)
    return clean[:1].upper() + clean[1:]
