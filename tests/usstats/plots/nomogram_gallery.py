"""Sixty models whose nomograms are hard to draw, and the simulated patients behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from usstats._imputing.tables import impute
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nomogram import Nomogram, build_nomogram
from usstats.pooled_fit import fit_imputed
from usstats.survival import fit_cox

LONG = "a label of forty characters, more or less"
CJK_LEVELS = ["睾丸体积减小", "正常", "附睾增大伴回声不均匀且血流信号增多"]
CJK_LONG = "附睾头部直径超过参考值上限并伴有回声不均匀以及血流信号明显增多且合并精索静脉曲张二度"
LABELS = {
    "z": "Epididymal head diameter on the side of the lesion, standardised (SD)",
    "pressure": "Systolic pressure (mmHg)",
    "fsh": "FSH [IU/l]",
    "y": "non-obstructive azoospermia with $ and _underscores_",
}
CJK_LABELS = {"z": "附睾头部直径（毫米）", "pressure": "收缩压 (mmHg)", "y": "非梗阻性无精子症"}


@cache
def gallery_data(n: int = 400) -> pd.DataFrame:
    """One table for all models: y for logistic fits, months and dead for Cox fits."""
    rng = np.random.default_rng(11)
    data = pd.DataFrame(
        {
            "z": rng.normal(size=n) - 3,
            "delta": -rng.uniform(5, 40, n).round(1),
            "p": rng.beta(0.7, 0.7, n).clip(0.001, 0.999),
            "q": rng.beta(2, 5, n).clip(0.01, 0.97),
            "pressure": rng.uniform(40, 200, n).round(),
            "fsh": np.exp(rng.normal(scale=1.5, size=n)),
            "wide": 10 ** rng.uniform(-3, 3, n),
            "count8": 1e8 + rng.integers(0, 40, n) * 2.5,
            "micro": rng.uniform(1, 9, n) * 1e-6,
            "six": rng.choice(["I", "II", "III", "IV", "V", "VI"], n),
            "long": rng.choice([f"{LONG} {i}" for i in range(6)], n),
            "cjk": rng.choice(CJK_LEVELS, n),
            "cjk_long": rng.choice([CJK_LONG, "无"], n),
            "flag": rng.random(n) < 0.5,
            "grade": rng.integers(1, 8, n),
            "FSH [IU/l]": rng.gamma(3, 4, n),
            "Volume of both testes (ml)": rng.normal(14, 4, n).round(1),
            "Δ$cost$ & <b>_x_</b>": rng.normal(size=n),
        }
    )
    for i in range(10):
        data[f"x{i}"] = rng.normal(10 * i, 1 + i, n).round(2)
    return _with_outcomes(data, rng)


def _with_outcomes(data: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    n = len(data)
    wave = 3 * np.sin(data["z"] * 1.7) + 0.01 * (data["pressure"] - 120)
    lp = wave - 0.5 * data["z"] + 2 * data["p"] + 0.3 * data["grade"] + 1.0 * data["flag"] - 3
    lp = lp - 0.05 * data["x3"] + 0.02 * data["delta"] + 2
    y = (rng.random(n) < 1 / (1 + np.exp(-lp))).astype(int)
    months = rng.exponential(40 * np.exp(-0.25 * (lp - lp.mean())))
    end = rng.uniform(6, 60, n)
    return data.assign(
        y=y, months=np.minimum(months, end).round(2) + 0.01, dead=(months <= end).astype(int)
    )


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model of the gallery: how it is fitted, drawn up and drawn."""

    fit: Callable[[], Any]
    build: Mapping[str, Any] = field(default_factory=dict)
    plot: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=lambda: LABELS)


def logistic(formula: str, **options: Any) -> Callable[[], LogisticFit]:
    return lambda: fit_logistic(f"y ~ {formula}", gallery_data(), **options)


def by_terms(*names: str) -> Callable[[], LogisticFit]:
    terms = [{"name": name} for name in names]
    return lambda: fit_logistic(None, gallery_data(), outcome="y", terms=terms)


