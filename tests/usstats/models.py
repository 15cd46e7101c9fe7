"""The models of the reference cases, fitted by us."""

from __future__ import annotations

from functools import cache

import pandas as pd

from tests.reference import ReferenceCase, load_case, read_reference_table
from usstats.logistic import LogisticFit, fit_logistic


def appendicitis() -> pd.DataFrame:
    """The complete-case appendicitis table with the derived column of the cases."""
    data = read_reference_table("appx_cc.csv")
    return data.assign(
        perit=(data["peritonitis"] != "no").map({False: "no", True: "yes"}),
        perit_01=(data["peritonitis"] != "no").astype(int),
    )


def birthweight() -> pd.DataFrame:
    """The birth-weight table with race and smoke also as text."""
    data = read_reference_table("birthwt.csv")
    race = pd.Categorical(
        data["race"].map({1: "white", 2: "black", 3: "other"}), ["white", "black", "other"]
    )
    return data.assign(race_text=race, smoke_text=data["smoke"].map({0: "no", 1: "yes"}))


def birthwt_main() -> tuple[ReferenceCase, LogisticFit]:
    fit = fit_logistic("low ~ age + lwt + C(race) + smoke + ht + ui", birthweight())
    return load_case("logit_birthwt_main"), fit


def appx_rcs345() -> tuple[ReferenceCase, LogisticFit]:
    data = appendicitis().assign(perit=lambda d: d["perit_01"])
    formula = "appendicitis ~ rcs(age,4) + rcs(crp,3) + rcs(wbc,5) + sex + perit"
    return load_case("logit_appx_rcs345"), fit_logistic(formula, data)


def asah_interaction() -> tuple[ReferenceCase, LogisticFit]:
    case = load_case("logit_asah_interaction")
    data = case.table().assign(poor=lambda d: (d["outcome"] == "Poor").astype(int))
    return case, fit_logistic("poor ~ age * s100b + gender", data)


@cache
def appx_nomogram_fit() -> LogisticFit:
    return fit_logistic("appendicitis ~ age + rcs(wbc,4) + crp + sex + perit", appendicitis())


@cache
def birthwt_nomogram_fit() -> LogisticFit:
    data = birthweight().assign(race=lambda d: d["race_text"], smoke=lambda d: d["smoke_text"])
    return fit_logistic("low ~ age + lwt + race + smoke + ht", data)
