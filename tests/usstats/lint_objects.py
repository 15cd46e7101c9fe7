"""Mistakes and clean results as objects, as an author has them in a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import usstats

Case = Callable[[], dict[str, Any]]
THRESHOLDS = np.arange(0.1, 0.61, 0.05)


def cohort(n: int = 900, *, seed: int = 1, noise: int = 0) -> pd.DataFrame:
    """Patients with an outcome, two covariates that matter and some that do not."""
    rng = np.random.default_rng(seed)
    fsh, volume = rng.lognormal(2, 0.6, n).round(1), rng.normal(14, 4, n).clip(3).round(1)
    dl = 1 / (1 + np.exp(-(rng.normal(0, 1.5, n))))
    lp = -2.2 + 1.2 * np.log(fsh) - 0.08 * volume + 0.9 * np.log(dl / (1 - dl))
    table = pd.DataFrame({"fsh": fsh, "testicular_volume": volume, "dl_prob": dl})
    for i in range(noise):
        table[f"marker_{i}"] = rng.normal(size=n).round(2)
    table["noa"] = (rng.random(n) < 1 / (1 + np.exp(-lp))).astype(int)
    table.insert(0, "patient_id", [f"P{i:04d}" for i in range(n)])
    return table


FULL = "noa ~ logit(dl_prob) + log(fsh) + testicular_volume"
REDUCED = "noa ~ log(fsh) + testicular_volume"


def fitted(formula: str = FULL, n: int = 900, **options: Any) -> tuple[Any, pd.DataFrame]:
    data = cohort(n)
    return usstats.fit_logistic(formula, data, **options), data


def risks(n: int = 700, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.beta(1.4, 1.8, n)
    return (rng.random(n) < p).astype(int), p


def readings(seed: int = 3, readers: int = 6, *, counterbalanced: bool = True) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = np.repeat([1, 0], [60, 70])
    parts = []
    for r in range(readers):
        for k, condition in enumerate(("unaided", "aided")):
            seen = (1 + 0.5 * k) * y + rng.normal(size=y.size)
            parts.append(
                pd.DataFrame(
                    {
                        "reader": f"R{r}",
                        "case": [f"C{i}" for i in range(y.size)],
                        "condition": condition,
                        "rating": seen.round(2),
                        "truth": y,
                        "experience": "expert" if r < readers // 2 else "junior",
                        "session": 1 + ((k + r) % 2 if counterbalanced else k),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


COLUMNS = {
    "truth": "truth",
    "case": "case",
    "reader": "reader",
    "condition": "condition",
    "rating": "rating",
}


def predictions(n: int = 300, images: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    y, p = risks(n)
    logit = np.log(p / (1 - p)).repeat(images) + rng.normal(0, 0.05, n * images)
    fold = (np.arange(n) % 5).repeat(images)
    return pd.DataFrame(
        {
            "patient_id": np.array([f"P{i}" for i in range(n)]).repeat(images),
            "image_id": [f"P{i}_{j}" for i in range(n) for j in range(images)],
            "model": "roi",
            "fold": fold,
            "role": "out_of_fold",
            "logit": logit,
            "probability": 1 / (1 + np.exp(-logit)),
            "model_hash": np.char.add("h", fold.astype(str)),
            "y": y.repeat(images),
        }
    )


def _comparison(names: tuple[str, ...], **options: Any) -> Any:
    rng = np.random.default_rng(5)
    y, p = risks()
    return usstats.compare_auc(y, {m: p + 0.2 * rng.normal(size=p.size) for m in names}, **options)


def _own_comparison() -> dict[str, Any]:
    full, data = fitted()
    reduced, _ = fitted(REDUCED)
    models = {"with_images": full.predict(data), "hormones": reduced.predict(data)}
    result = usstats.compare_auc(data["noa"], models)
    return {"fit": {"with_images": full, "hormones": reduced}, "results": result}


def _own_comparison_unnamed() -> dict[str, Any]:
    given = _own_comparison()
    return {"fit": list(given["fit"].values()), "results": [given["results"]]}


def _threshold(n: int = 700) -> tuple[Any, Any]:
    y, p = risks(n)
    threshold = usstats.choose_threshold(y, p)
    return threshold, usstats.diagnostic_accuracy(y, p, threshold=threshold)


def _chosen_outside() -> dict[str, Any]:
    y, p = risks(640)
    fit, _ = fitted()
    return {
        "fit": fit,
        "results": [usstats.choose_threshold(y, p), usstats.evaluate(y, p, thresholds=THRESHOLDS)],
    }


def _cut(data: pd.DataFrame) -> pd.DataFrame:
    return data.assign(fsh_high=(data["fsh"] > 7.6).astype(int))


def _cut_fit() -> dict[str, Any]:
    data = _cut(cohort())
    return {"fit": usstats.fit_logistic("noa ~ fsh_high + testicular_volume", data)}


def _cut_level() -> dict[str, Any]:
    data = cohort()
    data["group"] = np.where(data["fsh"] > 7.6, ">7.6", "<=7.6")
    return {"fit": usstats.fit_logistic("noa ~ C(group) + testicular_volume", data)}


def _cut_table() -> dict[str, Any]:
    data = _cut(cohort()).rename(columns={"fsh_high": "x7"})
    fit = usstats.fit_logistic("noa ~ x7 + testicular_volume", data)
    return {"fit": fit, "patients": data}


def _screened() -> dict[str, Any]:
    data = cohort(noise=9, seed=6)
    names = [c for c in data if c not in ("patient_id", "noa", "dl_prob")]
    table = usstats.describe(data, by="noa", variables=names, nonnormal=True)
    p = table.frame().groupby("variable")["p_value"].first()
    kept = [name for name in names if p[name] < 0.05]
    fit = usstats.fit_logistic(f"noa ~ {' + '.join(kept)}", data)
    return {"fit": fit, "results": table}


def _screened_without_a_table() -> dict[str, Any]:
    given = _screened()
    return {"fit": given["fit"], "patients": cohort(noise=9, seed=6)}


def _balanced() -> dict[str, Any]:
    data = cohort()
    rate = data["noa"].mean()
    weights = np.where(data["noa"] == 1, 0.5 / rate, 0.5 / (1 - rate))
    return {"fit": usstats.fit_logistic(REDUCED, data, weights=weights)}


def _holes(n: int = 900) -> pd.DataFrame:
    data = cohort(n)
    return data.mask(
        (np.random.default_rng(1).random(data.shape) < 0.15) & (data.columns == "fsh")[None, :]
    )


def _complete_cases() -> dict[str, Any]:
    return {"fit": usstats.fit_logistic(REDUCED, _holes(), missing="complete_case")}


def _without_outcome() -> dict[str, Any]:
    data = _holes().drop(columns="patient_id")
    return {"results": usstats.impute(data, m=5, seed=1, exclude=["noa"])}


def _once() -> dict[str, Any]:
    data = _holes().drop(columns="patient_id")
    return {"results": usstats.impute(data, m=1, seed=1, outcome="noa")}


def _images_as_patients() -> dict[str, Any]:
    table = predictions()
    return {"predictions": table, "results": usstats.auc(table["y"], table["probability"])}


def _fit_on_images() -> dict[str, Any]:
    data = cohort(400)
    again = data.loc[data.index.repeat(2)].reset_index(drop=True)
    return {"fit": usstats.fit_logistic(REDUCED, again), "patients": data}


def _table_of_images() -> dict[str, Any]:
    data = cohort(400)
    again = data.loc[data.index.repeat(3)].reset_index(drop=True)
    table = usstats.describe(again[["noa", "fsh"]], by="noa")
    return {"results": table, "patients": data}


def _experts_and_juniors() -> dict[str, Any]:
    data = readings()
    groups = {
        name: usstats.reader_study(part, **COLUMNS) for name, part in data.groupby("experience")
    }
    return {"results": groups}


def _apparent_decision() -> dict[str, Any]:
    fit, data = fitted()
    curve = usstats.decision_curve(data["noa"], {"m": fit.predict(data)}, thresholds=THRESHOLDS)
    return {"fit": fit, "results": curve}


def _separate_comparisons() -> dict[str, Any]:
    pairs = (("a", "b"), ("c", "d"), ("e", "f"))
    return {"results": [_comparison(pair) for pair in pairs]}


def _audit() -> dict[str, Any]:
    table = pd.DataFrame({"image_id": ["i1", "i2"], "patient_id": ["p1", "p1"]})
    return {"results": usstats.audit_leakage(table, [0, 1])}


def _refit_on_few() -> dict[str, Any]:
    fit, _ = fitted()
    return {"results": usstats.update_model(fit, cohort(60, seed=8), method="refit")}


PLANTED: dict[str, tuple[str, Case]] = {
    "in-sample row": (
        "R01",
        lambda: {"predictions": predictions().assign(role="in_sample")},
    ),
    "no hash": ("R01", lambda: {"predictions": predictions().drop(columns="model_hash")}),
    "one hash": ("R01", lambda: {"predictions": predictions().assign(model_hash="h")}),
    "external without hash": (
        "R02",
        lambda: {"predictions": predictions().assign(role="external", model_hash=None)},
    ),
    "two folds": ("R03", lambda: {"predictions": predictions().assign(fold=[0, 1] * 300)}),
    "audit": ("R03", _audit),
    "tuning rows": ("R04", lambda: {"predictions": predictions().assign(role="tuning")}),
    "AUC of images": ("R05", _images_as_patients),
    "fit on images": ("R05", _fit_on_images),
    "Table 1 of images": ("R05", _table_of_images),
    "DeLong of own fits": ("R06", _own_comparison),
    "DeLong of own fits, unnamed": ("R06", _own_comparison_unnamed),
    "DeLong by name": ("R06", lambda: {"results": _comparison(("clinical", "clinical + dl"))}),
    "unadjusted": ("R07", lambda: {"results": _comparison(("a", "b", "c", "d"), adjust="none")}),
    "one by one": ("R07", _separate_comparisons),
    "NRI": ("R08", lambda: {"results": usstats.reclassify(*risks(), risks(seed=2)[1] ** 1.1)}),
    "HL": ("R09", lambda: {"results": usstats.hosmer_lemeshow(*risks(), internal=False)}),
    "external AUC": ("R10", lambda: {"results": {"external": usstats.auc(*risks())}}),
    "0 to 100 %": (
        "R11",
        lambda: {
            "results": usstats.decision_curve(
                risks()[0], {"m": risks()[1]}, thresholds=np.arange(0.01, 1, 0.01)
            )
        },
    ),
    "apparent decision curve": ("R11", _apparent_decision),
    "p of net benefit": (
        "R12",
        lambda: {
            "results": pd.DataFrame(
                {"threshold_probability": [0.2], "net_benefit": [0.1], "p_value": [0.03]}
            )
        },
    ),
    "judged at home": ("R13", lambda: {"results": list(_threshold())}),
    "chosen outside": ("R13", _chosen_outside),
    "cut by name": ("R14", _cut_fit),
    "cut by level": ("R14", _cut_level),
    "cut by values": ("R14", _cut_table),
    "screened": ("R15", _screened),
    "screened, tested by us": ("R15", _screened_without_a_table),
    "eighty patients": ("R16", lambda: {"fit": fitted(n=80)[0]}),
    "refitted on sixty": ("R16", _refit_on_few),
    "few resamples": (
        "R17",
        lambda: {"results": usstats.validate(*fitted(REDUCED), n_boot=30, seed=1)},
    ),
    "fifty patients": (
        "R18",
        lambda: {"results": usstats.evaluate(*risks(90), thresholds=THRESHOLDS)},
    ),
    "balanced weights": ("R19", _balanced),
    "complete cases": ("R20", _complete_cases),
    "imputed without outcome": ("R20", _without_outcome),
    "imputed once": ("R20", _once),
    "fixed readers": (
        "R22",
        lambda: {"results": usstats.reader_study(readings(), **COLUMNS, readers="fixed")},
    ),
    "aided always second": (
        "R22",
        lambda: {
            "results": usstats.assistance_effect(
                readings(counterbalanced=False), **COLUMNS, session="session"
            )
        },
    ),
    "aided second in the table": ("R22", lambda: {"readings": readings(counterbalanced=False)}),
    "two groups": ("R23", _experts_and_juniors),
    "accuracy alone": (
        "R24",
        lambda: {"results": pd.DataFrame({"measure": ["accuracy"], "estimate": [0.9]})},
    ),
    "percent": (
        "R25",
        lambda: {"predictions": predictions().assign(probability=lambda t: 100 * t.probability)},
    ),
    "cut-off of a score": (
        "R25",
        lambda: {"results": usstats.choose_threshold(risks()[0], 5 * risks()[1] + 3)},
    ),
}


def _whole_study() -> dict[str, Any]:
    fit, data = fitted()
    y, p = risks()
    return {
        "fit": fit,
        "results": [
            usstats.validate(fit, data, n_boot=100, seed=1),
            usstats.evaluate(y, p, thresholds=THRESHOLDS),
        ],
    }


CLEAN: dict[str, Case] = {
    "predictions": lambda: {"predictions": predictions()},
    "patients": lambda: {"patients": cohort()},
    "readings": lambda: {"readings": readings()},
    "fit": lambda: {"fit": fitted()[0]},
    "firth": lambda: {"fit": fitted(method="firth")[0]},
    "auc": lambda: {"results": usstats.auc(*risks())},
    "roc": lambda: {"results": usstats.roc_curve(*risks())},
    "comparison": lambda: {"results": _comparison(("network A", "network B", "network C"))},
    "calibration": lambda: {"results": usstats.assess_calibration(*risks())},
    "evaluation": lambda: {"results": usstats.evaluate(*risks(), thresholds=THRESHOLDS)},
    "threshold": lambda: {"results": _threshold()[0]},
    "accuracy": lambda: {"results": _threshold()[1]},
    "description": lambda: {
        "results": usstats.describe(cohort().drop(columns="patient_id"), by="noa")
    },
    "imputations": lambda: {
        "results": usstats.impute(_holes().drop(columns="patient_id"), m=5, seed=1, outcome="noa")
    },
    "decision curve": lambda: {
        "results": usstats.decision_curve(risks()[0], {"m": risks()[1]}, thresholds=[0.1, 0.3, 0.6])
    },
    "reader study": lambda: {"results": usstats.reader_study(readings(), **COLUMNS)},
    "assistance": lambda: {
        "results": usstats.assistance_effect(
            readings(), **COLUMNS, session="session", washout=28, experience="experience"
        )
    },
    "nested": lambda: {
        "fit": {"full": fitted()[0], "reduced": fitted(REDUCED)[0]},
        "results": usstats.compare_nested(
            fitted()[0], fitted(REDUCED)[0], cohort(), n_boot=50, seed=1
        ),
    },
    "survival": lambda: {"results": usstats.kaplan_meier([1, 2, 3, 4], [1, 0, 1, 1])},
    "folds": lambda: {
        "results": usstats.make_folds(cohort(60)["noa"], cluster=cohort(60)["patient_id"], seed=1)
    },
    "whole study": _whole_study,
    "clustered auc": lambda: {
        "predictions": predictions(),
        "results": usstats.auc(
            predictions()["y"], predictions()["probability"], cluster=predictions()["patient_id"]
        ),
    },
}


def made(case: Case) -> dict[str, Any]:
    """What a case gives to `lint`, the warnings of the statistics aside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return case()
