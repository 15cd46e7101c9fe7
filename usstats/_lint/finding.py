"""A finding, and what stands behind each rule: the reason in one sentence, and the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
FIELDS = ("rule", "severity", "where", "finding", "why", "reference", "fix")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One mistake in one place.

    Attributes
    ----------
    rule : str
        "R01" to "R25".
    severity : {"error", "warning", "note"}
        "error": the numbers cannot be trusted as they are. "warning": they may mislead, or the
        study is too small. "note": worth a sentence in the paper.
    where : str
        File, column and lines, or the result.
    finding, why, reference, fix : str
        What is wrong, why it matters, who says so, and a call or command that puts it right.
    """

    rule: str
    severity: Severity
    where: str
    finding: str
    why: str
    reference: str
    fix: str

    def __str__(self) -> str:
        return (
            f"{self.severity} {self.rule}, {self.where}\n"
            f"  What: {self.finding}\n"
            f"  Why:  {self.why}\n"
            f"  Fix:  {self.fix}\n"
            f"  See:  {self.reference}"
        )


def found(
    rule: str, severity: Severity, where: str, finding: str, *, fix: str, why: str = ""
) -> Finding:
    """A finding with the reason and reference of its rule."""
    behind = RULES[rule]
    return Finding(
        rule=rule,
        severity=severity,
        where=where,
        finding=finding,
        why=why or behind.why,
        reference=behind.reference,
        fix=fix,
    )


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a rule is about."""

    title: str
    why: str
    reference: str


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "R01": Rule(
            title="Network's probability of its own training patients",
            why="A network is too sure about patients it was trained on; a model fitted on such "
            "values looks excellent in development and fails in new patients.",
            reference="Tibshirani and Efron, Stat Appl Genet Mol Biol 2002;1:1",
        ),
        "R02": Rule(
            title="Which network is used outside",
            why="Another network, or another way of combining the networks, shifts and stretches "
            "the logit, and the coefficients of the nomogram no longer fit it.",
            reference="Van Calster et al., BMC Med 2019;17:230; TRIPOD+AI, BMJ 2024;385:e078378",
        ),
        "R03": Rule(
            title="One patient on both sides of a split",
            why="A network recognises the patient, not the disease, and the performance on the "
            "other side is no longer that in new patients.",
            reference="Kapoor and Narayanan, Patterns 2023;4:100804",
        ),
        "R04": Rule(
            title="Selection on the test fold",
            why="The best of several epochs or networks on the very patients it is judged on is "
            "partly the luckiest, so its performance is optimistic.",
            reference="Cawley and Talbot, J Mach Learn Res 2010;11:2079; Varma and Simon, BMC "
            "Bioinformatics 2006;7:91",
        ),
        "R05": Rule(
            title="Analysis per image instead of per patient",
            why="Images of one patient resemble each other, so intervals and p values that count "
            "them as independent are too narrow and too small.",
            reference="Obuchowski, Biometrics 1997;53:567",
        ),
        "R06": Rule(
            title="DeLong's test between nested models",
            why="On the data both models were fitted on the test has almost no power and its "
            "p value no meaning.",
            reference="Demler, Pencina and D'Agostino, Stat Med 2012;31:2577",
        ),
        "R07": Rule(
            title="Many pairwise comparisons",
            why="With several unadjusted tests one is likely to be significant by chance alone.",
            reference="Holm, Scand J Stat 1979;6:65",
        ),
        "R08": Rule(
            title="NRI or IDI as evidence",
            why="NRI and IDI rise when a useless marker is added to a model, more often than "
            "chance allows.",
            reference="Kerr et al., Epidemiology 2014;25:114; Pepe et al., Stat Biosci 2015;7:282",
        ),
        "R09": Rule(
            title="Hosmer-Lemeshow test as proof of calibration",
            why="A large p value of this test mostly says that the sample is small; it shows "
            "neither the direction nor the size of miscalibration.",
            reference="Van Calster et al., J Clin Epidemiol 2016;74:167; BMC Med 2019;17:230",
        ),
        "R10": Rule(
            title="External cohort without calibration",
            why="A model can rank patients well and still give every one of them a risk that is "
            "far too high or too low.",
            reference="Van Calster et al., Lancet Digit Health 2025;7:100916",
        ),
        "R11": Rule(
            title="Decision curve over the wrong range or of optimistic risks",
            why="Net benefit at thresholds nobody would act on, or from risks the model was fitted "
            "to, says nothing about a decision.",
            reference="Vickers et al., BMC Med Inform Decis Mak 2008;8:53; Capogrosso and Vickers, "
            "Med Decis Making 2019;39:493",
        ),
        "R12": Rule(
            title="p value of a net benefit",
            why="A decision follows the larger expected net benefit, whatever its p value.",
            reference="Vickers et al., Diagn Progn Res 2023;7:11",
        ),
        "R13": Rule(
            title="Cut-off chosen and judged on the same patients",
            why="A cut-off fitted to the patients it is judged on gives them a sensitivity and "
            "specificity that others will not have.",
            reference="Wynants et al., BMC Med 2019;17:192",
        ),
        "R14": Rule(
            title="Continuous covariate cut into groups",
            why="Cutting throws away a good part of the information and makes two patients on "
            "either side of the cut differ as much as two at the extremes.",
            reference="Royston, Altman and Sauerbrei, Stat Med 2006;25:127",
        ),
        "R15": Rule(
            title="Variables chosen by univariable p values or stepwise",
            why="Such a choice is unstable, keeps noise that was lucky, drops what matters "
            "together, and its p values and intervals ignore the choice.",
            reference="Sun, Shook and Kay, J Clin Epidemiol 1996;49:907; Heinze and Dunkler, "
            "Transpl Int 2017;30:6",
        ),
        "R16": Rule(
            title="Too few patients for the number of parameters",
            why="Below this size the model overfits: its risks are too extreme in new patients.",
            reference="Riley et al., BMJ 2020;368:m441",
        ),
        "R17": Rule(
            title="A single split, or too few resamples",
            why="One random split wastes patients, and another split of the same patients would "
            "give another model and another result.",
            reference="Steyerberg and Harrell, J Clin Epidemiol 2016;69:245; Riley and Collins, "
            "Biom J 2023;65:2200302",
        ),
        "R18": Rule(
            title="Validation set too small",
            why="With fewer than 100 patients of each outcome the AUC is imprecise and a "
            "calibration curve shows mostly noise.",
            reference="Van Calster et al., J Clin Epidemiol 2016;74:167; Riley et al., Stat Med "
            "2021;40:4230",
        ),
        "R19": Rule(
            title="Classes reweighted, then read as probabilities",
            why="Oversampling, class weights and focal loss move the predicted risks away from "
            "the real ones unless they are recalibrated.",
            reference="Carriero et al., Stat Med 2025;44:e10320",
        ),
        "R20": Rule(
            title="Missing values dropped or imputed the wrong way",
            why="Patients with missing values differ from the others, and an imputation without "
            "the outcome or outside the resampling biases coefficients or hides optimism.",
            reference="Moons et al., J Clin Epidemiol 2006;59:1092; Bartlett and Hughes, Stat "
            "Methods Med Res 2020;29:3533",
        ),
        "R21": Rule(
            title="Separation behind a huge standard error",
            why="A variable that predicts the outcome perfectly has no finite maximum-likelihood "
            "estimate; the number printed depends on when the software stopped.",
            reference="Heinze and Schemper, Stat Med 2002;21:2409; Puhr et al., Stat Med "
            "2017;36:2302",
        ),
        "R22": Rule(
            title="Design or analysis of the reader study",
            why="Readers that are averaged or held fixed speak for themselves only, and a second "
            "look without counterbalancing or washout is mistaken for the effect of the aid.",
            reference="Hillis, Stat Med 2007;26:596; Obuchowski and Rockette, Commun Stat Simul "
            "1995;24:285",
        ),
        "R23": Rule(
            title="Subgroups compared by two p values",
            why="One significant and one non-significant result are no evidence that two groups "
            "differ; the difference itself needs an interval.",
            reference="Altman and Bland, BMJ 2003;326:219",
        ),
        "R24": Rule(
            title="Accuracy or F1 as the headline",
            why="They are improper, depend on prevalence and on an arbitrary cut-off, and weigh a "
            "missed case like a false alarm.",
            reference="Van Calster et al., Lancet Digit Health 2025;7:100916",
        ),
        "R25": Rule(
            title="Numbers that are no probabilities, files that run code",
            why="A number of unknown scale makes every threshold, calibration and net benefit "
            "meaningless.",
            reference="Guo et al., ICML 2017 (PMLR 70:1321); Van Calster et al., BMC Med "
            "2019;17:230",
        ),
    }
)
