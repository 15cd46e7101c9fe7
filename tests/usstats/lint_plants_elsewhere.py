"""Mistakes as other programs and papers write them: their words, headers and printed numbers.

Importing this module adds them to `PLANTS`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tests.usstats.lint_plants import PREDICTIONS, _add_term, _changed, _config, plant
from tests.usstats.lint_studies import Study

PATIENTS = "patients.csv"


def _paper(s: Study, path: str, **columns: Any) -> Study:
    """A table beside the run, in somebody else's words."""
    return s.table(path, pd.DataFrame(columns))


@plant("R13", "cut-off csv in external")
def _(s: Study) -> Study:
    t = s.documents["run/fit/threshold.json"]
    n = s["run/fuse/prospective.csv"]
    return s.table(
        "run/external/prospective_threshold.csv",
        pd.DataFrame([{**t, "threshold": 0.33, "n": len(n), "n_event": int(n["event"].sum())}]),
    )


@plant("R13", "printed cut-off per cohort")
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/diagnostic.csv",
        Cohort=["Development", "External"],
        **{
            "Cut-off": [0.42, 0.31],
            "Sensitivity (95% CI)": ["0.85 (0.80-0.89)", "0.81 (0.7-0.9)"],
            "Specificity (95% CI)": ["0.75 (0.7-0.8)", "0.8 (0.7-0.9)"],
        },
    )


@plant("R13", "setting: criterion on validation")
def _(s: Study) -> Study:
    return _config(s, "cutoff", "data", value="validation_set")


@plant("R13", "setting: optimal in external")
def _(s: Study) -> Study:
    return _config(s, "threshold_source", value="Youden index in the external cohort")


@plant("R06", "other tool, Clinical vs Clinical+DL")
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/DeLong test.csv",
        **{
            "Model A": ["Clinical"],
            "Model B": ["Clinical + DL"],
            "AUC A": [0.81],
            "AUC B": [0.9],
            "Z": [3.2],
            "P": [0.001],
        },
    )


@plant("R06", "comparison in one column")
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/auc_delong.csv",
        comparison=["nomogram vs clinical"],
        z=[3.1],
        p_value=[0.002],
        method=["DeLong"],
    )


@plant("R07", "reader pairs unadjusted")
def _(s: Study) -> Study:
    prs = [("R1", "R2"), ("R1", "R3"), ("R2", "R3"), ("R1", "R4"), ("R2", "R4")]
    return s.table(
        "results/readers_delong.csv",
        pd.DataFrame(
            [
                {
                    "model_1": a,
                    "model_2": b,
                    "auc_1": 0.8,
                    "auc_2": 0.7,
                    "estimate": 0.1,
                    "p_value": 0.01 * i + 0.003,
                    "method": "delong",
                    "n": 120,
                }
                for i, (a, b) in enumerate(prs)
            ]
        ),
    )


@plant("R07", "setting: bonferroni none")
def _(s: Study) -> Study:
    return _config(s, "statistics", "multiple_testing_correction", value="not performed")


@plant("R05", "n of AUC table is images, other words")
def _(s: Study) -> Study:
    n = len(s["images.csv"])
    return _paper(
        s, "results/auc.csv", Model=["nomogram"], AUC=[0.9], **{"95% CI": ["0.88-0.92"], "N": [n]}
    )


@plant("R05", "printed Table 1 headers count images")
def _(s: Study) -> Study:
    im = s["images.csv"].merge(s[PATIENTS][["patient_id", "outcome", "cohort"]], on="patient_id")
    im = im[im.cohort == "development"]
    a = (im.outcome == "NOA").sum()
    b = (im.outcome == "OA").sum()
    return _paper(
        s,
        "results/table1.csv",
        **{
            "Variable": ["Age, mean (SD)"],
            f"NOA (n = {a})": ["32 (5)"],
            f"OA (n = {b})": ["32 (5)"],
            "P value": ["0.41"],
        },
    )


@plant("R05", "setting: bootstrap of images")
def _(s: Study) -> Study:
    return _config(s, "bootstrap", "unit", value="images")


