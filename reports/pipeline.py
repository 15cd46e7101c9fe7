"""Stages of a study, each with a folder of its own, re-run only when what it depends on changed.

A stage's key is a hash of its settings, of the files it reads and of what the stages before it
wrote. The record with that key is written last: a killed stage leaves none and runs again, a
finished one is skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import usstats
from reports.files import atomic_write_text, json_text, sha256_bytes, sha256_file, slug
from reports.study import Study
from usstats.errors import SchemaError, UsstatsWarning

RECORDS = "stages"
#: Processes side by side; no number depends on it.
WORKERS = min(os.cpu_count() or 1, 8)
#: Names that files have already in a folder with one file a cohort.
_TAKEN = {"development", "shift"}


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """What a stage may touch: the study, its own folder, and the folders of earlier stages."""

    study: Study
    folder: Path
    say: Callable[[str], None]

    def of(self, stage: str) -> Path:
        """The folder an earlier stage wrote."""
        return self.study.run_dir / stage


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A named step: what it depends on, and the function that does it.

    A stage starts in an empty folder unless it `resumes`: then it finds what a killed run left.
    """

    name: str
    title: str
    work: Callable[[Workspace], None]
    needs: tuple[str, ...] = ()
    settings: Callable[[Study], Any] = lambda study: None
    inputs: Callable[[Study], Iterable[Path]] = lambda study: ()
    applies: Callable[[Study], bool] = lambda study: True
    version: int = 1
    resumes: bool = False


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """What a finished stage wrote, and under which key; two equal runs have equal records."""

    name: str
    key: str
    warnings: list[str]
    outputs: dict[str, str]

    @classmethod
    def read(cls, run_dir: Path, name: str) -> StageRecord | None:
        """The record of a stage, if it was finished and its files still match."""
        record = load_record(record_path(run_dir, name))
        if record is None:
            return None
        intact = all(
            (run_dir / name / file).is_file() and sha256_file(run_dir / name / file) == digest
            for file, digest in record.outputs.items()
        )
        return record if intact else None

    @property
    def text(self) -> str:
        """The record as its file: JSON with a digest of itself."""
        content = asdict(self)
        digest = sha256_bytes(json_text(content, indent=None).encode("utf-8"))
        return json_text({**content, "sha256": digest}) + "\n"

    def write(self, run_dir: Path) -> None:
        """Write the record, after everything else."""
        atomic_write_text(record_path(run_dir, self.name), self.text)


def record_path(run_dir: Path, name: str) -> Path:
    """Where a stage's record lies: beside the stages' folders, not among what they wrote."""
    return run_dir / RECORDS / f"{name}.json"


def load_record(path: Path) -> StageRecord | None:
    """The record in a file; None where there is none, or not one as it was written."""
    try:
        text = path.read_text("utf-8")
        content = json.loads(text)
        record = StageRecord(**{k: v for k, v in content.items() if k != "sha256"})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return record if record.text == text else None


def read_records(run_dir: Path) -> list[StageRecord]:
    """The records of all finished stages, by name."""
    found = (load_record(path) for path in sorted((run_dir / RECORDS).glob("*.json")))
    return [record for record in found if record is not None]


def run_stages(
    study: Study,
    stages: Sequence[Stage],
    *,
    say: Callable[[str], None],
    saved: Sequence[StageRecord] = (),
) -> list[StageRecord]:
    """Run what has to be run, in order, and return the record of every stage.

    Parameters
    ----------
    study : Study
    stages : sequence of Stage
        In an order in which every stage comes after those it needs.
    say : callable
        Receives one line of text at a time.
    saved : sequence of StageRecord
        Of stages that are not to be run again, see `saved_records`.
    """
    records = {record.name: record for record in saved}
    for stage in stages:
        if not stage.applies(study):
            continue
        records[stage.name] = _run_stage(study, stage, records, say)
    return list(records.values())


def saved_records(study: Study, stages: Sequence[Stage]) -> list[StageRecord]:
    """The records of stages that are finished, unaltered, and of this very study file.

    Raises
    ------
    SchemaError
        Naming the first stage that has to run first.
    """
    done: dict[str, StageRecord] = {}
    for stage in stages:
        if not stage.applies(study):
            continue
        record = StageRecord.read(study.run_dir, stage.name)
        if record is None or record.key != _key(study, stage, done):
            state = (
                "is not finished, or its files have changed"
                if record is None
                else "was made from another study.yaml, other tables or other images"
            )
            msg = f"The stage {stage.name!r} {state}. Bring it up to date with `usstats run`."
            raise SchemaError(msg)
        done[stage.name] = record
    return list(done.values())


def _run_stage(
    study: Study, stage: Stage, done: dict[str, StageRecord], say: Callable[[str], None]
) -> StageRecord:
    folder = study.run_dir / stage.name
    key = _key(study, stage, done)
    found = StageRecord.read(study.run_dir, stage.name)
    if found is not None and found.key == key:
        say(f"{stage.title}: unchanged")
        return found
    say(f"{stage.title} ...")
    record_path(study.run_dir, stage.name).unlink(missing_ok=True)
    if folder.exists() and not stage.resumes:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with _recorded_warnings() as warned:
        stage.work(Workspace(study=study, folder=folder, say=say))
    seconds = time.perf_counter() - started
    record = StageRecord(name=stage.name, key=key, warnings=warned, outputs=stage_files(folder))
    record.write(study.run_dir)
    for text in warned:
        say(f"  Warning: {text}")
    say(f"{stage.title}: done in {seconds:.0f} s")
    return record


@contextmanager
def _recorded_warnings() -> Iterator[list[str]]:
    """Our own warnings as sentences for the record, each once; all others pass on."""
    sentences: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield sentences
    for item in caught:
        if not issubclass(item.category, UsstatsWarning):
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
        elif str(item.message) not in sentences:
            sentences.append(str(item.message))


def _key(study: Study, stage: Stage, done: dict[str, StageRecord]) -> str:
    """Hash of everything the stage's result depends on."""
    content = {
        "stage": stage.name,
        "version": [usstats.__version__, stage.version],
        "settings": stage.settings(study),
        "inputs": {
            path.relative_to(study.root).as_posix(): sha256_file(path)
            for path in stage.inputs(study)
        },
        "needs": {name: done[name].outputs for name in stage.needs if name in done},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def cohort_file(cohort: str) -> str:
    """How the names of an external cohort's files begin, whatever the cohort is called.

    >>> cohort_file("prospective"), cohort_file("shift"), cohort_file("../x")[:2]
    ('prospective', 'external-shift', 'x-')
    """
    name = slug(cohort, limit=24)
    return f"external-{name}" if name in _TAKEN else name


def stage_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of the stage, caches and partial work left out."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_scratch(path.relative_to(folder))
    }


def _is_scratch(path: Path) -> bool:
    return any(part in {"cache", ".lock"} for part in path.parts)
