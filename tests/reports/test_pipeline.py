"""Stages run when they must, are skipped when they may, and never leave half a record."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from reports.files import slug
from reports.pipeline import Stage, StageRecord, cohort_file, run_stages


@pytest.fixture
def study(tmp_path: Path) -> SimpleNamespace:
    return SimpleNamespace(root=tmp_path, run_dir=tmp_path / "run", setting=1)


def _writer(calls: list[str], name: str, text: str = "x"):
    def work(workspace) -> None:
        calls.append(name)
        (workspace.folder / f"{name}.txt").write_text(text)

    return work


def _two_stages(calls: list[str]) -> list[Stage]:
    first = Stage(
        name="first",
        title="First",
        work=_writer(calls, "first"),
        settings=lambda study: study.setting,
        inputs=lambda study: [study.root / "table.csv"],
    )
    return [
        first,
        Stage(name="second", title="Second", work=_writer(calls, "second"), needs=("first",)),
    ]


def _run(study, stages) -> None:
    run_stages(study, stages, say=lambda line: None)


def test_second_run_does_nothing(study):
    calls: list[str] = []
    (study.root / "table.csv").write_text("a\n1\n")
    for _ in range(2):
        _run(study, _two_stages(calls))
    assert calls == ["first", "second"]


def test_changed_input_reruns_only_what_changed(study):
    calls: list[str] = []
    table = study.root / "table.csv"
    table.write_text("a\n1\n")
    _run(study, _two_stages(calls))
    table.write_text("a\n2\n")
    _run(study, _two_stages(calls))
    # The second stage depends on what the first wrote, and that is the same text.
    assert calls == ["first", "second", "first"]


def test_changed_setting_reruns(study):
    calls: list[str] = []
    (study.root / "table.csv").write_text("a\n1\n")
    _run(study, _two_stages(calls))
    study.setting = 2
    _run(study, _two_stages(calls))
    assert calls == ["first", "second", "first"]


def test_tampered_output_is_made_again(study):
    calls: list[str] = []
    (study.root / "table.csv").write_text("a\n1\n")
    _run(study, _two_stages(calls))
    (study.run_dir / "second" / "second.txt").write_text("edited by hand")
    _run(study, _two_stages(calls))
    assert calls == ["first", "second", "second"]
    assert (study.run_dir / "second" / "second.txt").read_text() == "x"


def test_killed_stage_leaves_no_record(study):
    def killed(workspace) -> None:
        (workspace.folder / "half.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(study, [Stage(name="only", title="Only", work=killed)])
    assert StageRecord.read(study.run_dir, "only") is None


def test_stage_that_does_not_apply_is_left_out(study):
    calls: list[str] = []
    stage = Stage(
        name="only", title="Only", work=_writer(calls, "only"), applies=lambda study: False
    )
    assert run_stages(study, [stage], say=lambda line: None) == []
    assert not calls


def test_nothing_stale_stays_in_a_stage(study):
    calls: list[str] = []
    (study.root / "table.csv").write_text("a\n1\n")
    _run(study, _two_stages(calls))
    (study.run_dir / "first" / "of_an_older_run.txt").write_text("stale")
    study.setting = 2
    _run(study, _two_stages(calls))
    assert not (study.run_dir / "first" / "of_an_older_run.txt").exists()


def test_stage_that_resumes_finds_what_a_killed_run_left(study):
    found: list[bool] = []

    def work(workspace) -> None:
        partial = workspace.folder / "partial.txt"
        found.append(partial.exists())
        partial.write_text("half")
        if len(found) == 1:
            raise KeyboardInterrupt

    stage = Stage(name="only", title="Only", work=work, resumes=True)
    with pytest.raises(KeyboardInterrupt):
        _run(study, [stage])
    _run(study, [stage])
    assert found == [False, True]


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "con", "Site 2", "x" * 300, "\u524d\u77bb", "development", "shift"]
)
def test_any_name_of_a_cohort_makes_files_of_its_own(name):
    file = cohort_file(name)
    assert re.fullmatch(r"[a-z0-9_-]{1,48}", file)
    assert file not in {"development", "shift", "con"}
    assert slug(f"external_{file}") == f"external_{file}"
    assert cohort_file(f"{name}2") != file