def stretched(formula: str, times: float, *, lp: float | None = None) -> Callable[[], LogisticFit]:
    """Every slope multiplied, and another linear predictor in the middle."""

    def made() -> LogisticFit:
        fit = logistic(formula)()
        middle = fit.centred_intercept if lp is None else lp
        slopes = fit.params.iloc[1:] * times
        params = fit.params.copy()
        params.iloc[1:] = slopes
        params.iloc[0] = middle - float(np.asarray(fit.means)[1:] @ slopes)
        return replace(fit, params=params, centred_intercept=middle)

    return made


def cox(formula: str, **options: Any) -> Callable[[], Any]:
    return lambda: fit_cox(f"Surv(months, dead) ~ {formula}", gallery_data(), **options)


def rare_cox(formula: str) -> Callable[[], Any]:
    """Few events, so that survival stays near 1."""

    def made() -> Any:
        data = gallery_data()
        spared = np.random.default_rng(2).random(len(data)) < 0.93
        return fit_cox(
            f"Surv(months, dead) ~ {formula}", data.assign(dead=data["dead"].mask(spared, 0))
        )

    return made


def pooled() -> Any:
    data = gallery_data()[["y", "z", "p", "pressure"]].copy()
    gaps = np.random.default_rng(4).random(len(data)) < 0.2
    data.loc[gaps, "pressure"] = np.nan
    return fit_imputed("y ~ z + p + rcs(pressure, 3)", impute(data, m=3, seed=1, outcome="y"))


TEN = " + ".join(f"x{i}" for i in range(10))
MIXED = "rcs(z, 4) + p + log(fsh) + six + flag + grade + logit(q) + pressure + x1 + delta"
HOLD = {"pressure": (80, 120, 160)}

