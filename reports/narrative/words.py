"""Words of the study file inside a sentence."""

from __future__ import annotations

from reports.evidence import Evidence
from reports.pipeline import cohort_file
from reports.study import DL_COLUMN, Study
from reports.text import Value

__all__ = ["cohort_said", "cohort_words", "external_model", "model_said", "said"]


def said(study: Study, path: str, text: object) -> Value:
    """Words or numbers of the study file, which may hold digits of their own."""
    return Value(f"study.yaml:{path}", str(text))


def cohort_said(study: Study, name: object) -> Value:
    """A cohort as an adjective: the prospective cohort, the centre 2 cohort."""
    return said(study, "cohorts", str(name).replace("_", " "))


def cohort_words(name: str) -> str:
    """A cohort's name as a header.

    >>> cohort_words("centre_2")
    'Centre 2'
    """
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def model_said(study: Study, name: object) -> Value:
    """A model as a noun: the nomogram, the network alone, the model “clinical”."""
    if name == study.config.nomogram.name:
        return said(study, "models", "nomogram")
    return said(study, "models", "network alone" if name == DL_COLUMN else f"model “{name}”")


def external_model(study: Study, evidence: Evidence, cohort: str) -> str:
    """The nomogram where its covariates were measured, else the network's probability."""
    name = study.config.nomogram.name
    return name if evidence.has(f"external/{cohort_file(cohort)}_{name}") else DL_COLUMN
