"""Whether a run is still what it was: every file against its hash, every table against its results.

Three questions: has any byte of a handed-on file changed, do the saved results still give the
numbers of the tables, and do the checklists' pointers lead somewhere.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import usstats
from reports.checklists import lost_pointers
from reports.evidence import Evidence
from reports.files import sha256_file, slug
from reports.manifest import MANIFEST_NAME, Manifest, compared
from reports.manifest import verify as verify_folder
from reports.pipeline import RECORDS, Workspace, load_record, stage_files
from reports.study import STUDY_FILE, Study, load_study
from reports.tables import Table, write_table
from usstats.errors import SchemaError, UsstatsError

__all__ = ["Finding", "Verification", "verify_run"]

REPORT = "report"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not as it was.

    Attributes
    ----------
    file : str
        Relative to the run folder.
    what : {"changed", "missing", "extra", "cell", "stale", "pointer"}
    detail : str
    """

    file: str
    what: str
    detail: str

    def __str__(self) -> str:
        return f"{self.file}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was checked, and what was found.

    Attributes
    ----------
    findings : tuple of Finding
        Empty when all is as it was.
    n_files, n_tables, n_cells : int
        Files whose hash was computed; tables and cells made again.
    notes : tuple of str
        What could not be checked, and why.
    """

    findings: tuple[Finding, ...]
    n_files: int
    n_tables: int
    n_cells: int
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def summary(self) -> str:
        """One line a finding, the verdict last."""
        lines = [*map(str, self.findings), *(f"Note: {note}" for note in self.notes)]
        done = (
            f"{self.n_files} files read, {self.n_cells} cells of {self.n_tables} tables made again"
        )
        verdict = "all as it was" if self.holds else f"{len(self.findings)} finding(s)"
        return "\n".join([*lines, f"{done}: {verdict}."])

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"holds": self.holds, **asdict(self)}


def verify_run(folder: str | Path) -> Verification:
    """Check a run: a study folder, its `run` folder, or a report that was handed on alone.

    Parameters
    ----------
    folder : str or Path

    Raises
    ------
    SchemaError
        There is no finished run here.
    """
    path = Path(folder)
    run_dir = _run_dir(path)
    if run_dir is None:
        return _verify_report(path)
    study = _study(run_dir)
    files = [*file_findings(run_dir), *_input_findings(run_dir)]
    cells = _rebuilt(study, run_dir) if study else _NOTHING
    findings = [*files, *cells.findings]
    if study is not None:
        findings += _pointer_findings(run_dir / REPORT, study.root)
    if study is not None and not files:
        findings += _stale(study)
    notes = () if study else (f"{STUDY_FILE} cannot be read: no table was made again.",)
    return Verification(
        findings=tuple(dict.fromkeys(findings)),
        n_files=sum(1 for stage in _stages(run_dir) for _ in stage_files(run_dir / stage)),
        n_tables=cells.n_tables,
        n_cells=cells.n_cells,
        notes=(*notes, *cells.notes),
    )


def _run_dir(path: Path) -> Path | None:
    """The run folder meant; None for a report that stands alone.

    Raises
    ------
    SchemaError
        None of these.
    """
    for candidate in (path / "run", path, path.parent):
        if (candidate / RECORDS / f"{REPORT}.json").is_file():
            return candidate
    if (path / MANIFEST_NAME).is_file():
        return None
    state = "an unfinished run" if (path / "run").is_dir() else "no run"
    msg = (
        f"{path} holds {state}: there is no record of a finished report. Name the study's folder "
        "after `usstats run`, or the folder of a report that was handed on."
    )
    raise SchemaError(msg)


def _study(run_dir: Path) -> Study | None:
    try:
        return load_study(run_dir.parent)
    except UsstatsError:
        return None


def _verify_report(report: Path) -> Verification:
    """A report without the run it came from: hashes alone."""
    findings = tuple(_finding(line, "") for line in _manifest_lines(report))
    n_files = sum(1 for path in report.rglob("*") if path.is_file())
    note = "The run itself is not here: no table was made again from its results."
    return Verification(findings=findings, n_files=n_files, n_tables=0, n_cells=0, notes=(note,))


def _manifest_lines(report: Path) -> list[str]:
    try:
        return verify_folder(report)
    except SchemaError as error:
        return [f"{MANIFEST_NAME}: changed ({error})"]


def _stages(run_dir: Path) -> list[str]:
    return [path.stem for path in sorted((run_dir / RECORDS).glob("*.json"))]


def file_findings(run_dir: Path) -> Iterator[Finding]:
    """Every file of every stage against its record, every record against itself."""
    stages = _stages(run_dir)
    for stage in stages:
        record = load_record(run_dir / RECORDS / f"{stage}.json")
        if record is None or record.name != stage:
            yield Finding(file=f"{RECORDS}/{stage}.json", what="changed", detail="changed")
            continue
        found = stage_files(run_dir / stage)
        for line in compared(record.outputs, found, record="the record of its stage"):
            yield _finding(line, f"{stage}/")
    for line in _manifest_lines(run_dir / REPORT):
        yield _finding(line, f"{REPORT}/", record="the record of its stage")
    known = {*stages, RECORDS}
    for path in sorted(run_dir.iterdir()):
        if path.name not in known and path.name != ".lock":
            detail = "a folder of no finished stage" if path.is_dir() else "a file of no stage"
            yield Finding(file=path.name, what="extra", detail=detail)


def _finding(line: str, prefix: str, *, record: str = "the manifest") -> Finding:
    """`name: state` as a finding."""
    name, _, state = line.rpartition(": ") if "(" not in line else line.partition(": ")
    what = "extra" if state.startswith("not in") else state.split(" ")[0]
    detail = f"not in {record}" if what == "extra" else state
    return Finding(file=f"{prefix}{name}", what=what, detail=detail)


def _input_findings(run_dir: Path) -> Iterator[Finding]:
    """The study's own tables against the hashes of the manifest."""
    try:
        manifest = Manifest.read(run_dir / REPORT)
    except SchemaError:
        return
    root = run_dir.parent
    for name, digest in manifest.inputs.items():
        path = root / name
        state = "missing" if not path.is_file() else "changed"
        if not path.is_file() or sha256_file(path) != digest:
            yield Finding(file=f"../{name}", what=state, detail=f"{state} since the run")