GALLERY: dict[str, Entry] = {
    "one number": Entry(fit=logistic("z")),
    "one probability": Entry(fit=logistic("p")),
    "one flag": Entry(fit=logistic("flag")),
    "one factor of six": Entry(fit=logistic("six")),
    "one spline": Entry(fit=logistic("rcs(z, 5)")),
    "negative slopes": Entry(fit=logistic("x3 + z + x5")),
    "covariates below zero": Entry(fit=logistic("delta + z")),
    "probabilities": Entry(fit=logistic("p + q")),
    "logits of probabilities": Entry(fit=logistic("logit(p) + logit(q)")),
    "a range of 160": Entry(fit=logistic("pressure + p")),
    "logarithms": Entry(fit=logistic("log(fsh) + p")),
    "six decades": Entry(fit=logistic("log(wide) + p")),
    "three knots": Entry(fit=logistic("rcs(pressure, 3) + p")),
    "four knots": Entry(fit=logistic("rcs(z, 4) + rcs(pressure, 4)")),
    "five knots": Entry(fit=logistic("rcs(z, 5) + rcs(pressure, 5)")),
    "seven knots": Entry(fit=logistic("rcs(z, 7) + flag")),
    "three splines": Entry(fit=logistic("rcs(z, 5) + rcs(x1, 5) + rcs(x2, 4)")),
    "transforms": Entry(fit=logistic("log(fsh) + logit(p) + rcs(pressure, 3)")),
    "six levels": Entry(fit=logistic("six + grade + flag")),
    "two factors of six": Entry(fit=logistic("six + long")),
    "long levels": Entry(fit=logistic("long + p + z")),
    "long names": Entry(fit=logistic("long + p"), labels={"p": LONG, "long": f"{LONG} {LONG}"}),
    "Chinese levels": Entry(fit=logistic("cjk + pressure"), labels=CJK_LABELS),
    "Chinese names": Entry(fit=logistic("z + pressure + flag"), labels=CJK_LABELS),
    "long Chinese levels": Entry(fit=logistic("cjk_long + cjk + z"), labels=CJK_LABELS),
    "units in names": Entry(fit=by_terms("FSH [IU/l]", "Volume of both testes (ml)", "flag")),
    "hostile names": Entry(fit=by_terms("Δ$cost$ & <b>_x_</b>", "z")),
    "small beside large effects": Entry(fit=logistic("rcs(z, 5) + q + x1 + six")),
    "tiny effects": Entry(fit=stretched("z + p + flag", 0.005)),
    "huge effects": Entry(fit=stretched("z + p + flag", 40.0)),
    "huge and below zero": Entry(fit=stretched("delta + x3", 300.0)),
    "rare outcome": Entry(fit=stretched("z + p + flag", 1.0, lp=-8.0)),
    "common outcome": Entry(fit=stretched("z + p + flag", 1.0, lp=7.0)),
    "ten numbers": Entry(fit=logistic(TEN)),
    "ten of all kinds": Entry(fit=logistic(MIXED)),
    "number by factor": Entry(fit=logistic("z*flag + p")),
    "spline by factor": Entry(fit=logistic("rcs(z, 4)*six + p")),
    "logarithm by flag": Entry(fit=logistic("log(fsh)*flag + p")),
    "factor by factor": Entry(fit=logistic("six*flag + long")),
    "numbers as factor": Entry(fit=logistic("C(grade)*flag + pressure")),
    "few values by number": Entry(fit=logistic("grade*z + p")),
    "joined interactions": Entry(fit=logistic("z*flag + cjk*flag"), labels=CJK_LABELS),
    "two numbers, one held": Entry(fit=logistic("z*pressure + p"), build={"hold": HOLD}),
    "two splines, one held": Entry(
        fit=logistic("rcs(z, 4)*rcs(pressure, 3)"),
        build={"hold": {"pressure": (60, 90, 120, 150, 180)}},
    ),
    "around 1e8": Entry(fit=logistic("count8 + p")),
    "millionths": Entry(fit=logistic("micro + p")),
    "chosen ticks": Entry(
        fit=logistic("pressure + z"),
        build={"ticks": {"pressure": [40, 60, 61, 62, 200]}, "ranges": {"z": (-3, 3)}},
    ),
    "ten points at most": Entry(fit=logistic("z + p + six"), build={"max_points": 10}),
    "large type": Entry(fit=logistic("z + long + p"), plot={"font_size": 10}),
    "Firth": Entry(fit=logistic("six + flag + z", method="firth")),
    "FLAC": Entry(fit=logistic("six + flag + z", method="flac")),
    "ridge": Entry(fit=logistic(MIXED, method="ridge", penalty=5.0)),
    "lasso": Entry(fit=logistic("z + p + x1 + x2 + flag + pressure", method="lasso", penalty=0.04)),
    "pooled": Entry(fit=pooled),
    "Cox, one time": Entry(fit=cox("z + p"), build={"times": 12}),
    "Cox, three times and median": Entry(
        fit=cox("z + p + flag + six"),
        build={
            "times": (12, 24, 36),
            "scales": ("survival", "risk", "median"),
            "time_unit": "months",
        },
    ),
    "Cox, spline by factor": Entry(
        fit=cox("rcs(z, 4)*flag + cjk"),
        build={"times": (12, 36), "scales": ("survival",), "time_unit": "months"},
        labels=CJK_LABELS,
    ),
    "Cox, ten numbers": Entry(fit=cox(TEN), build={"times": (6, 48)}),
    "Cox, few events": Entry(
        fit=rare_cox("z + p"), build={"times": (6, 50), "time_unit": "months"}
    ),
    "Cox, penalised, held": Entry(
        fit=cox("z*pressure + flag", penalty=1.0),
        build={"times": 24, "hold": {"z": (-5, -3, -1)}, "scales": ("risk", "median")},
    ),
}


@cache
def gallery_nomogram(name: str) -> Nomogram:
    entry = GALLERY[name]
    return build_nomogram(entry.fit(), **entry.build)


def overlays(name: str) -> dict[str, Any]:
    """A patient, a cut-off and the distribution of the data, all at once."""
    data = gallery_data()
    variables = list(gallery_nomogram(name).spec.variables)
    return {
        "patient": data.iloc[7][variables].to_dict(),
        "cutoff": 0.35,
        "density": data,
        "show_lp": True,
        "labels": GALLERY[name].labels,
    }