@plant("R05", "setting: resample images")
def _(s: Study) -> Study:
    return _config(s, "statistics", "resampling_level", value="image-level")


@plant("R08", "headline NRI printed")
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/headline.csv",
        Measure=["Continuous NRI", "IDI"],
        Value=["0.45 (0.20-0.70)", "0.08 (0.04-0.12)"],
        P=["<0.001", "<0.001"],
    )


@plant("R08", "wide NRI, IDI")
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/added.csv",
        Model=["nomogram"],
        NRI=[0.41],
        **{"NRI p": [0.001], "IDI": [0.09], "IDI p": [0.002]},
    )


@plant("R09", "printed HL cell")
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/calibration.csv",
        Cohort=["Development", "External"],
        **{"H-L chi-square": [5.3, 8.1], "P": [0.72, 0.42]},
    )


@plant("R09", "setting: HL test used")
def _(s: Study) -> Study:
    return _config(s, "statistics", "calibration", value="Hosmer–Lemeshow goodness of fit")


@plant("R10", "other tool: external AUC only")
def _(s: Study) -> Study:
    for k in [k for k in s.tables if k.startswith("run/external")]:
        s = s.table(k, None)
    return _paper(
        s,
        "results/external_validation.csv",
        Cohort=["prospective"],
        AUC=[0.84],
        Sensitivity=[0.8],
        Specificity=[0.7],
    )


@plant("R11", "external curve 1-99")
def _(s: Study) -> Study:
    t = np.arange(1, 100) / 100
    return s.table(
        "run/external/prospective_nomogram_decision.csv",
        pd.DataFrame(
            {"model": "nomogram", "threshold_probability": t, "net_benefit": 0.3 - 0.3 * t}
        ),
    )


@plant("R11", "rationale empty words")
def _(s: Study) -> Study:
    return _config(s, "decision", "rationale", value="n/a")


@plant("R11", "setting: dca in training")
def _(s: Study) -> Study:
    return _config(s, "decision_curve", "data", value="training set")


@plant("R12", "P between net benefits")
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/net benefit comparison.csv",
        **{
            "Threshold": [0.3, 0.5],
            "NB nomogram": [0.3, 0.2],
            "NB clinical": [0.2, 0.1],
            "P value": [0.01, 0.03],
        },
    )


@plant("R14", "age 35plus yes/no")
def _(s: Study) -> Study:
    s = _changed(s, PATIENTS, age_35plus=np.where(s[PATIENTS]["age"] >= 35, "yes", "no"))
    return _add_term(s, "age_35plus", "factor")


@plant("R14", "fsh tertiles")
def _(s: Study) -> Study:
    s = _changed(
        s,
        PATIENTS,
        fsh_tertile=pd.qcut(s[PATIENTS]["fsh"], 3, labels=["T1", "T2", "T3"]).astype(str),
    )
    return _add_term(s, "fsh_tertile", "factor")


@plant("R14", "LH grade by cut, numeric codes")
def _(s: Study) -> Study:
    s = _changed(
        s,
        PATIENTS,
        lh_grade=pd.cut(s[PATIENTS]["lh"], [-1, 4, 8, 1000], labels=[1, 2, 3]).astype(int),
    )
    return _add_term(s, "lh_grade")


@plant("R14", "bool column")
def _(s: Study) -> Study:
    s = _changed(s, PATIENTS, elevated_testosterone=(s[PATIENTS]["testosterone"] > 14))
    return _add_term(s, "elevated_testosterone")


@plant("R14", "unicode name")
def _(s: Study) -> Study:
    s = _changed(
        s, PATIENTS, **{"睾丸体积≥15": (s[PATIENTS]["testicular_volume"] >= 15).astype(int)}
    )
    return _add_term(s, "睾丸体积≥15")


@plant("R15", "univariate/multivariate one wide table")
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/logistic regression.csv",
        **{
            "Variable": ["FSH", "LH"],
            "Univariate OR": [1.2, 1.1],
            "Univariate P": [0.001, 0.2],
            "Multivariate OR": [1.1, ""],
            "Multivariate P": [0.01, ""],
        },
    )


