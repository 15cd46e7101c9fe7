"""Mistakes planted in clean studies, several forms of each rule, and how many are found.

`python -m tests.usstats.lint_plants [--studies N]` prints the rates; the numbers also stand in the
slow test of `test_lint.py`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from tests.usstats.lint_studies import SHAPES, Study, clean_study
from usstats.lint import LintReport, lint

PREDICTIONS = "run/predict/predictions.csv"
Change = Callable[[Study], Study]


@dataclass(frozen=True)
class Plant:
    """A mistake: the rule it breaks, its form, how it is made, and in which clean study."""

    rule: str
    form: str
    change: Change
    shape: int = 0


PLANTS: list[Plant] = []


def plant(rule: str, form: str, shape: int = 0) -> Callable[[Change], Change]:
    def keep(change: Change) -> Change:
        PLANTS.append(Plant(rule, form, change, shape))
        return change

    return keep


def lint_on_disk(study: Study) -> LintReport:
    """The report of the study as a folder."""
    with tempfile.TemporaryDirectory() as home:
        return lint(study.write(Path(home) / "study"))


def measure(studies: int, *, out: Any = sys.stdout) -> tuple[float, float]:
    """Detection and false-alarm rate; each miss and false alarm is printed."""
    alarms = 0
    for seed in range(studies):
        study = clean_study(seed, **SHAPES[seed % len(SHAPES)])
        extra = [f for f in lint_on_disk(study) if f.rule not in study.true]
        alarms += bool(extra)
        for finding in extra:
            print(f"false alarm, study {seed}: {finding}", file=out)
    missed = 0
    bases: dict[int, tuple[Study, frozenset[str]]] = {}
    for item in PLANTS:
        if item.shape not in bases:
            base = clean_study(1000 + item.shape, **SHAPES[item.shape])
            bases[item.shape] = base, lint_on_disk(base).rules
        base, known = bases[item.shape]
        rules = lint_on_disk(item.change(deepcopy(base))).rules
        if item.rule not in rules or item.rule in known:
            missed += 1
            print(f"missed: {item.rule} {item.form}; found {sorted(rules)}", file=out)
    found = 1 - missed / len(PLANTS)
    rate = alarms / max(studies, 1)
    print(f"{len(PLANTS)} planted errors: {found:.1%} found", file=out)
    print(f"{studies} clean studies: {rate:.1%} with a false alarm", file=out)
    return found, rate


def _changed(study: Study, table: str, **columns: Any) -> Study:
    return study.table(table, study[table].assign(**columns))


def _home(study: Study) -> pd.Series:
    return study[PREDICTIONS]["role"] == "out_of_fold"


def _config(study: Study, *path: str | int, value: Any) -> Study:
    config = deepcopy(study.config)
    place = config
    for key in path[:-1]:
        place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
    place[path[-1]] = value
    return Study(config, study.tables, study.documents, study.true)


def _add_term(study: Study, name: str, kind: str = "linear", **facts: Any) -> Study:
    models = deepcopy(study.config["models"])
    models[0]["terms"].append({"name": name, "type": kind, **facts})
    return study.having(models=models)


def _events(study: Study, table: str = PREDICTIONS) -> pd.Series:
    patients = study["patients.csv"].set_index("patient_id")
    return study[table]["patient_id"].map(patients["outcome"] == "NOA").astype(int)


def _with_logit(study: Study, logit: pd.Series) -> Study:
    p = special.expit(logit)
    return _changed(study, PREDICTIONS, logit=logit, probability=p, probability_calibrated=p)


# R01 ---------------------------------------------------------------------------------------------
@plant("R01", "role in_sample")
def _(s: Study) -> Study:
    roles = s[PREDICTIONS]["role"].where(~_home(s), "in_sample")
    return _changed(s, PREDICTIONS, role=roles)


@plant("R01", "some rows in_sample")
def _(s: Study) -> Study:
    roles = s[PREDICTIONS]["role"].copy()
    roles[roles.index % 17 == 3] = "in-sample"
    return _changed(s, PREDICTIONS, role=roles)


@plant("R01", "no role column")
def _(s: Study) -> Study:
    return s.table(PREDICTIONS, s[PREDICTIONS].drop(columns="role"))


@plant("R01", "no fold of some rows")
def _(s: Study) -> Study:
    fold = s[PREDICTIONS]["fold"].where(s[PREDICTIONS].index % 5 != 0)
    return _changed(s, PREDICTIONS, fold=fold)


@plant("R01", "one hash for all folds")
def _(s: Study) -> Study:
    return _changed(s, PREDICTIONS, model_hash=np.where(_home(s), "4f2a", "99ff"))


@plant("R01", "two folds share a hash", 1)
def _(s: Study) -> Study:
    rows = s[PREDICTIONS]
    first = rows.loc[rows["fold"] == 1, "model_hash"].iloc[0]
    return _changed(s, PREDICTIONS, model_hash=rows["model_hash"].mask(rows["fold"] == 2, first))


@plant("R01", "one fold for everybody")
def _(s: Study) -> Study:
    home = _home(s)
    return _changed(
        s,
        PREDICTIONS,
        fold=pd.Series(0, index=home.index).where(home).astype("Int64"),
        model_hash=np.where(home, "4f2a", "99ff"),
    )


@plant("R01", "in-sample values labelled out_of_fold")
def _(s: Study) -> Study:
    rows, y = s[PREDICTIONS], _events(s)
    logit = rows["logit"] * 0.4 + np.where(_home(s), (2 * y - 1) * 4.0, 0.0)
    return _with_logit(s, logit)


@plant("R01", "in-sample values, no external cohort", 2)
def _(s: Study) -> Study:
    return _with_logit(s, s[PREDICTIONS]["logit"] * 0.3 + (2 * _events(s) - 1) * 6.0)


@plant("R01", "development patients with role external")
def _(s: Study) -> Study:
    rows = s[PREDICTIONS]
    some = rows["patient_id"].isin(rows["patient_id"].unique()[:40])
    return _changed(s, PREDICTIONS, role=rows["role"].mask(some, "external"))


@plant("R01", "external patients with role out_of_fold")
def _(s: Study) -> Study:
    rows = s[PREDICTIONS]
    away = rows["role"] == "external"
    return _changed(s, PREDICTIONS, role="out_of_fold", fold=rows["fold"].mask(away, 0))


@plant("R01", "fused probability from elsewhere")
def _(s: Study) -> Study:
    home = s["run/fuse/development.csv"]
    better = home["dl_prob"].where(home["event"] == 0, np.sqrt(home["dl_prob"]))
    return _changed(s, "run/fuse/development.csv", dl_prob=better)


@plant("R01", "fused role in_sample")
def _(s: Study) -> Study:
    return _changed(s, "run/fuse/development.csv", role="in_sample")


@plant("R01", "a cnn column among the covariates")
def _(s: Study) -> Study:
    rng = np.random.default_rng(1)
    s = _changed(s, "patients.csv", cnn_score=rng.random(len(s["patients.csv"])).round(4))
    return _add_term(s, "cnn_score")


@plant("R01", "a radiomics signature among the covariates")
def _(s: Study) -> Study:
    rng = np.random.default_rng(1)
    s = _changed(s, "patients.csv", rad_score=rng.normal(size=len(s["patients.csv"])).round(4))
    return _add_term(s, "rad_score")


@plant("R01", "folds differ from the split")
def _(s: Study) -> Study:
    rows = s[PREDICTIONS][_home(s)].drop_duplicates("patient_id")
    shuffled = (rows["fold"].astype(int) + 1) % 5
    return s.table("splits.csv", rows[["patient_id"]].assign(fold=shuffled))


@plant("R01", "setting: training probabilities")
def _(s: Study) -> Study:
    return _config(s, "fusion", "probability", value="in_sample")


# R02 ---------------------------------------------------------------------------------------------
@plant("R02", "external hash missing")
def _(s: Study) -> Study:
    return _changed(s, PREDICTIONS, model_hash=s[PREDICTIONS]["model_hash"].where(_home(s)))


@plant("R02", "external logit shifted")
def _(s: Study) -> Study:
    return _with_logit(s, s[PREDICTIONS]["logit"] + np.where(_home(s), 0.0, 1.2))


@plant("R02", "external logit squeezed", 1)
def _(s: Study) -> Study:
    return _with_logit(s, s[PREDICTIONS]["logit"] * np.where(_home(s), 1.0, 0.4))


@plant("R02", "external patients by several networks")
def _(s: Study) -> Study:
    rows = s[PREDICTIONS]
    some = ~_home(s) & (rows.index % 3 == 0)
    return _changed(s, PREDICTIONS, model_hash=rows["model_hash"].mask(some, "abcd"))


@plant("R02", "external by one fold's network")
def _(s: Study) -> Study:
    rows = s[PREDICTIONS]
    third = rows.loc[rows["fold"] == 3, "model_hash"].iloc[0]
    return _changed(s, PREDICTIONS, model_hash=rows["model_hash"].where(_home(s), third))


@plant("R02", "five rows for each external image")
def _(s: Study) -> Study:
    rows = s[PREDICTIONS]
    away = rows[~_home(s)]
    copies = [away.assign(model_hash=f"{k}ab", logit=away["logit"] + 0.01 * k) for k in range(4)]
    for copy in copies:
        copy["probability"] = special.expit(copy["logit"])
    return s.table(PREDICTIONS, pd.concat([rows, *copies], ignore_index=True))


@plant("R02", "another network outside", 3)
def _(s: Study) -> Study:
    return _config(s, "fusion", "external", value={"later": "net_2"})


@plant("R02", "shift table of the run")
def _(s: Study) -> Study:
    row = {"measure": "standardized_difference", "term": "logit", "estimate": 0.7, "sd_ratio": 1.0}
    frame = pd.DataFrame([{**row, "shifted": True, "group": "prospective", "model": "net_1"}])
    return s.table("run/fuse/shift.csv", frame)


@plant("R02", "setting: best fold")
def _(s: Study) -> Study:
    return _config(s, "ensemble", value="best_fold")


# R03 ---------------------------------------------------------------------------------------------
@plant("R03", "a patient in two folds", 3)
def _(s: Study) -> Study:
    rows = s[PREDICTIONS]
    first = rows.loc[rows["fold"] == 0].drop_duplicates("patient_id").index[:5]
    fold = rows["fold"].copy()
    fold[first] = 1
    hashes = rows["model_hash"].copy()
    hashes[first] = rows.loc[rows["fold"] == 1, "model_hash"].iloc[0]
    return _changed(s, PREDICTIONS, fold=fold, model_hash=hashes)


@plant("R03", "a patient in two cohorts")
def _(s: Study) -> Study:
    patients = s["patients.csv"]
    again = patients.iloc[[0, 1, 2]].assign(cohort="prospective")
    return s.table("patients.csv", pd.concat([patients, again], ignore_index=True))


@plant("R03", "an identifier in lower case")
def _(s: Study) -> Study:
    patients = s["patients.csv"]
    twin = patients.iloc[[5]].assign(patient_id=patients["patient_id"][5].lower(), fsh=3.3, age=40)
    return s.table("patients.csv", pd.concat([patients, twin], ignore_index=True))


@plant("R03", "an identifier with zeros and a dash")
def _(s: Study) -> Study:
    patients = s["patients.csv"]
    name = patients["patient_id"][7]
    other = f"{name[0]}-{name[1:].lstrip('0')} "
    twin = patients.iloc[[7]].assign(patient_id=other, cohort="prospective", fsh=3.3, age=40)
    return s.table("patients.csv", pd.concat([patients, twin], ignore_index=True))


@plant("R03", "same file in two cohorts")
def _(s: Study) -> Study:
    images = s["images.csv"]
    sha = images["sha256"].copy()
    sha.iloc[-1], sha.iloc[-5] = sha.iloc[0], sha.iloc[9]
    return _changed(s, "images.csv", sha256=sha)


@plant("R03", "same path under two patients")
def _(s: Study) -> Study:
    images = s["images.csv"].drop(columns="sha256")
    path = images["path"].copy()
    path.iloc[-1] = path.iloc[0]
    return s.table("images.csv", images.assign(path=path))


@plant("R03", "perceptual hash one bit apart")
def _(s: Study) -> Study:
    rng = np.random.default_rng(3)
    value = rng.integers(0, 2**63, len(s["images.csv"]))
    value[-1] = value[0] ^ 1
    return _changed(s, "images.csv", phash=[f"{v:016x}" for v in value])


@plant("R03", "one patient under two identifiers", 1)
def _(s: Study) -> Study:
    patients = s["patients.csv"]
    twins = patients.iloc[:6].assign(patient_id=[f"X{i}" for i in range(6)], cohort="hospital_b")
    return s.table("patients.csv", pd.concat([patients, twins], ignore_index=True))


@plant("R03", "left and right testis as two patients")
def _(s: Study) -> Study:
    def renamed(frame: pd.DataFrame) -> pd.DataFrame:
        number = frame["patient_id"].str.extract(r"(\d+)$")[0].astype(int)
        stem = frame["patient_id"].str.replace(r"\d+$", "", regex=True)
        side = np.where(number % 2 == 0, "L", "R")
        return frame.assign(patient_id=stem + (number // 2).astype(str).str.zfill(4) + "_" + side)

    for name in ("patients.csv", "images.csv", PREDICTIONS):
        s = s.table(name, renamed(s[name]))
    for name in [n for n in s.tables if n.startswith("run/fuse")]:
        s = s.table(name, renamed(s[name]))
    return s


@plant("R03", "images of a patient in two sets", 3)
def _(s: Study) -> Study:
    sets = np.random.default_rng(1).choice(["train", "test"], len(s["images.csv"]))
    return _changed(s, "images.csv", set=sets)


@plant("R03", "setting: split by image")
def _(s: Study) -> Study:
    return _config(s, "split_by", value="image")


# R04 ---------------------------------------------------------------------------------------------
def _networks(s: Study, names: list[str], noise: float) -> Study:
    rng = np.random.default_rng(5)
    rows = s[PREDICTIONS]
    parts = [rows]
    for name in names:
        logit = rows["logit"] + noise * rng.normal(size=len(rows))
        parts.append(
            rows.assign(
                model=name,
                logit=logit,
                probability=special.expit(logit),
                probability_calibrated=special.expit(logit),
                model_hash=rows["model_hash"] + name,
            )
        )
    return s.table(PREDICTIONS, pd.concat(parts, ignore_index=True))


@plant("R04", "best of five architectures")
def _(s: Study) -> Study:
    return _networks(s, ["resnet50", "densenet121", "vgg16", "nasnet"], 1.5)


@plant("R04", "best of three")
def _(s: Study) -> Study:
    return _networks(s, ["resnet50", "densenet121"], 1.5)


@plant("R04", "epochs judged on the test fold")
def _(s: Study) -> Study:
    return _networks(s, [f"net_1_epoch_{k}" for k in (10, 20, 30)], 0.5)


@plant("R04", "epoch column")
def _(s: Study) -> Study:
    rows = s[PREDICTIONS]
    parts = [rows.assign(epoch=k) for k in (1, 2, 3)]
    return s.table(PREDICTIONS, pd.concat(parts, ignore_index=True))


@plant("R04", "role validation")
def _(s: Study) -> Study:
    rows = s[PREDICTIONS]
    return _changed(s, PREDICTIONS, role=rows["role"].mask(_home(s) & (rows["fold"] == 1), "val"))


@plant("R04", "tuning patients are the held-out patients")
def _(s: Study) -> Study:
    return _training_fold(s, {"train": [0, 1, 2, 3], "tuning": [8, 9], "held_out": [8, 9, 10]})


def _training_fold(s: Study, rows: dict[str, list[int]], log: str = "") -> Study:
    images = s["images.csv"].drop_duplicates("patient_id").head(40)
    s = s.table("run/train/net_1/images.csv", images[["image_id", "patient_id"]])
    s = s.document("run/train/net_1/folds/0/fold.json", {"fold": 0, "rows": rows})
    return s.document("run/train/net_1/folds/0/log.jsonl", log) if log else s


@plant("R04", "held-out AUC watched in training")
def _(s: Study) -> Study:
    rows = {"train": [0, 1], "tuning": [5], "held_out": [8, 9]}
    return _training_fold(s, rows, '{"epoch": 1, "tuning_loss": 0.6, "held_out_auc": 0.8}\n')


@plant("R04", "setting: early stopping on the test fold")
def _(s: Study) -> Study:
    config = s.documents["run/train/net_1/config.json"]
    return s.document("run/train/net_1/config.json", {**config, "early_stopping": "test_auc"})


@plant("R04", "setting: no tuning patients")
def _(s: Study) -> Study:
    config = s.documents["run/train/net_1/config.json"]
    return s.document("run/train/net_1/config.json", {**config, "tuning_fraction": 0})


@plant("R03", "trained on held-out patients")
def _(s: Study) -> Study:
    return _training_fold(s, {"train": [0, 1, 8], "tuning": [5], "held_out": [8, 9]})


# R05 ---------------------------------------------------------------------------------------------
def _estimate(measure: str, n: int, **more: Any) -> pd.DataFrame:
    row = {"measure": measure, "estimate": 0.85, "std_error": 0.02, "conf_low": 0.81}
    row |= {"conf_high": 0.89, "conf_level": 0.95, "method": "delong", "n": n, "n_event": n // 2}
    return pd.DataFrame([row | more])


@plant("R05", "AUC over images")
def _(s: Study) -> Study:
    return s.table("run/compare/images_auc_table.csv", _estimate("auc", int(_home(s).sum())))


@plant("R05", "external AUC over images")
def _(s: Study) -> Study:
    frame = s["run/external/prospective_nomogram.csv"].assign(n=int((~_home(s)).sum()))
    return s.table("run/external/prospective_nomogram.csv", frame)


@plant("R05", "fit over images")
def _(s: Study) -> Study:
    n = int(_home(s).sum())
    return _changed(s, "run/fit/nomogram.csv", n=n, n_event=n // 2)


@plant("R05", "patients with a row an image")
def _(s: Study) -> Study:
    rows = s["images.csv"][["patient_id"]].merge(s["patients.csv"], on="patient_id")
    return s.table("patients.csv", rows)


@plant("R05", "fused with a row an image")
def _(s: Study) -> Study:
    home = s["run/fuse/development.csv"]
    again = home.loc[home.index.repeat(home["n_images"])]
    return s.table("run/fuse/development.csv", again)


@plant("R05", "Table 1 of images", 1)
def _(s: Study) -> Study:
    frame = s["run/describe/development.csv"].drop(columns="unit", errors="ignore")
    return s.table("run/describe/development.csv", frame.assign(n=frame["n"] * 3))


@plant("R05", "readings of images", 7)
def _(s: Study) -> Study:
    readings = s["readings.csv"]
    first = s["images.csv"].groupby("patient_id")["image_id"].first()
    last = s["images.csv"].groupby("patient_id")["image_id"].last()
    rows = [readings.assign(case=readings["case"].map(who)) for who in (first, last)]
    keys = ["reader", "case", "condition"]
    return s.table("readings.csv", pd.concat(rows, ignore_index=True).drop_duplicates(keys))


@plant("R05", "setting: unit image")
def _(s: Study) -> Study:
    return _config(s, "unit_of_analysis", value="image")


# R06, R07 ----------------------------------------------------------------------------------------
def _delong(s: Study, pairs: list[tuple[str, str]], adjusted: float | None = 2.0) -> pd.DataFrame:
    n = s["run/fuse/development.csv"].shape[0]
    rows = []
    for k, (one, two) in enumerate(pairs):
        p = 0.01 * (k + 1)
        row = {"model_1": one, "model_2": two, "auc_1": 0.9, "auc_2": 0.85, "estimate": 0.05}
        row |= {"std_error": 0.01, "statistic": 2.0, "p_value": p, "method": "delong", "n": n}
        rows.append(row if adjusted is None else row | {"p_adjusted": min(1, adjusted * p)})
    return pd.DataFrame(rows)


@plant("R06", "nomogram against clinical")
def _(s: Study) -> Study:
    return s.table("run/compare/delong.csv", _delong(s, [("nomogram", "clinical")]))


@plant("R06", "network against nomogram")
def _(s: Study) -> Study:
    return s.table("run/compare/auc_tests.csv", _delong(s, [("network", "nomogram")]))


@plant("R06", "by the names only")
def _(s: Study) -> Study:
    return s.table("results/delong.csv", _delong(s, [("hormones + dl", "hormones")]))


@plant("R06", "setting: nested by DeLong")
def _(s: Study) -> Study:
    return _config(s, "comparison", "nested_test", value="DeLong")


PAIRS = [("a", "b"), ("a", "c"), ("b", "c")]


@plant("R07", "no adjusted column")
def _(s: Study) -> Study:
    return s.table("run/compare/delong.csv", _delong(s, PAIRS, None))


@plant("R07", "adjusted equals raw")
def _(s: Study) -> Study:
    return s.table("run/compare/delong.csv", _delong(s, PAIRS, 1.0))


@plant("R07", "ten pairs outside")
def _(s: Study) -> Study:
    pairs = [(f"m{i}", f"m{j}") for i in range(5) for j in range(i)]
    return s.table("run/external/prospective_comparisons.csv", _delong(s, pairs, None))


@plant("R07", "one file a comparison")
def _(s: Study) -> Study:
    for one, two in PAIRS:
        s = s.table(f"results/delong_{one}_{two}.csv", _delong(s, [(one, two)], None))
    return s


@plant("R07", "setting: adjust none")
def _(s: Study) -> Study:
    return _config(s, "comparison", "adjust", value="none")


# R08, R09, R10 -----------------------------------------------------------------------------------
@plant("R08", "NRI and IDI with p values")
def _(s: Study) -> Study:
    frame = pd.DataFrame(
        {"measure": ["nri", "idi"], "estimate": [0.4, 0.1], "p_value": [0.01, 0.02]}
    )
    return s.table("run/compare/reclassification.csv", frame)


@plant("R08", "net NRI without parts")
def _(s: Study) -> Study:
    return s.table("results/nri.csv", pd.DataFrame({"measure": ["NRI"], "estimate": [0.3]}))


@plant("R08", "in a printed table")
def _(s: Study) -> Study:
    frame = pd.DataFrame({"Measure": ["AUC", "IDI"], "Value": ["0.90", "0.08 (0.03-0.12)"]})
    return s.table("run/report/tables/added.csv", frame)


@plant("R08", "continuous NRI")
def _(s: Study) -> Study:
    frame = pd.DataFrame(
        {"metric": ["Continuous NRI", "auc"], "value": [0.5, 0.8], "p": [0.0, 0.1]}
    )
    return s.table("results/added_value.csv", frame)


@plant("R08", "setting: measures")
def _(s: Study) -> Study:
    return _config(s, "comparison", "measures", value=["auc", "NRI", "IDI"])


def _without(s: Study, cohort: str, model: str, words: str) -> Study:
    path = f"run/external/{cohort}_{model}.csv"
    frame = s[path]
    return s.table(path, frame[~frame["measure"].str.contains(words)])


_CALIBRATION = "calibration|oe_ratio|ici|e50|e90|emax|brier"


@plant("R09", "HL in place of calibration", 2)
def _(s: Study) -> Study:
    for name in ("nomogram", "clinical", "network"):
        frame = s[f"run/validate/{name}.csv"]
        s = s.table(
            f"run/validate/{name}.csv",
            frame[~frame["measure"].str.contains("calibration|emax")],
        )
    return s.table("run/validate/hl.csv", _estimate("hosmer_lemeshow", 900, p_value=0.4))


@plant("R09", "HL beside others")
def _(s: Study) -> Study:
    return s.table("run/validate/hl.csv", _estimate("Hosmer-Lemeshow", 700, p_value=0.4))


@plant("R09", "HL in a printed table")
def _(s: Study) -> Study:
    frame = pd.DataFrame({"Test": ["Hosmer–Lemeshow", "Hosmer-Lemeshow test"], "p": ["0.4", "0.5"]})
    return s.table("run/report/tables/fit.csv", frame)


@plant("R09", "setting: calibration by HL")
def _(s: Study) -> Study:
    return _config(s, "calibration", "test", value="hosmer-lemeshow")


@plant("R10", "no calibration of the nomogram")
def _(s: Study) -> Study:
    return _without(s, "prospective", "nomogram", _CALIBRATION)


@plant("R10", "no calibration in the second cohort", 1)
def _(s: Study) -> Study:
    for name in ("nomogram", "clinical", "network"):
        s = _without(s, "hospital_c", name, _CALIBRATION + "|net_benefit")
    return s


@plant("R10", "AUC only")
def _(s: Study) -> Study:
    for name in ("nomogram", "clinical", "network"):
        s = s.table(f"run/external/prospective_{name}.csv", _estimate("auc", 420))
    return s


@plant("R10", "cohort never evaluated", 1)
def _(s: Study) -> Study:
    for path in [p for p in s.tables if "external/hospital_c" in p]:
        s = s.table(path, None)
    return s


@plant("R10", "no net benefit")
def _(s: Study) -> Study:
    for name in ("nomogram", "clinical", "network"):
        s = _without(s, "prospective", name, "net_benefit")
    return s


# R11, R12, R13 -----------------------------------------------------------------------------------
@plant("R11", "range 1 to 99 %")
def _(s: Study) -> Study:
    return _config(_config(s, "decision", "low", value=0.01), "decision", "high", value=0.99)


@plant("R11", "range 0 to 95 %")
def _(s: Study) -> Study:
    return _config(_config(s, "decision", "low", value=0.01), "decision", "high", value=0.95)


@plant("R11", "curve drawn to 100 %")
def _(s: Study) -> Study:
    path = "run/validate/nomogram_decision.csv"
    frame = s[path]
    wide = frame.assign(
        threshold_probability=frame["threshold_probability"].replace({0.8: 0.99, 0.1: 0.0})
    )
    return s.table(path, wide)


@plant("R11", "apparent curve")
def _(s: Study) -> Study:
    path = "run/validate/nomogram_decision.csv"
    columns = ["apparent", "training", "test", "optimism"]
    return s.table(path, s[path].assign(net_benefit=s[path]["apparent"]).drop(columns=columns))


@plant("R11", "optimism of zero")
def _(s: Study) -> Study:
    path = "run/validate/nomogram_decision.csv"
    return _changed(s, path, net_benefit=s[path]["apparent"], optimism=0.0)


@plant("R11", "net benefit of miscalibrated risks")
def _(s: Study) -> Study:
    path = "run/external/prospective_nomogram.csv"
    frame = s[path].copy()
    slope = frame["measure"] == "calibration_slope"
    frame.loc[slope, ["estimate", "conf_low", "conf_high"]] = 0.35, 0.28, 0.42
    return s.table(path, frame)


@plant("R11", "no rationale")
def _(s: Study) -> Study:
    return _config(s, "decision", "rationale", value="TODO")


@plant("R12", "p value in the decision table")
def _(s: Study) -> Study:
    return _changed(s, "run/validate/nomogram_decision.csv", p_value=0.03)


@plant("R12", "p value of a difference")
def _(s: Study) -> Study:
    frame = _estimate("net_benefit_difference", 700, p_value=0.01, threshold_probability=0.2)
    return s.table("run/compare/benefit.csv", frame)


@plant("R12", "printed p value")
def _(s: Study) -> Study:
    frame = pd.DataFrame({"Threshold": ["20%"], "Net benefit": ["0.20"], "p value": ["0.03"]})
    return s.table("run/report/tables/net_benefit.csv", frame)


@plant("R12", "setting: test of net benefit")
def _(s: Study) -> Study:
    return _config(s, "decision", "p_values", value="bootstrap")


def _accuracy(s: Study, path: str, threshold: float) -> Study:
    return _changed(s, path, threshold=threshold)


@plant("R13", "threshold chosen anew outside")
def _(s: Study) -> Study:
    return _accuracy(s, "run/external/prospective_accuracy.csv", 0.3141)


@plant("R13", "another threshold in each cohort", 1)
def _(s: Study) -> Study:
    s = _accuracy(s, "run/external/hospital_b_accuracy.csv", 0.31)
    return _accuracy(s, "run/external/hospital_c_accuracy.csv", 0.47)


@plant("R13", "threshold chosen in the external cohort")
def _(s: Study) -> Study:
    there = s["run/fuse/prospective.csv"]
    chosen = s.documents["run/fit/threshold.json"]
    n = {"n": len(there), "n_event": int(there["event"].sum())}
    return s.document("run/fit/threshold.json", {**chosen, **n})


@plant("R13", "apparent accuracy, not corrected")
def _(s: Study) -> Study:
    path = "run/validate/nomogram.csv"
    frame = s[path]
    return s.table(path, frame[~frame["measure"].isin(["sensitivity", "specificity"])])


@plant("R13", "accuracy and no threshold")
def _(s: Study) -> Study:
    path = "run/validate/nomogram.csv"
    frame = s[path]
    s = s.table(path, frame[~frame["measure"].isin(["sensitivity", "specificity"])])
    documents = {k: v for k, v in s.documents.items() if "threshold" not in k}
    return Study(s.config, s.tables, documents, s.true)


@plant("R13", "setting: re-optimised in each cohort")
def _(s: Study) -> Study:
    return _config(s, "cutoff", "chosen_in", value="each_cohort")


# R14, R15 ----------------------------------------------------------------------------------------
@plant("R14", "fsh_gt_10 beside fsh")
def _(s: Study) -> Study:
    s = _changed(s, "patients.csv", fsh_gt_10=(s["patients.csv"]["fsh"] > 10).astype(int))
    return _add_term(s, "fsh_gt_10")


@plant("R14", "high and low as text, another name")
def _(s: Study) -> Study:
    x1 = np.where(s["patients.csv"]["testicular_volume"] > 12, "large", "small")
    return _add_term(_changed(s, "patients.csv", size=x1), "size", "factor")


@plant("R14", "cut in place")
def _(s: Study) -> Study:
    s = _changed(s, "patients.csv", lh=(s["patients.csv"]["lh"] > 6).astype(int))
    return _add_term(s, "lh")


@plant("R14", "high_fsh without its source")
def _(s: Study) -> Study:
    patients = s["patients.csv"]
    s = s.table(
        "patients.csv",
        patients.assign(high_fsh=(patients["fsh"] > 7.6).map({True: "yes", False: "no"})).drop(
            columns="fsh"
        ),
    )
    models = deepcopy(s.config["models"])
    for model in models[:2]:
        model["terms"] = [t for t in model["terms"] if t["name"] != "fsh"]
        model["terms"].append({"name": "high_fsh", "type": "factor"})
    return s.having(models=models)


@plant("R14", "ranges as levels")
def _(s: Study) -> Study:
    groups = pd.cut(s["patients.csv"]["age"], [0, 30, 40, 99], labels=["<30", "30-40", ">40"])
    s = s.table("patients.csv", s["patients.csv"].assign(years=groups).drop(columns="age"))
    return _add_term(s, "years", "factor", levels=["<30", "30-40", ">40"])


@plant("R14", "quartiles")
def _(s: Study) -> Study:
    quarter = pd.qcut(s["patients.csv"]["testosterone"], 4, labels=False) + 1
    return _add_term(_changed(s, "patients.csv", t_q=quarter), "t_q")


@plant("R14", "a measured value as factor")
def _(s: Study) -> Study:
    return _add_term(s, "age", "factor")


@plant("R14", "setting: cut points")
def _(s: Study) -> Study:
    return _config(s, "columns", value={"fsh": {"type": "number", "cut_points": [7.6]}})


@plant("R15", "univariable and multivariable table")
def _(s: Study) -> Study:
    frame = pd.DataFrame({"term": ["fsh", "edv", "age"], "estimate": [1.0, 2.0, 0.1]})
    frame = frame.assign(univariable_p=[0.001, 0.02, 0.6], multivariable_p=[0.01, 0.04, np.nan])
    return s.table("run/fit/screening_table.csv", frame.assign(p_value=frame["multivariable_p"]))


@plant("R15", "univariate file")
def _(s: Study) -> Study:
    return s.table(
        "results/univariate_logistic.csv", _estimate("or", 700, term="fsh", p_value=0.01)
    )


@plant("R15", "model named stepwise")
def _(s: Study) -> Study:
    models = deepcopy(s.config["models"])
    models[0]["name"] = "backward_stepwise"
    return s.having(models=models)


@plant("R15", "exactly the significant variables of Table 1")
def _(s: Study) -> Study:
    frame = s["run/describe/development.csv"]
    noise = [f"marker_{i}" for i in range(6)]
    extra = pd.concat([frame[frame["variable"] == "age"].assign(variable=m) for m in noise])
    whole = pd.concat([frame, extra], ignore_index=True)
    kept = {"fsh", "testicular_volume", "edv"}
    return s.table(
        "run/describe/development.csv",
        whole.assign(p_value=np.where(whole["variable"].isin(kept), 0.001, 0.3)),
    )


@plant("R15", "setting: selection by p")
def _(s: Study) -> Study:
    return _config(s, "selection", value="univariable p < 0.05, then stepwise")


@plant("R15", "setting: p_enter")
def _(s: Study) -> Study:
    return _config(s, "variable_selection", "p_enter", value=0.05)


# R16, R17, R18 -----------------------------------------------------------------------------------
@plant("R16", "sixty patients", 2)
def _(s: Study) -> Study:
    patients = s["patients.csv"].groupby("outcome").head(30)
    paths = [p for p in s.tables if p.startswith("run/fit") or p.startswith("run/validate")]
    for path in paths:
        s = s.table(path, None)
    s = Study(s.config, s.tables, {}, s.true)
    rows = s[PREDICTIONS][s[PREDICTIONS]["patient_id"].isin(patients["patient_id"])]
    s = (
        s.table("patients.csv", patients)
        .table(PREDICTIONS, rows)
        .table("run/fuse/development.csv", None)
    )
    return s.table(
        "images.csv", s["images.csv"][s["images.csv"]["patient_id"].isin(patients["patient_id"])]
    )


@plant("R16", "forty parameters")
def _(s: Study) -> Study:
    frame = s["run/fit/nomogram.csv"]
    more = pd.concat([frame.iloc[[1]].assign(term=f"x{i}") for i in range(40)])
    return s.table("run/fit/nomogram.csv", pd.concat([frame, more], ignore_index=True))


@plant("R16", "fitted on eighty")
def _(s: Study) -> Study:
    return _changed(s, "run/fit/nomogram.csv", n=80, n_event=30)


@plant("R16", "slope of 0.6")
def _(s: Study) -> Study:
    frame = s["run/validate/nomogram.csv"].copy()
    frame.loc[frame["measure"] == "calibration_slope", "corrected"] = 0.6
    return s.table("run/validate/nomogram.csv", frame)


@plant("R16", "setting: ten events per variable")
def _(s: Study) -> Study:
    return _config(s, "sample_size", "rule", value="10 events per variable")


@plant("R17", "test part of one split")
def _(s: Study) -> Study:
    rows = s[PREDICTIONS]
    keep = (rows["fold"] == 0) | ~_home(s)
    return s.table(PREDICTIONS, rows[keep])


@plant("R17", "role test")
def _(s: Study) -> Study:
    rows = s[PREDICTIONS]
    role = rows["role"].mask(_home(s), "test")
    return s.table(PREDICTIONS, rows.assign(role=role)[(rows["fold"] == 0) | ~_home(s)])


def _cohort_named(s: Study, old: str, new: str) -> Study:
    patients = s["patients.csv"]
    for path in [p for p in s.tables if old in p]:
        s = s.table(path.replace(old, new), s[path]).table(path, None)
    s = _changed(s, "patients.csv", cohort=patients["cohort"].replace({old: new}))
    return _config(s, "cohorts", "external", value=[new])


@plant("R17", "external cohort is the test set")
def _(s: Study) -> Study:
    return _cohort_named(s, "prospective", "test_set")


@plant("R17", "external cohort is an internal validation")
def _(s: Study) -> Study:
    return _cohort_named(s, "prospective", "internal_validation")


@plant("R17", "random split of one list")
def _(s: Study) -> Study:
    names = s["patients.csv"]["patient_id"]
    number = np.random.default_rng(1).permutation(len(names))
    renamed = {name: f"P{k:04d}" for name, k in zip(names, number, strict=True)}
    for path in [p for p in s.tables if "patient_id" in s[p]]:
        s = _changed(s, path, patient_id=s[path]["patient_id"].map(renamed))
    return s


@plant("R17", "not validated")
def _(s: Study) -> Study:
    for path in [p for p in s.tables if p.startswith("run/validate")]:
        s = s.table(path, None)
    return s


@plant("R17", "twenty refits")
def _(s: Study) -> Study:
    return _changed(s, "run/validate/nomogram.csv", n_boot=20)


@plant("R17", "column split")
def _(s: Study) -> Study:
    sets = np.where(np.arange(len(s["patients.csv"])) % 10 < 7, "train", "test")
    return _changed(s, "patients.csv", split=sets)


@plant("R17", "setting: 7:3")
def _(s: Study) -> Study:
    return _config(s, "validation", "method", value="random split 7:3")


@plant("R17", "setting: test_size")
def _(s: Study) -> Study:
    return _config(s, "test_size", value=0.3)


def _fewer_outside(s: Study, events: int, others: int) -> Study:
    patients = s["patients.csv"]
    away = patients[patients["cohort"] == "prospective"]
    keep = pd.concat(
        [away[away["outcome"] == "NOA"].head(events), away[away["outcome"] == "OA"].head(others)]
    )
    return s.table("patients.csv", pd.concat([patients[patients["cohort"] == "development"], keep]))


@plant("R18", "forty events")
def _(s: Study) -> Study:
    return _fewer_outside(s, 40, 150)


@plant("R18", "thirty non-events")
def _(s: Study) -> Study:
    return _fewer_outside(s, 150, 30)


@plant("R18", "six events")
def _(s: Study) -> Study:
    return _fewer_outside(s, 6, 100)


@plant("R18", "curve of few")
def _(s: Study) -> Study:
    frame = s["run/external/prospective_nomogram.csv"].assign(n=120, n_event=50)
    return s.table("run/external/prospective_nomogram.csv", frame)


# R19, R20, R21 -----------------------------------------------------------------------------------
def _raw_only(s: Study) -> Study:
    return s.table(PREDICTIONS, s[PREDICTIONS].drop(columns="probability_calibrated"))


def _option(s: Study, **values: Any) -> Study:
    config = s.documents["run/train/net_1/config.json"]
    return s.document("run/train/net_1/config.json", {**config, **values})


@plant("R19", "class weights, not recalibrated")
def _(s: Study) -> Study:
    return _option(_raw_only(s), class_weights="balanced")


@plant("R19", "focal loss, not recalibrated")
def _(s: Study) -> Study:
    return _option(_raw_only(s), loss="focal")


@plant("R19", "oversampling, not recalibrated")
def _(s: Study) -> Study:
    return _option(_raw_only(s), sampler="oversample")


@plant("R19", "pos_weight, calibrated column is a copy")
def _(s: Study) -> Study:
    s = _changed(s, PREDICTIONS, probability_calibrated=s[PREDICTIONS]["probability"])
    return _option(s, pos_weight=2.5)


@plant("R19", "SMOTE in the design", 6)
def _(s: Study) -> Study:
    return _config(_raw_only(s), "preprocessing", "smote", value=True)


@plant("R19", "risks average one half", 6)
def _(s: Study) -> Study:
    return _with_logit(s, s[PREDICTIONS]["logit"] + 1.4)


@plant("R19", "copies of the rarer class", 6)
def _(s: Study) -> Study:
    patients = s["patients.csv"]
    rare = patients[(patients["outcome"] == "NOA") & (patients["cohort"] == "development")]
    again = rare.head(80).assign(patient_id=[f"Z{i}" for i in range(80)])
    return s.table("patients.csv", pd.concat([patients, again], ignore_index=True))


@plant("R20", "fitted on complete cases")
def _(s: Study) -> Study:
    home = s["run/fuse/development.csv"]
    full = home[home["edv"].notna()]
    return _changed(s, "run/fit/nomogram.csv", n=len(full), n_event=int(full["event"].sum()))


@plant("R20", "excluded for missing values")
def _(s: Study) -> Study:
    rule = {"column": "smoker", "equals": "yes", "reason": "incomplete clinical data"}
    return s.having(exclusions=[rule])


@plant("R20", "mean in place of holes")
def _(s: Study) -> Study:
    edv = s["patients.csv"]["edv"]
    return _changed(s, "patients.csv", edv=edv.fillna(edv.mean()))


@plant("R20", "median in place of holes")
def _(s: Study) -> Study:
    edv = s["patients.csv"]["edv"]
    return _changed(s, "patients.csv", edv=edv.fillna(round(edv.median(), 2)))


@plant("R20", "999 in place of holes")
def _(s: Study) -> Study:
    return _changed(s, "patients.csv", edv=s["patients.csv"]["edv"].fillna(999))


@plant("R20", "0 in place of holes")
def _(s: Study) -> Study:
    return _changed(s, "patients.csv", edv=s["patients.csv"]["edv"].fillna(0))


@plant("R20", "two imputations", 5)
def _(s: Study) -> Study:
    return _config(s, "imputation", "m", value=2)


@plant("R20", "flow excludes the incomplete")
def _(s: Study) -> Study:
    row = {"cohort": "development", "step": "excluded", "reason": "missing EDV", "n_patients": 60}
    return s.table("run/describe/flow.csv", pd.DataFrame([row]))


@plant("R20", "setting: complete cases")
def _(s: Study) -> Study:
    return _config(s, "missing", value="complete_case")


@plant("R20", "setting: incomplete patients dropped")
def _(s: Study) -> Study:
    return _config(s, "drop_missing", value=True)


@plant("R20", "excluded without a measurement")
def _(s: Study) -> Study:
    rule = {"column": "smoker", "equals": "yes", "reason": "no Doppler measurement"}
    return s.having(exclusions=[rule])


@plant("R20", "setting: imputation without the outcome")
def _(s: Study) -> Study:
    return _config(s, "imputation", "include_outcome", value=False)


@plant("R21", "huge standard error")
def _(s: Study) -> Study:
    frame = s["run/fit/nomogram.csv"].copy()
    frame.loc[2, ["estimate", "std_error", "p_value"]] = 17.8, 2310.0, 0.99
    return s.table("run/fit/nomogram.csv", frame)


@plant("R21", "odds ratio of 10 to the 7")
def _(s: Study) -> Study:
    frame = s["run/fit/nomogram_odds_ratios.csv"].copy()
    frame.loc[1, ["estimate", "conf_low", "conf_high"]] = 4e7, 0.0001, 9e30
    return s.table("run/fit/nomogram_odds_ratios.csv", frame)


@plant("R21", "a level with events only")
def _(s: Study) -> Study:
    patients = s["patients.csv"]
    sign = np.where((patients["outcome"] == "NOA") & (patients.index % 9 == 0), "yes", "no")
    return _add_term(_changed(s, "patients.csv", microlithiasis=sign), "microlithiasis", "factor")


@plant("R21", "a covariate that separates")
def _(s: Study) -> Study:
    rng = np.random.default_rng(2)
    y = (s["patients.csv"]["outcome"] == "NOA").astype(int)
    marker = (rng.random(len(y)) + 2 * y).round(3)
    return _add_term(_changed(s, "patients.csv", marker=marker), "marker")


@plant("R21", "conf_high infinite")
def _(s: Study) -> Study:
    frame = s["run/fit/clinical_odds_ratios.csv"].copy()
    frame.loc[0, "conf_high"] = np.inf
    return s.table("run/fit/clinical_odds_ratios.csv", frame)


# R22, R23 ----------------------------------------------------------------------------------------
def _read(s: Study, **columns: Any) -> Study:
    return _changed(s, "readings.csv", **columns)


@plant("R22", "aided always second", 7)
def _(s: Study) -> Study:
    return _read(s, session=np.where(s["readings.csv"]["condition"] == "aided", 2, 1))


@plant("R22", "no order recorded", 7)
def _(s: Study) -> Study:
    return s.table("readings.csv", s["readings.csv"].drop(columns=["session", "order"]))


@plant("R22", "readers averaged", 7)
def _(s: Study) -> Study:
    keys = ["case", "condition", "experience", "session", "washout"]
    mean = s["readings.csv"].groupby(keys, as_index=False)["rating"].mean()
    return s.table("readings.csv", mean.assign(reader=mean["experience"], order=1))


@plant("R22", "one reader", 7)
def _(s: Study) -> Study:
    readings = s["readings.csv"]
    return s.table("readings.csv", readings[readings["reader"] == "R1"])


@plant("R22", "washout of a day", 7)
def _(s: Study) -> Study:
    return _read(s, washout=1)


@plant("R22", "each reader in one condition", 7)
def _(s: Study) -> Study:
    readings = s["readings.csv"]
    odd = readings["reader"].str[1:].astype(int) % 2 == 1
    return s.table("readings.csv", readings[odd == (readings["condition"] == "aided")])


@plant("R22", "readings twice", 7)
def _(s: Study) -> Study:
    readings = s["readings.csv"]
    return s.table("readings.csv", pd.concat([readings, readings.head(30)], ignore_index=True))


@plant("R22", "pooled readings as cases", 7)
def _(s: Study) -> Study:
    return s.table("run/readers/pooled_auc.csv", _estimate("auc", 120 * 6))


@plant("R22", "fixed readers", 7)
def _(s: Study) -> Study:
    frame = _estimate("reader_averaged_auc", 120, n_reader=6, condition="aided")
    words = "Obuchowski-Rockette, delong covariance, fixed readers, random cases"
    return s.table("run/readers/summary.csv", frame.assign(method=words))


@plant("R22", "setting: not counterbalanced", 7)
def _(s: Study) -> Study:
    return _config(s, "readers", "counterbalanced", value=False)


def _groups(s: Study, **more: Any) -> pd.DataFrame:
    parts = [
        _estimate("difference", 120, experience=g, p_value=p)
        for g, p in (("expert", 0.2), ("junior", 0.001))
    ]
    return pd.concat(parts, ignore_index=True).assign(**more)


@plant("R23", "two p values, no interaction", 7)
def _(s: Study) -> Study:
    return s.table("run/readers/by_experience.csv", _groups(s))


@plant("R23", "a file for each group", 7)
def _(s: Study) -> Study:
    for group in ("experts", "juniors"):
        frame = _estimate("difference", 120, p_value=0.03)
        s = s.table(f"run/readers/{group}.csv", frame)
    return s


@plant("R23", "subgroups of a change in AUC", 7)
def _(s: Study) -> Study:
    frame = _groups(s).rename(columns={"experience": "subgroup"}).assign(measure="auc_change")
    return s.table("run/compare/subgroups.csv", frame)


@plant("R23", "setting: no interaction", 7)
def _(s: Study) -> Study:
    return _config(s, "readers", "interaction", value=False)


# R24, R25 ----------------------------------------------------------------------------------------
@plant("R24", "accuracy alone")
def _(s: Study) -> Study:
    return s.table("run/compare/headline.csv", _estimate("accuracy", 700))


@plant("R24", "F1 among the measures")
def _(s: Study) -> Study:
    frame = pd.concat([_estimate(m, 700) for m in ("auc", "sensitivity", "F1-score")])
    return s.table("run/compare/measures.csv", frame)


@plant("R24", "a wide table of accuracy and F1")
def _(s: Study) -> Study:
    frame = pd.DataFrame({"model": ["a", "b"], "Accuracy": [0.9, 0.8], "F1": [0.8, 0.7]})
    return s.table("results/models.csv", frame)


@plant("R24", "accuracy leads the printed table")
def _(s: Study) -> Study:
    frame = pd.DataFrame({"Measure": ["Accuracy", "AUC"], "Value": ["0.91", "0.90"]})
    return s.table("run/report/tables/main.csv", frame)


@plant("R24", "accuracy first")
def _(s: Study) -> Study:
    frame = s["run/external/prospective_accuracy.csv"]
    first = frame["measure"] == "accuracy"
    return s.table(
        "run/external/prospective_accuracy.csv", pd.concat([frame[first], frame[~first]])
    )


@plant("R24", "setting: metric accuracy")
def _(s: Study) -> Study:
    return _option(s, monitor="tuning_accuracy", primary_metric="accuracy")


@plant("R25", "percentages")
def _(s: Study) -> Study:
    return _changed(s, PREDICTIONS, probability=s[PREDICTIONS]["probability"] * 100)


@plant("R25", "logits as probabilities")
def _(s: Study) -> Study:
    return _changed(s, PREDICTIONS, probability=s[PREDICTIONS]["logit"])


@plant("R25", "probabilities as logits")
def _(s: Study) -> Study:
    return _changed(s, PREDICTIONS, logit=s[PREDICTIONS]["probability"])


@plant("R25", "softmax twice")
def _(s: Study) -> Study:
    p = s[PREDICTIONS]["probability"]
    return _changed(s, PREDICTIONS, probability=special.expit(2 * p - 1))


@plant("R25", "sigmoid twice, no logit")
def _(s: Study) -> Study:
    p = special.expit(s[PREDICTIONS]["probability"])
    columns = ["logit", "probability_calibrated"]
    return s.table(PREDICTIONS, s[PREDICTIONS].assign(probability=p).drop(columns=columns))


@plant("R25", "missing probabilities")
def _(s: Study) -> Study:
    p = s[PREDICTIONS]["probability"].where(s[PREDICTIONS].index % 50 != 0)
    return _changed(s, PREDICTIONS, probability=p, probability_calibrated=p)


@plant("R25", "decisions for probabilities")
def _(s: Study) -> Study:
    hard = (s[PREDICTIONS]["probability"] > 0.5).astype(int)
    rows = s[PREDICTIONS].drop(columns=["logit", "probability_calibrated"])
    return s.table(PREDICTIONS, rows.assign(probability=hard))


@plant("R25", "three classes that sum to 1.3")
def _(s: Study) -> Study:
    rows = s[PREDICTIONS].drop(columns=["logit", "probability_calibrated"])
    other = rows.assign(**{"class": "OA", "probability": 1.3 - rows["probability"].clip(0.31)})
    return s.table(PREDICTIONS, pd.concat([rows, other], ignore_index=True))


@plant("R25", "the other class")
def _(s: Study) -> Study:
    return _changed(s, PREDICTIONS, **{"class": "OA"})


@plant("R25", "reversed probabilities")
def _(s: Study) -> Study:
    return _with_logit(s, -s[PREDICTIONS]["logit"])


@plant("R25", "over-confident logits", 1)
def _(s: Study) -> Study:
    return _with_logit(s, s[PREDICTIONS]["logit"] * 4)


@plant("R25", "calibrated column of other rows")
def _(s: Study) -> Study:
    p = s[PREDICTIONS]["probability_calibrated"].sample(frac=1, random_state=1).to_numpy()
    return _changed(s, PREDICTIONS, probability_calibrated=p)


@plant("R25", "pickled checkpoint")
def _(s: Study) -> Study:
    return s.document("run/train/net_1/best.pth", "x")


@plant("R25", "pickle at the root")
def _(s: Study) -> Study:
    return s.document("model.pkl", "x")


@plant("R25", "weights from a .pt file")
def _(s: Study) -> Study:
    return _config(s, "networks", "net_1", "weights", value="pretrained/us.pt")


@plant("R25", "cut-off of a score")
def _(s: Study) -> Study:
    chosen = s.documents["run/fit/threshold.json"]
    return s.document("run/fit/threshold.json", {**chosen, "value": 1.73})


@plant("R25", "interval of an AUC beyond 1")
def _(s: Study) -> Study:
    return s.table("run/compare/area.csv", _estimate("auc", 700, conf_high=1.02))


def forms() -> Iterator[str]:
    """Rule and form of every plant."""
    yield from (f"{p.rule} {p.form}" for p in PLANTS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=40, help="clean studies to look at")
    # Run as a script this module is not the one the other plants are added to.
    from tests.usstats import lint_plants, lint_plants_elsewhere

    print(lint_plants_elsewhere.__doc__.splitlines()[0])
    detection, false_alarms = lint_plants.measure(parser.parse_args().studies)
    sys.exit(detection < 0.95 or false_alarms > 0.05)