def _stale(study: Study) -> Iterator[Finding]:
    """The first stage that would run again because of an input no manifest names: an image."""
    from reports.run import as_it_ran
    from reports.stages import STAGES

    if Manifest.read(study.run_dir / REPORT).packages.get("usstats") != usstats.__version__:
        return
    try:
        as_it_ran(study, STAGES)
    except UsstatsError as error:
        yield Finding(file=RECORDS, what="stale", detail=str(error))
    except OSError as error:
        name = Path(error.filename or "").name
        yield Finding(file="../", what="missing", detail=f"an input is missing: {name}")


@dataclass(frozen=True, kw_only=True)
class _Rebuilt:
    findings: tuple[Finding, ...] = ()
    n_tables: int = 0
    n_cells: int = 0
    notes: tuple[str, ...] = ()


_NOTHING = _Rebuilt()


def _rebuilt(study: Study, run_dir: Path) -> _Rebuilt:
    """Every table made again from the saved results, and held against its file."""
    from reports.stages.exhibits import manuscript_tables

    work = Workspace(study=study, folder=run_dir / REPORT, say=lambda line: None)
    evidence = Evidence(run_dir=run_dir, preset=study.config.journal.numbers)
    findings: list[Finding] = []
    names, n_cells = set(), 0
    try:
        for table in manuscript_tables(work, evidence):
            name = f"{REPORT}/tables/{slug(table.id)}.csv"
            names.add(name)
            n_cells += len(table.rows) * len(table.columns)
            findings += _cell_findings(name, table, run_dir / name)
    except (UsstatsError, OSError, ValueError, KeyError) as error:
        note = f"The tables after {len(names)} cannot be made again ({_short(error)})."
        findings.append(Finding(file=f"{REPORT}/tables", what="cell", detail=note))
    for path in sorted((run_dir / REPORT / "tables").glob("*.csv")):
        name = f"{REPORT}/tables/{path.name}"
        if name not in names:
            findings.append(Finding(file=name, what="extra", detail="no result gives this table"))
    return _Rebuilt(findings=tuple(findings), n_tables=len(names), n_cells=n_cells)


def _short(error: Exception) -> str:
    """An error without what it may quote of a table."""
    return str(error) if isinstance(error, UsstatsError) else type(error).__name__


def _cell_findings(name: str, table: Table, path: Path) -> Iterator[Finding]:
    """The cells in which a table's file and the results differ."""
    if not path.is_file():
        yield Finding(file=name, what="missing", detail="missing, though the results give it")
        return
    try:
        saved = _cells(path)
    except (ValueError, csv.Error):
        yield Finding(file=name, what="cell", detail="cannot be read as a table")
        return
    with tempfile.TemporaryDirectory() as scratch:
        made = _cells(write_table(table, scratch, formats=("csv",))["csv"])
    if [len(row) for row in saved] != [len(row) for row in made]:
        shapes = f"{_shape(saved)}, the results give {_shape(made)}"
        yield Finding(file=name, what="cell", detail=f"the file has {shapes}")
        return
    for number, (here, result) in enumerate(zip(saved, made, strict=True)):
        for header, cell, expected in zip(made[0], here, result, strict=True):
            if cell != expected:
                where = f"row {number} ({result[0]!r}), column {header!r}" if number else "header"
                detail = f"{where}: the file says {cell!r}, the results give {expected!r}"
                yield Finding(file=name, what="cell", detail=detail)


def _cells(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def _shape(cells: Sequence[Sequence[str]]) -> str:
    return f"{max(len(cells) - 1, 0)} rows of {max(map(len, cells), default=0)} cells"


def _pointer_findings(report: Path, root: Path) -> Iterator[Finding]:
    for line in lost_pointers(report, root):
        file, _, rest = line.partition(", ")
        yield Finding(file=f"{REPORT}/{file}", what="pointer", detail=rest)