@plant("R15", "setting: variables p<0.1")
def _(s: Study) -> Study:
    return _config(
        s, "statistics", "variables_entered_if", value="P < 0.10 in univariable analysis"
    )


@plant("R15", "setting: AIC backward")
def _(s: Study) -> Study:
    return _config(s, "models_built_by", value="backward elimination by AIC")


@plant("R16", "setting: EPV 15")
def _(s: Study) -> Study:
    return _config(s, "sample_size", "rationale", value="15 EPV")


@plant("R16", "setting: at least 10 events per predictor")
def _(s: Study) -> Study:
    return _config(
        s, "sample_size_statement", value="At least ten outcome events per candidate predictor"
    )


@plant("R17", "column set: training/internal validation")
def _(s: Study) -> Study:
    return _changed(
        s,
        PATIENTS,
        dataset=np.where(np.arange(len(s[PATIENTS])) % 10 < 7, "Training", "Internal validation"),
    )


@plant("R17", "setting: random 8:2")
def _(s: Study) -> Study:
    return _config(s, "internal_validation", value="randomly divided 8:2")


@plant("R19", "setting: weighted sampler")
def _(s: Study) -> Study:
    return s.document(
        "run/train/net_1/config.json",
        {**s.documents["run/train/net_1/config.json"], "sampler": "WeightedRandomSampler"},
    ).table(
        PREDICTIONS, s[PREDICTIONS].assign(probability_calibrated=s[PREDICTIONS]["probability"])
    )


@plant("R19", "setting: loss weighted bce")
def _(s: Study) -> Study:
    return s.document(
        "run/train/net_1/config.json",
        {**s.documents["run/train/net_1/config.json"], "loss": "weighted_cross_entropy"},
    ).table(
        PREDICTIONS, s[PREDICTIONS].assign(probability_calibrated=s[PREDICTIONS]["probability"])
    )


@plant("R20", "minus one for holes")
def _(s: Study) -> Study:
    return _changed(s, PATIENTS, edv=s[PATIENTS]["edv"].fillna(-1))


@plant("R20", "setting: listwise")
def _(s: Study) -> Study:
    return _config(s, "missing_data", value="listwise deletion")


@plant("R20", "setting: dropna")
def _(s: Study) -> Study:
    return _config(s, "preprocessing", "dropna", value=True)


@plant("R20", "flow: FSH not available")
def _(s: Study) -> Study:
    return _paper(
        s,
        "run/describe/flow.csv",
        cohort=["development"] * 3,
        step=["enrolled", "excluded", "analysed"],
        reason=["", "FSH or EDV not available", ""],
        n_patients=[800, 100, 700],
    )


@plant("R20", "setting: single imputation mean")
def _(s: Study) -> Study:
    return _config(s, "imputation", "method", value="mean")


@plant("R21", "copy of the outcome as predictor")
def _(s: Study) -> Study:
    s = _changed(
        s,
        PATIENTS,
        biopsy=s[PATIENTS]["outcome"].map({"NOA": "spermatogenic failure", "OA": "normal"}),
    )
    return _add_term(s, "biopsy", "factor")


@plant("R21", "printed OR huge")
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/or.csv",
        Variable=["KS"],
        **{"OR (95% CI)": ["2.3e+08 (0.00-Inf)"], "P": ["0.99"]},
    )


@plant("R21", "printed OR 999.99")
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/odds.csv",
        term=["ks"],
        odds_ratio=[161584321.0],
        conf_low=[0.0],
        conf_high=[1e300],
        p_value=[0.98],
    )


@plant("R22", "events read first", 7)
def _(s: Study) -> Study:
    r = s["readings.csv"].copy()
    t = s[PATIENTS].set_index("patient_id")["outcome"]
    r["t"] = r["case"].map(t)
    r = r.sort_values(["reader", "condition", "t"])
    r["order"] = r.groupby(["reader", "condition"]).cumcount() + 1
    return s.table("readings.csv", r.drop(columns="t"))


@plant("R22", "the same order for all readers and sessions", 7)
def _(s: Study) -> Study:
    r = s["readings.csv"].copy()
    r["order"] = r.groupby(["reader", "condition"])["case"].rank().astype(int)
    return s.table("readings.csv", r)


