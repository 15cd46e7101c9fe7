"""The page and everything it loads, made once from a run: text only ever enters as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reports.app.reading import MAX_IMAGES
from reports.app.source import AppRun
from reports.app.uploads import MAX_BYTES, MIN_SIDE
from reports.calculator import SCRIPTS, calculator_nomogram, calculator_parts
from reports.files import clean_text
from reports.templating import inert_json, page_environment, template_text

__all__ = ["Asset", "assets"]

#: The perceptually uniform colours of the printed maps, too.
COLOURS = "viridis"
APP_SCRIPTS = ("crop", "map", "page")


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file of the page."""

    kind: str
    body: bytes


def assets(run: AppRun) -> Mapping[str, Asset]:
    """Return what the server hands out by GET, by path.

    Parameters
    ----------
    run : AppRun
    """
    calculator = _calculator(run)
    scripts = [f"calculator_{name}.js" for name in SCRIPTS] if calculator else []
    scripts += [f"app_{name}.js" for name in APP_SCRIPTS]
    styles = ["calculator.css", "app.css"]
    return {
        "/": _asset("text/html; charset=utf-8", _html(run, calculator)),
        "/app.js": _asset("text/javascript; charset=utf-8", *map(template_text, scripts)),
        "/app.css": _asset("text/css; charset=utf-8", *map(template_text, styles)),
        "/icon.svg": _asset("image/svg+xml", template_text("app_icon.svg")),
    }


def _asset(kind: str, *texts: str) -> Asset:
    return Asset(kind=kind, body="\n".join(texts).encode("utf-8"))


def _calculator(run: AppRun) -> Mapping[str, Any] | None:
    """The nomogram's form and drawing, where there is a nomogram of one risk."""
    model = run.model
    if model is None:
        return None
    return calculator_parts(
        model.fit,
        calculator_nomogram(model.fit),
        outcome_label=model.outcome_label,
        units=model.units,
        labels=model.labels,
        threshold=model.threshold,
        model_card=model.card,
    )


def _html(run: AppRun, calculator: Mapping[str, Any] | None) -> str:
    return (
        page_environment()
        .get_template("app.html")
        .render(
            title=clean_text(run.title),
            event=clean_text(run.event),
            synthetic=run.synthetic,
            max_megabytes=f"{MAX_BYTES / 1e6:g}",
            max_images=MAX_IMAGES,
            card=[(clean_text(name), clean_text(text)) for name, text in run.card.items()],
            calculator=calculator,
            app_json=Markup(inert_json(page_content(run))),  # noqa: S704 - no `<` is left in it
        )
    )


def page_content(run: AppRun) -> dict[str, Any]:
    """What the page's scripts compute and draw with."""
    band = run.band
    return {
        "cutoff": band.cutoff,
        "low": band.low,
        "high": band.high,
        "retained": band.retained,
        "n_networks": run.n_networks,
        "looks_at_region": run.looks_at_region,
        "image_variable": run.image_variable,
        "max_bytes": MAX_BYTES,
        "max_images": MAX_IMAGES,
        "min_side": MIN_SIDE,
        "colours": colours(),
    }


def colours() -> str:
    """256 colours as hexadecimal digits, six a colour, lowest first.

    Examples
    --------
    >>> len(colours()), colours()[:6]
    (1536, '440154')
    """
    from matplotlib import colormaps

    table = colormaps[COLOURS](range(256), bytes=True)[:, :3]
    return table.tobytes().hex()
