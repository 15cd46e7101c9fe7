"""The methods of a study folder, before a reviewer looks at them: `usstats check --methods`.

The rules themselves are in `usstats.lint`; this side adds what only the image files can tell, that
two of them show one picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from reports.image_checks import find_copies, look_at
from reports.study import STUDY_FILE
from usstats.errors import SchemaError
from usstats.lint import Evidence, LintReport, lint_evidence, read_folder

__all__ = ["check_methods", "describe_methods", "methods_content"]

Progress = Callable[[int, int], None]


def check_methods(folder: Path | str, *, progress: Progress | None = None) -> LintReport:
    """Hold a study folder against the rules of methods, R01 to R25.

    Parameters
    ----------
    folder
        The study folder: study.yaml, its tables, and the run folder where there is one.
    progress
        Called with (done, total) after every image.

    Returns
    -------
    LintReport
        Errors first. `ok` while nothing in it makes a result untrustworthy.

    Raises
    ------
    SchemaError
        There is no study.yaml, or it or a table cannot be read at all.

    Examples
    --------
    >>> import tempfile
    >>> check_methods(tempfile.mkdtemp())
    Traceback (most recent call last):
    ...
    data_schema.errors.SchemaError: No study.yaml in ...
    """
    root = Path(folder)
    if not (root / STUDY_FILE).is_file():
        msg = f"No {STUDY_FILE} in {root}. Name the folder that holds one."
        raise SchemaError(msg)
    return lint_evidence(_with_lookalikes(root, read_folder(root), progress))


def describe_methods(report: LintReport) -> str:
    """Every finding for a terminal, and what follows from them.

    Examples
    --------
    >>> describe_methods(LintReport(findings=(), looked_at="patients.csv"))
    'No methodological finding in patients.csv.'
    """
    if report.is_clean:
        return f"No methodological finding in {report.looked_at}."
    verdict = (
        "Nothing here makes the results untrustworthy; say in the paper what is left."
        if report.ok
        else "Results with an error cannot be trusted until it is put right."
    )
    return f"{report.summary()}\n{verdict}"


def methods_content(report: LintReport) -> dict[str, Any]:
    """The report for `--json`: ok, and one object a finding."""
    return {"ok": report.ok, "findings": report.frame().to_dict("records")}


def _with_lookalikes(root: Path, evidence: Evidence, progress: Progress | None) -> Evidence:
    """Beside every image the first one that shows the same picture, to the eye or to the byte."""
    images = evidence.images
    if images is None or not images.has("image_id", "path"):
        return evidence
    rows = images.frame[["path"]].to_dict("records")
    looks = []
    for row in rows:
        looks.append(look_at(root, row))
        if progress is not None:
            progress(len(looks), len(rows))
    first: dict[int, int] = {}
    for one, two, _ in find_copies(looks):
        first[two] = first.setdefault(one, one)
    if not first:
        return evidence
    names = images.frame["image_id"].tolist()
    same = pd.Series([names[first[i]] if i in first else None for i in range(len(rows))])
    frame = images.frame.assign(lookalike=same.to_numpy())
    return replace(evidence, images=replace(images, frame=frame))