@plant("R22", "setting: readers not blinded", 7)
def _(s: Study) -> Study:
    return _config(s, "readers_design", "blinded_to_outcome", value=False)


@plant("R22", "setting: consensus", 7)
def _(s: Study) -> Study:
    return _config(s, "reading", "mode", value="consensus of two readers")


@plant("R24", "headline accuracy percent")
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/model performance.csv",
        Model=["nomogram", "clinical"],
        **{"Accuracy (%)": [88, 80], "F1-score": [0.87, 0.78], "AUC": [0.9, 0.8]},
    )


@plant("R25", "percent strings")
def _(s: Study) -> Study:
    return _changed(
        s, PREDICTIONS, probability=(s[PREDICTIONS]["probability"] * 100).round(1).astype(str) + "%"
    )


@plant("R25", "joblib model")
def _(s: Study) -> Study:
    return s.document("models/nomogram.joblib", "x")


@plant("R25", "external probabilities only in percent")
def _(s: Study) -> Study:
    p = s[PREDICTIONS]
    return _changed(
        s,
        PREDICTIONS,
        probability=p["probability"].where(p["role"] == "out_of_fold", p["probability"] * 100),
    )


@plant("R25", "keras h5")
def _(s: Study) -> Study:
    return s.document("run/train/net_1/model.h5", "x")


@plant("R01", "ai_score")
def _(s: Study) -> Study:
    g = np.random.default_rng(1)
    s = _changed(s, PATIENTS, ai_score=g.random(len(s[PATIENTS])))
    return _add_term(s, "ai_score", "logit")


@plant("R01", "Rad-score")
def _(s: Study) -> Study:
    g = np.random.default_rng(1)
    s = _changed(s, PATIENTS, **{"Rad-score": g.normal(size=len(s[PATIENTS]))})
    return _add_term(s, "Rad-score")


@plant("R01", "deep signature")
def _(s: Study) -> Study:
    g = np.random.default_rng(1)
    s = _changed(s, PATIENTS, **{"transformer_signature": g.normal(size=len(s[PATIENTS]))})
    return _add_term(s, "transformer_signature")


@plant("R02", "setting: fold 3")
def _(s: Study) -> Study:
    return _config(s, "external_network", value="fold_3")


@plant("R02", "setting: best")
def _(s: Study) -> Study:
    return _config(s, "deployment", "network", value="the fold with the highest AUC")


@plant("R04", "setting: chosen by test AUC")
def _(s: Study) -> Study:
    return _config(s, "network_selection", "criterion", value="highest AUC in the test set")


@plant("R04", "table of architectures")
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/architectures.csv",
        architecture=["resnet18", "resnet50", "densenet121", "vit"],
        **{"test AUC": [0.81, 0.84, 0.86, 0.83], "selected": ["", "", "yes", ""]},
    )


@plant("R04", "epochs: best by held-out")
def _(s: Study) -> Study:
    return s.document(
        "run/train/net_1/config.json",
        {**s.documents["run/train/net_1/config.json"], "monitor": "held_out_auc"},
    )


@plant("R03", "setting: random over images")
def _(s: Study) -> Study:
    return _config(s, "cross_validation", "split_by", value="image")


@plant("R03", "sha equal across patients, upper case")
def _(s: Study) -> Study:
    im = s["images.csv"].copy()
    home = im["patient_id"].isin(s[PATIENTS].query("cohort=='development'")["patient_id"])
    im.loc[im.index[~home][0], "sha256"] = im.loc[im.index[home][0], "sha256"].upper()
    return s.table("images.csv", im)


@plant("R03", "patient under two spaced ids")
def _(s: Study) -> Study:
    im = s[PATIENTS].copy()
    i, j = im.index[0], im.index[-1]
    old = im.loc[j, "patient_id"]
    new = im.loc[i, "patient_id"].lower() + " "
    return s.table(PATIENTS, im.assign(patient_id=im["patient_id"].replace({old: new}))).table(
        "images.csv",
        s["images.csv"].assign(patient_id=s["images.csv"]["patient_id"].replace({old: new})),
    )


