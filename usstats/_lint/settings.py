"""Mistakes that are written down: options of study.yaml and of training configurations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from usstats._lint.evidence import Evidence, Setting
from usstats._lint.finding import Finding, Severity, found


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """An option whose path and value both match is a mistake of a rule."""

    rule: str
    key: str
    value: str
    finding: str
    fix: str
    severity: Severity = "error"

    def matches(self, setting: Setting) -> bool:
        """Case does not matter; the value is matched as text."""
        return bool(
            re.search(self.key, re.sub(r"(\.\d+)+$", "", setting.key), re.IGNORECASE)
            and re.search(self.value, str(setting.value).strip(), re.IGNORECASE)
        )


_NO = (
    r"^(false|no|none|off|0|null|not[ _-](done|performed|applied|assessed|used|made|reported)|"
    r"no[ _-](adjustment|correction|calibration))$"
)
_YES = r"^(true|yes|on|1)$"
PATTERNS = (
    Pattern(
        rule="R01",
        key=r"fusion|prob|predict|role|network_input|dl_",
        value=r"^(in[_ -]?sample|training(_set)?|resubstitution|apparent|train)$|"
        r"final (model|network)|(trained|fitted|refit\w*) on (all|the (same|whole))",
        finding="The network's value for its own training patients enters the models",
        fix="Use role out_of_fold.",
    ),
    Pattern(
        rule="R02",
        key=r"ensemble|external_(network|model|rule)|(^|\.)which_(network|fold)|deploy",
        value=r"^(any|unknown|unspecified|random|first|best([_ ]fold)?|fold_?\d+)$|"
        r"(best|highest|random).{0,20}(fold|network|model)|"
        r"(fold|network|model).{0,20}(best|highest|largest)",
        finding="The network used outside is not the ensemble of the folds by a stated rule",
        fix="State the rule: the mean logit of the fold networks.",
    ),
    Pattern(
        rule="R03",
        key=r"split|fold|group|stratif|partition|shuffle",
        value=r"^(by[_ ]|per[_ ])?(image|images|image_id|frame|frames|slice|slices|lesion_image|"
        r"file|random_images)$",
        finding="The split is made by image",
        fix="Split by patient: make_folds(y, cluster=patient_id).",
    ),
    Pattern(
        rule="R03",
        key=r"(^|[._])(grouped|group_by_patient|patient_level|by_patient|keep_patients_together)$",
        value=_NO,
        finding="Images of one patient may stand on both sides of the split",
        fix="Split by patient: make_folds(y, cluster=patient_id).",
    ),
    Pattern(
        rule="R03",
        key=r"augment|oversampl|balanc|preprocess|normali[sz]",
        value=r"before.{0,20}(split|fold|partition)",
        finding="Copies are made before the split, so that one picture stands on both sides",
        fix="Split the patients first; augment inside the training part of every fold.",
    ),
    Pattern(
        rule="R04",
        key=r"select|monitor|early_?stop|checkpoint|best|tun(e|ing)[._]?(on|set|data)|"
        r"hyper_?param",
        value=r"held_?out|(^|_|\b)test(\b|_|$)|outer|external|^val(idation)?_?fold",
        finding="The epoch or network is chosen on the patients it is judged on",
        fix="Choose on tuning patients inside each training fold.",
    ),
    Pattern(
        rule="R04",
        key=r"tuning_fraction$",
        value=r"^0(\.0*)?$",
        finding="No patients are set aside to choose the epoch",
        fix="tuning_fraction: 0.2",
    ),
    Pattern(
        rule="R05",
        key=r"(^|[._])(unit|unit_of_analysis|level|analysis_level|analysis_unit|cluster|"
        r"(resampling|bootstrap|sampling|sample|statistical)_(unit|level))$",
        value=r"^((per|by)[_ ])?(ultrasound[_ ])?(image|images|frame|frames|slice|slices|image_id)"
        r"([-_ ](level|wise|based))?$",
        finding="Images are counted as if they were patients",
        fix="Analyse patients, or pass cluster=patient_id.",
    ),
    Pattern(
        rule="R06",
        key=r"nested|added_value|increment|compare_nested",
        value=r"delong",
        finding="Nested models are compared by DeLong's test",
        fix="compare_nested(full, reduced, data)",
    ),
    Pattern(
        rule="R07",
        key=r"(adjust|multiplicity|multiple_(testing|comparisons)|p_adjust|correction)$",
        value=_NO + r"|^un(adjusted|corrected)",
        finding="p values of several comparisons are not adjusted",
        fix="adjust: holm, and contrasts named beforehand",
    ),
    Pattern(
        rule="R08",
        key=r"(^|[._])(nri|idi|reclassification)$|measure|metric|outcome_measure|report",
        value=r"(^|\W)(nri|idi)(\W|$)|net reclassification",
        finding="NRI or IDI is among the measures",
        fix="The likelihood-ratio test and the difference in net benefit instead.",
    ),
    Pattern(
        rule="R08",
        key=r"(^|[._])(nri|idi|reclassification)(\.|$)",
        value=_YES,
        finding="NRI or IDI is switched on",
        fix="The likelihood-ratio test and the difference in net benefit instead.",
    ),
    Pattern(
        rule="R09",
        key=r"calibrat|goodness|measure|metric|test",
        value=r"hosmer",
        finding="Calibration is judged by the Hosmer-Lemeshow test",
        fix="assess_calibration(y, p): intercept, slope and a flexible curve",
    ),
    Pattern(
        rule="R09",
        key=r"hosmer",
        value=_YES,
        finding="Calibration is judged by the Hosmer-Lemeshow test",
        fix="assess_calibration(y, p): intercept, slope and a flexible curve",
    ),
    Pattern(
        rule="R10",
        key=r"external.*calibrat|calibrat.*external",
        value=_NO,
        finding="Calibration is not assessed in the external cohort",
        fix="evaluate(y, p)",
    ),
    Pattern(
        rule="R11",
        key=r"decision.*(risks?|curve|data|predictions)$|decision.*corrected",
        value=r"^(apparent|uncorrected|false|no|training([ _-](set|cohort|data|sample))?|"
        r"in[_ -]sample)$",
        finding="The decision curve uses apparent risks",
        fix="validate(...).decision_curve(thresholds)",
    ),
    Pattern(
        rule="R12",
        key=r"(decision|net_benefit|dca).*(p_value|test|significance)",
        value=r"^(?!(false|no|none|off|0|null)$).+",
        finding="The net benefit is tested",
        fix="Show the curves with intervals; value_of_information() for the rest.",
    ),
    Pattern(
        rule="R13",
        key=r"cut_?off|threshold",
        value=r"external|test|each[_ ]cohort|per[_ ]cohort|validation|re-?optimi[sz]ed?|"
        r"own[_ ]cohort|every[_ ]cohort",
        finding="The cut-off is chosen where it is judged",
        fix="Choose it once, in development, and freeze it.",
    ),
    Pattern(
        rule="R14",
        key=r"dichotomi[sz]|binari[sz]|(^|[._])(cut|cuts|bins?|cut_?points?|discreti[sz]e)$",
        value=r"^(?!(false|no|none|off|null)$).+",
        finding="A covariate is cut into groups",
        fix="Keep it continuous: linear, log or rcs.",
    ),
    Pattern(
        rule="R15",
        key=r"selection|select(ed)?_by|screen|stepwise|univaria|variable_choice|p_(enter|remove)|"
        r"entry|feature_select|predictor_choice",
        value=r"stepwise|backward|forward|univaria|p\s*[<≤]|p[_ -]?value|^0?\.0?[0-9]+$|" + _YES,
        finding="Variables are chosen by p values or stepwise",
        fix="Choose by knowledge, or repeat the choice in every resample (Recipe(select=...)).",
    ),
    Pattern(
        rule="R15",
        key=r"",
        value=r"(backward|forward|stepwise)[ _-]*(elimination|selection|regression|wald|lr\b|"
        r"conditional|step)|p\s*[<≤]\s*0?\.\d+ .{0,20}univari|univari\w+ (analysis|screening)",
        finding="Variables are chosen by p values or stepwise",
        fix="Choose by knowledge, or repeat the choice in every resample (Recipe(select=...)).",
    ),
    Pattern(
        rule="R16",
        key=r"sample_?size|power|events?_per|epv|justification",
        value=r"\b(ten|10|20|twenty)\b.*(event|epv|per)|epv|rule of (thumb|ten)|^10$|^5$",
        finding="The sample size rests on events per variable",
        fix="usstats size --parameters P --prevalence Q --auc A (Riley's criteria)",
    ),
    Pattern(
        rule="R17",
        key=r"validat|split|internal",
        value=r"^(single[_ -]?)?(random[_ -]?)?(split|hold[_ -]?out|train[_ -/]?test.*)"
        r"([_ -]sample|[_ -]validation)?$|split[_ -]sample|"
        r"\b([6-9])\s*[:/]\s*([1-4])\b|\b[6-9]0\s*[:/%-]+\s*[1-4]0\b",
        finding="Internal validation is a single split",
        fix="validate(fit, data, recipe=..., n_boot=1000, seed=...)",
    ),
    Pattern(
        rule="R17",
        key=r"(^|[._])((test|train|holdout|split|validation)_?(size|fraction|share|ratio|percent)|"
        r"hold_?out)$",
        value=r"^0?\.\d+$|^[1-9]\d?%?$|:",
        finding="Internal validation is a single split",
        fix="validate(fit, data, recipe=..., n_boot=1000, seed=...)",
    ),
    Pattern(
        rule="R18",
        key=r"min_(events|cases|n)$",
        value=r"^[0-9]$|^[1-9][0-9]$",
        finding="A flexible calibration curve is drawn below 100 events or non-events",
        fix="min_events: 100",
        severity="warning",
    ),
    Pattern(
        rule="R20",
        key=r"imput|missing|incomplete",
        value=r"complete[_ -]?case|listwise|^drop|delete|exclud|omitted|"
        r"(^|\W)(mean|median|zero|mode|ffill|locf)(\W|$)|before|outside|once|^single|ignore|indicator",
        finding="Missing values are dropped, filled with one value, or imputed outside the "
        "resamples",
        fix="Multiple imputation with the outcome, inside the resamples: imputation: m: 20.",
    ),
    Pattern(
        rule="R20",
        key=r"(drop|exclude|remove)_?(missing|na|incomplete)|complete_?cases?(_only)?$",
        value=_YES,
        finding="Patients with missing values are dropped",
        fix="Multiple imputation with the outcome, inside the resamples: imputation: m: 20.",
    ),
    Pattern(
        rule="R20",
        key=r"imput.*(outcome|inside|resampl|within)",
        value=_NO,
        finding="The imputation leaves the outcome out, or is not repeated in the resamples",
        fix="impute(data, outcome=...), Recipe(imputation='pmm')",
    ),
    Pattern(
        rule="R22",
        key=r"counter_?balanc|cross(ed|over)|randomi[sz]ed_order",
        value=_NO,
        finding="The order of reading is not counterbalanced",
        fix="Half of the readings begin with the aid; weeks between the two.",
    ),
    Pattern(
        rule="R22",
        key=r"washout",
        value=r"^(0|none|no|null|false|unknown|not stated)(\s*(d|days|weeks))?$",
        finding="There is no washout between the readings",
        fix="Four weeks, and a new order of the cases.",
    ),
    Pattern(
        rule="R22",
        key=r"reader",
        value=r"^(average|averaged|mean|pooled|consensus|fixed)$",
        finding="Readers are averaged, pooled or held fixed",
        fix="reader_study(readers='random', cases='random')",
    ),
    Pattern(
        rule="R20",
        key=r"imput",
        value=r"(development|training).*(external|test|validation)|"
        r"\b(all|both|whole|entire)\b.*(cohorts?|data|patients|sample)",
        finding="Missing values of development are completed with patients of other cohorts",
        fix="impute() on development alone, inside every resample: Recipe(imputation='pmm').",
    ),
    Pattern(
        rule="R22",
        key=r"read.*blind(ed|ing)?|blind(ed|ing)?.*(read|truth|outcome)",
        value=_NO,
        finding="Readers were not kept from knowing the outcome",
        fix="Blind the readers to the outcome and to each other.",
    ),
    Pattern(
        rule="R22",
        key=r"^(readers?|reading|readings|reader_study)(\.|_(mode|method|rule|analysis))",
        value=r"consensus|jointly|majority",
        finding="Readings are a consensus, whose readers cannot be told apart",
        fix="Let every reader read every case alone, and analyse them with reader_study.",
    ),
    Pattern(
        rule="R23",
        key=r"interaction|subgroup_test",
        value=_NO,
        finding="Subgroups are compared without their interaction",
        fix="Report the interaction with its interval.",
    ),
    Pattern(
        rule="R24",
        key=r"metric|headline|primary|monitor|endpoint|main_measure|optimi[sz]e(_for)?$",
        value=r"(^|[_\W])(accuracy|acc|f1|f1[_ -]?score|balanced_accuracy)$",
        finding="Accuracy or F1 is the headline, or what training is guided by",
        fix="AUC, calibration and net benefit; the loss for training.",
    ),
    Pattern(
        rule="R25",
        key=r"weights|checkpoint|model(_file|_path)?$|path",
        value=r"\.(pt|pth|pkl|pickle|joblib|ckpt)$",
        finding="A pickled checkpoint is to be opened, which runs the code in it",
        fix="Use safetensors.",
    ),
    Pattern(
        rule="R25",
        key=r"(output|activation|head|final|model)_?(activation|layer)?$",
        value=r"softmax.*softmax|double|logits?[_ ]as[_ ]prob|scores?[_ ]as[_ ]prob|"
        r"uncalibrated[_ ]score",
        finding="The output is no probability",
        fix="One softmax of the logits.",
    ),
)
_IGNORED = re.compile(
    r"^(?!.*(sample_?size|power)).*(^|\.)(title|name|label|source|rationale|description|reason)$|^fusion\.network$"
)


def check_settings(evidence: Evidence) -> Iterator[Finding]:
    """One finding for each option that spells out a mistake."""
    for setting in evidence.settings:
        if _IGNORED.search(setting.key):
            continue
        seen: set[str] = set()
        for pattern in PATTERNS:
            if pattern.rule not in seen and pattern.matches(setting):
                seen.add(pattern.rule)
                yield found(
                    pattern.rule,
                    pattern.severity,
                    setting.where,
                    f"{pattern.finding} ({setting.key.rsplit('.', 1)[-1]}: {setting.value}).",
                    fix=pattern.fix,
                )