@plant("R18", "external of 60")
def _(s: Study) -> Study:
    p = s[PATIENTS]
    ext = p.index[p.cohort == "prospective"][60:]
    return s.table(PATIENTS, p.drop(ext))


@plant("R23", "expert/junior separate p", 7)
def _(s: Study) -> Study:
    return _paper(
        s,
        "results/readers by experience.csv",
        Group=["Senior", "Junior"],
        **{"Unaided AUC": [0.85, 0.72], "Aided AUC": [0.87, 0.81], "P": [0.21, 0.001]},
    )


@plant("R13", "accuracy table of cohorts, optimal cutoffs col")
def _(s: Study) -> Study:
    return _paper(
        s,
        "tables/Table 4.csv",
        Dataset=["Training", "Validation"],
        **{"Optimal cutoff": [0.42, 0.55], "Sensitivity": [0.8, 0.9], "Specificity": [0.8, 0.7]},
    )


@plant("R06", "DeLong p in a sheet: Model, AUC, P vs nomogram")
def _(s: Study) -> Study:
    return _paper(
        s,
        "tables/delong.csv",
        Comparison=["Nomogram vs. Clinical model"],
        Z=[2.2],
        **{"P-value": ["<0.001"]},
    )


@plant("R06", "setting delong nested")
def _(s: Study) -> Study:
    return _config(s, "added_value_test", value="DeLong's test")


@plant("R05", "ROC file with images n")
def _(s: Study) -> Study:
    n = len(s["images.csv"])
    return s.table(
        "run/external/prospective_auc.csv",
        pd.DataFrame({"measure": ["auc"], "estimate": [0.8], "n": [n], "method": ["delong"]}),
    )


@plant("R05", "study text: sample = images")
def _(s: Study) -> Study:
    return _config(s, "statistics", "sample_unit", value="ultrasound image")


@plant("R08", "category NRI column")
def _(s: Study) -> Study:
    return _paper(
        s,
        "tables/reclass.csv",
        Model=["Nomogram vs clinical"],
        **{"Category-free NRI (95% CI)": ["0.52 (0.3-0.7)"], "P": ["<0.001"]},
    )


@plant("R09", "calibration p > 0.05")
def _(s: Study) -> Study:
    return _paper(s, "tables/cal.csv", Cohort=["Training"], **{"Hosmer-Lemeshow P": [0.61]})


@plant("R11", "setting thresholds 0-1")
def _(s: Study) -> Study:
    return _config(s, "decision", "high", value=0.99)


@plant("R12", "setting p for DCA")
def _(s: Study) -> Study:
    return _config(s, "dca", "significance_test", value="bootstrap p")


@plant("R14", "BMI class text")
def _(s: Study) -> Study:
    s = _changed(
        s,
        PATIENTS,
        age_class=pd.cut(
            s[PATIENTS]["age"], [0, 30, 40, 200], labels=["<30", "30-40", ">40"]
        ).astype(str),
    )
    return _add_term(s, "age_class", "factor")


@plant("R14", "FSH normal/abnormal")
def _(s: Study) -> Study:
    s = _changed(s, PATIENTS, fsh_status=np.where(s[PATIENTS]["fsh"] > 12, "abnormal", "normal"))
    return _add_term(s, "fsh_status", "factor")


@plant("R15", "OR uni and multi in rows")
def _(s: Study) -> Study:
    return _paper(
        s,
        "tables/regression.csv",
        Analysis=["Univariable", "Multivariable"],
        Variable=["FSH", "FSH"],
        OR=[1.2, 1.1],
        P=[0.001, 0.02],
    )


@plant("R15", "lasso then logistic")
def _(s: Study) -> Study:
    return _config(
        s,
        "feature_selection",
        value="LASSO (lambda.1se), then multivariable logistic regression P<0.05",
    )


@plant("R16", "setting rule of thumb")
def _(s: Study) -> Study:
    return _config(s, "sample_size", value="rule of thumb: 10 events per variable")


@plant("R17", "setting holdout 30%")
def _(s: Study) -> Study:
    return _config(s, "validation", "holdout", value="30%")


@plant("R17", "patients column cohort Training/Testing 7:3")
def _(s: Study) -> Study:
    c = s[PATIENTS]["cohort"].copy()
    h = c == "development"
    c[h] = np.where(np.random.default_rng(0).random(h.sum()) < 0.7, "training", "testing")
    s = _changed(s, PATIENTS, cohort=c)
    return _config(
        s, "cohorts", value={"development": ["training"], "external": ["testing", "prospective"]}
    )


@plant("R18", "setting external n")
def _(s: Study) -> Study:
    p = s[PATIENTS]
    ext = p.index[p.cohort == "prospective"][30:]
    return s.table(PATIENTS, p.drop(ext))


@plant("R19", "setting resample smote before split")
def _(s: Study) -> Study:
    return _config(s, "preprocessing", "balancing", value="SMOTE").table(
        PREDICTIONS, s[PREDICTIONS].assign(probability_calibrated=s[PREDICTIONS]["probability"])
    )


@plant("R20", "setting missing: excluded patients with missing data")
def _(s: Study) -> Study:
    return _config(
        s, "missing_data", "handling", value="patients with missing values were excluded"
    )


@plant("R20", "setting locf / zero")
def _(s: Study) -> Study:
    return _config(s, "missing", value="replaced by the median")


@plant("R20", "imputed over both cohorts with outcome")
def _(s: Study) -> Study:
    return _config(s, "imputation", "fitted_on", value="development and external together")


@plant("R21", "printed OR NA-inf")
def _(s: Study) -> Study:
    return _paper(
        s,
        "tables/or.csv",
        Variable=["KS"],
        OR=[">999.99"],
        **{"95% CI": ["0.00 to >999.99"], "P": ["0.97"]},
    )


@plant("R22", "readings mean of readers", 7)
def _(s: Study) -> Study:
    r = (
        s["readings.csv"]
        .groupby(["case", "condition"], as_index=False)["rating"]
        .mean()
        .assign(reader="mean of 6")
    )
    return s.table("readings.csv", r)


@plant("R22", "readers labelled by session, wash out weeks 0", 7)
def _(s: Study) -> Study:
    return _changed(s, "readings.csv", washout=0)


@plant("R23", "AUC gain by group p only", 7)
def _(s: Study) -> Study:
    return _paper(
        s,
        "tables/gain.csv",
        Readers=["Experts", "Residents"],
        **{"Change in AUC": [0.02, 0.09], "P": [0.3, 0.002]},
    )


@plant("R24", "accuracy in abstract table")
def _(s: Study) -> Study:
    return _paper(
        s, "tables/net.csv", Network=["ResNet18"], ACC=[0.91], PRE=[0.9], REC=[0.88], F1=[0.89]
    )


@plant("R25", "prob of the other class")
def _(s: Study) -> Study:
    return _changed(
        s,
        PREDICTIONS,
        probability=1 - s[PREDICTIONS]["probability"],
        probability_calibrated=1 - s[PREDICTIONS]["probability_calibrated"],
    )


@plant("R25", "weights in .pkl in models")
def _(s: Study) -> Study:
    return s.document("weights/fold0.pkl", "x")


@plant("R01", "setting: probability of final model")
def _(s: Study) -> Study:
    return _config(s, "fusion", "probabilities", value="model trained on all patients")


@plant("R03", "setting: augment before split")
def _(s: Study) -> Study:
    return _config(s, "augmentation", "applied", value="before the split")


@plant("R04", "setting: hyperparameters on validation cohort")
def _(s: Study) -> Study:
    return _config(s, "tuning", "data", value="external validation cohort")


@plant("R02", "setting: retrained for external")
def _(s: Study) -> Study:
    return _config(s, "external_network", value="random fold")


@plant("R10", "setting: only discrimination outside")
def _(s: Study) -> Study:
    return _config(s, "external_validation", "calibration", value="not assessed")


@plant("R07", "settings no correction")
def _(s: Study) -> Study:
    return _config(s, "multiple_comparisons", value="no correction")
