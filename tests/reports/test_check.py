"""`check_study`: every planted fault is found, with its line, and none of it raises."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_schema import Problem
from reports.check import check_study, describe_problems
from reports.image_checks import Look, find_copies, look_at
from reports.synthetic import make_noa_study

Plant = Callable[[Path], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check") / "noa"
    make_noa_study(folder, seed=3, n_development=26, n_external=22)
    return folder


@pytest.fixture
def study(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "study"))


def _table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)


def _edit(name: str, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Plant:
    def plant(folder: Path) -> None:
        edit(_table(folder, name)).to_csv(folder / f"{name}.csv", index=False)

    return plant


def _cell(name: str, row: int, column: str, value: str) -> Plant:
    def edit(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[row, column] = value
        return table

    return _edit(name, edit)


def _first_of(folder: Path, cohort: str) -> int:
    """Position in images.csv of a cohort's first image."""
    patients = _table(folder, "patients")
    wanted = patients.loc[patients["cohort"] == cohort, "patient_id"].iloc[0]
    return int(np.flatnonzero(_table(folder, "images")["patient_id"] == wanted)[0])


def _image(folder: Path, row: int, column: str = "path") -> Path:
    return folder / _table(folder, "images").loc[row, column]


def _write(row: int, content: bytes, column: str = "path") -> Plant:
    return lambda folder: _image(folder, row, column).write_bytes(content) and None


def _picture(row: int, array: np.ndarray, column: str = "path") -> Plant:
    return lambda folder: Image.fromarray(array).save(_image(folder, row, column))


def _truncate(folder: Path) -> None:
    path = _image(folder, 4)
    path.write_bytes(path.read_bytes()[:3000])


def _bomb(folder: Path) -> None:
    Image.new("1", (9000, 9000)).save(_image(folder, 4))


def _link(folder: Path) -> None:
    outside = folder.parent / "outside.png"
    path = _image(folder, 4)
    path.rename(outside)
    path.symlink_to(outside)


def _copy_within(folder: Path) -> None:
    images = _table(folder, "images")
    other = int(np.flatnonzero(images["patient_id"] != images.loc[0, "patient_id"])[0])
    shutil.copy(_image(folder, 0), _image(folder, other))


def _copy_across(folder: Path) -> None:
    shutil.copy(_image(folder, 0), _image(folder, _first_of(folder, "prospective")))


def _near_copy_across(folder: Path) -> None:
    gray = np.asarray(Image.open(_image(folder, 0))).astype(float)
    path = _image(folder, _first_of(folder, "prospective"))
    Image.fromarray(np.clip(1.1 * gray + 5, 0, 255).astype(np.uint8)).save(path, "JPEG", quality=80)


def _case_clash(folder: Path) -> None:
    for row, name in ((4, "images/D0002_9.PNG"), (5, "images/d0002_9.png")):
        shutil.copy(_image(folder, row), folder / name)
        _cell("images", row, "path", name)(folder)


def _fsh_in_one_centre(table: pd.DataFrame) -> pd.DataFrame:
    west = table["centre"] == "west"
    table.loc[west, "fsh"] = (10 * table.loc[west, "fsh"].astype(float)).round(1).astype(str)
    return table


def _across_cohorts(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[len(table)] = table.loc[0].where(table.columns != "cohort", "prospective")
    return table


def _one_class(table: pd.DataFrame) -> pd.DataFrame:
    table["outcome"] = table["outcome"].where(table["cohort"] != "prospective", "NOA")
    return table


def _yaml(old: str, new: str) -> Plant:
    def plant(folder: Path) -> None:
        path = folder / "study.yaml"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")

    return plant


@dataclass(frozen=True, kw_only=True)
class Case:
    plant: Plant
    code: str
    file: str = "images.csv"
    column: str = "path"
    line: int | None = None
    severity: str = "error"


EMPTY = np.zeros((256, 256), dtype=bool)
CASES = {
    "no file": Case(plant=lambda f: _image(f, 4).unlink(), code="file_missing", line=6),
    "zero bytes": Case(plant=_write(4, b""), code="image_unreadable", line=6),
    "text as png": Case(plant=_write(4, b"hello there"), code="image_unreadable", line=6),
    "html as png": Case(plant=_write(4, b"<svg></svg>" * 40), code="image_unreadable", line=6),
    "truncated": Case(plant=_truncate, code="image_unreadable", line=6),
    "bomb": Case(plant=_bomb, code="image_unreadable", line=6),
    "folder": Case(plant=_cell("images", 4, "path", "images"), code="file_missing", line=6),
    "climbs": Case(plant=_cell("images", 4, "path", "../x.png"), code="path_refused", line=6),
    "absolute": Case(plant=_cell("images", 4, "path", "/etc/passwd"), code="path_refused", line=6),
    "url": Case(plant=_cell("images", 4, "path", "http://h/x.png"), code="path_refused", line=6),
    "link out": Case(plant=_link, code="path_refused", line=6),
    "mask climbs": Case(
        plant=_cell("images", 4, "mask", "../m.png"), code="path_refused", column="mask", line=6
    ),
    "black": Case(plant=_picture(4, np.zeros((256, 256), np.uint8)), code="image_flat", line=6),
    "tiny": Case(
        plant=_picture(4, np.arange(16, dtype=np.uint8).reshape(4, 4)), code="image_small", line=6
    ),
    "dark 16 bits": Case(
        plant=_picture(4, np.tile(np.arange(256, dtype=np.uint16), (256, 1))),
        code="image_warning",
        line=6,
        severity="warning",
    ),
    "mask absent": Case(
        plant=_cell("images", 4, "mask", "masks/none.png"),
        code="file_missing",
        column="mask",
        line=6,
    ),
    "mask empty": Case(plant=_picture(4, EMPTY, "mask"), code="mask_empty", column="mask", line=6),
    "mask full": Case(
        plant=_picture(4, ~EMPTY, "mask"), code="mask_unreadable", column="mask", line=6
    ),
    "mask of other size": Case(
        plant=_picture(4, np.eye(128, dtype=bool), "mask"), code="mask_size", column="mask", line=6
    ),
    "gray mask": Case(
        plant=_picture(4, np.tile(np.arange(256, dtype=np.uint8), (256, 1)), "mask"),
        code="mask_unreadable",
        column="mask",
        line=6,
    ),
    "no mask for a region network": Case(
        plant=_cell("images", 4, "mask", ""), code="mask_missing", column="mask", line=6
    ),
    "same picture, two patients": Case(plant=_copy_within, code="identical_images", line=2),
    "same picture, two cohorts": Case(
        plant=_copy_across, code="identical_images_across_cohorts", line=2
    ),
    "near copy, two cohorts": Case(
        plant=_near_copy_across, code="near_identical_images_across_cohorts", line=2
    ),
    "case clash": Case(plant=_case_clash, code="case_clash", line=6, severity="warning"),
    "unit of one centre": Case(
        plant=_edit("patients", _fsh_in_one_centre),
        code="unit_mixture",
        file="patients.csv",
        column="fsh",
        severity="warning",
    ),
    "patient in two cohorts": Case(
        plant=_edit("patients", _across_cohorts),
        code="patient_across_cohorts",
        file="patients.csv",
        column="patient_id",
        line=2,
    ),
    "image of nobody": Case(
        plant=_cell("images", 4, "patient_id", "X9999"), code="orphan", column="patient_id", line=6
    ),
    "decimal comma": Case(
        plant=_cell("patients", 3, "fsh", "12,5"),
        code="decimal_comma",
        file="patients.csv",
        column="fsh",
        line=5,
    ),
    "unknown outcome": Case(
        plant=_cell("patients", 3, "outcome", "maybe"),
        code="unknown_level",
        file="patients.csv",
        column="outcome",
        line=5,
    ),
    "outcome empty": Case(
        plant=_cell("patients", 3, "outcome", ""),
        code="empty_cell",
        file="patients.csv",
        column="outcome",
        line=5,
    ),
    "unknown cohort": Case(
        plant=_cell("patients", 3, "cohort", "pilot"),
        code="unknown_cohort",
        file="patients.csv",
        column="cohort",
        line=5,
        severity="warning",
    ),
    "external of one class": Case(
        plant=_edit("patients", _one_class),
        code="one_class",
        file="patients.csv",
        column="outcome",
        severity="warning",
    ),
    "term without a column": Case(
        plant=_yaml("name: fsh", "name: shbg"),
        code="absent_column",
        file="patients.csv",
        column="shbg",
    ),
    "outcome as predictor": Case(
        plant=_yaml("name: fsh\n    type: log", "name: outcome\n    type: factor"),
        code="forbidden_predictor",
        file="study.yaml",
        column="outcome",
    ),
    "identifier as predictor": Case(
        plant=_yaml("name: fsh\n    type: log", "name: patient_id\n    type: factor"),
        code="forbidden_predictor",
        file="study.yaml",
        column="patient_id",
    ),
    "text under a spline": Case(
        plant=_yaml("name: edv", "name: centre"),
        code="not_numeric",
        file="patients.csv",
        column="centre",
    ),
    "logarithm of zero": Case(
        plant=_cell("patients", 3, "fsh", "0"),
        code="not_positive",
        file="patients.csv",
        column="fsh",
        line=5,
    ),
    "cohort without patients": Case(
        plant=_yaml("- prospective", "- abroad"),
        code="empty_cohort",
        file="patients.csv",
        column="cohort",
    ),
    "unknown key": Case(
        plant=_yaml("seed:", "sead: 1\nseed:"), code="study_file", file="study.yaml", column=""
    ),
    "no patients.csv": Case(
        plant=lambda f: (f / "patients.csv").unlink(),
        code="unreadable",
        file="patients.csv",
        column="",
    ),
    "empty images.csv": Case(
        plant=lambda f: (f / "images.csv").write_text("") and None,
        code="no_data_rows",
        column="",
    ),
}


def test_the_sound_study_has_no_error(sound: Path) -> None:
    assert [str(p) for p in check_study(sound) if p.severity == "error"] == []


@pytest.mark.parametrize("name", CASES)
def test_planted_fault_is_found(study: Path, name: str) -> None:
    case = CASES[name]
    case.plant(study)
    found = [p for p in check_study(study) if p.code == case.code and p.column == case.column]
    assert len(found) == 1, describe_problems(check_study(study))
    problem = found[0]
    assert (problem.file, problem.severity) == (case.file, case.severity)
    if case.line is not None:
        assert case.line in problem.rows
    assert problem.found
    assert problem.expected
    assert problem.remedy


def test_all_faults_are_reported_in_one_pass_errors_first(study: Path) -> None:
    for name in ("no file", "mask empty", "decimal comma", "unknown cohort"):
        row_5 = CASES[name].plant if name != "mask empty" else _picture(7, EMPTY, "mask")
        row_5(study)
    problems = check_study(study)
    codes = [p.code for p in problems]
    assert {"file_missing", "mask_empty", "decimal_comma", "unknown_cohort"} <= set(codes)
    severities = [p.severity for p in problems]
    assert severities == sorted(severities)
    assert describe_problems(problems).endswith("The study cannot run.")


def test_no_problem_repeats_an_identifier(study: Path) -> None:
    secret = "ZHANG-WEI-1984"  # noqa: S105
    patients, images = _table(study, "patients"), _table(study, "images")
    old = patients.loc[0, "patient_id"]
    patients.loc[0, "patient_id"] = secret
    images.loc[images["patient_id"] == old, "patient_id"] = secret
    images.loc[0, "path"] = f"../{secret}.png"
    images.loc[5, "path"] = f"images/{secret}.png"
    (study / "images" / f"{secret}.jpg").write_bytes(b"no picture")
    images.loc[6, "path"] = f"images/{secret}.jpg"
    images.loc[7, "image_id"] = images.loc[8, "image_id"] = secret
    patients.to_csv(study / "patients.csv", index=False)
    images.to_csv(study / "images.csv", index=False)
    problems = check_study(study)
    assert {"path_refused", "file_missing", "image_unreadable", "duplicate"} <= {
        p.code for p in problems
    }
    assert secret not in describe_problems(problems)


def test_lines_count_line_breaks_inside_cells(study: Path) -> None:
    images = _table(study, "images")
    images["view"] = "left"
    images.loc[0, "view"] = "left\nlong axis"
    images.loc[4, "path"] = "images/none.png"
    images.to_csv(study / "images.csv", index=False)
    (problem,) = (p for p in check_study(study) if p.code == "file_missing")
    assert problem.rows == (7,)


def test_no_column_or_key_is_so_important_that_its_absence_raises(tmp_path: Path) -> None:
    study = tmp_path / "small"
    make_noa_study(study, seed=3, n_development=4, n_external=2)
    for name in ("patients", "images"):
        table = _table(study, name)
        for column in table.columns:
            table.drop(columns=column).to_csv(study / f"{name}.csv", index=False)
            assert all(isinstance(p, Problem) for p in check_study(study))
        table.to_csv(study / f"{name}.csv", index=False)
    text = (study / "study.yaml").read_text("utf-8")
    for line in text.splitlines(keepends=True):
        (study / "study.yaml").write_text(text.replace(line, "", 1), "utf-8")
        assert all(isinstance(p, Problem) for p in check_study(study))


@pytest.mark.slow
def test_five_thousand_patients_and_a_thousand_images_take_less_than_a_minute(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "large"
    make_noa_study(folder, seed=4, n_development=440, n_external=60)
    patients, images = _table(folder, "patients"), _table(folder, "images")
    more = [patients.assign(patient_id=f"{i}-" + patients["patient_id"]) for i in range(10)]
    pd.concat([patients, *more]).to_csv(folder / "patients.csv", index=False)
    started = time.perf_counter()
    problems = check_study(folder)
    assert time.perf_counter() - started < 60
    assert len(images) > 900
    assert [p for p in problems if p.severity == "error"] == []
    assert not any("identical" in p.code for p in problems)


def test_progress_reaches_every_image(sound: Path) -> None:
    seen: list[tuple[int, int]] = []
    check_study(sound, progress=lambda done, total: seen.append((done, total)))
    n = len(_table(sound, "images"))
    assert seen == [(i + 1, n) for i in range(n)]


def test_copies_in_an_external_cohort_are_a_warning(study: Path) -> None:
    images, patients = _table(study, "images"), _table(study, "patients")
    external = patients.loc[patients["cohort"] == "prospective", "patient_id"]
    mine = images["patient_id"] == external.iloc[0]
    other = images["patient_id"] == external.iloc[1]
    shutil.copy(study / images.loc[mine, "path"].iloc[0], study / images.loc[other, "path"].iloc[0])
    copies = [p for p in check_study(study) if "identical" in p.code]
    assert [(p.code, p.severity) for p in copies] == [("identical_images", "warning")]


def test_a_patient_may_have_one_picture_twice_with_a_warning(study: Path) -> None:
    images = _table(study, "images")
    repeated = images["patient_id"].duplicated(keep=False)
    first, second = np.flatnonzero(repeated)[:2]
    shutil.copy(_image(study, int(first)), _image(study, int(second)))
    copies = [p for p in check_study(study) if "identical" in p.code]
    assert [(p.code, p.severity) for p in copies] == [
        ("identical_images_of_one_patient", "warning")
    ]


def test_find_copies_agrees_with_looking_at_all_pairs() -> None:
    """Naive check: a copy is a pair whose pictures correlate almost perfectly."""
    rng = np.random.default_rng(1)
    pictures = [
        np.asarray(
            Image.fromarray(rng.integers(0, 200, (8, 8), dtype=np.uint8)).resize((90, 90), 3)
        )
        for _ in range(12)
    ]
    pictures += [np.clip(pictures[2] * 1.2, 0, 255).astype(np.uint8), pictures[5].copy()]
    looks = [_look(p) for p in pictures]
    flat = np.array([p.ravel() for p in pictures], dtype=float)
    naive = np.triu(np.corrcoef(flat) > 0.95, k=1)
    expected = {(int(i), int(j)) for i, j in zip(*np.nonzero(naive), strict=True)}
    assert {(i, j) for i, j, _ in find_copies(looks)} == expected == {(2, 12), (5, 13)}
    assert [identical for *_, identical in find_copies(looks)] == [False, True]


def _look(picture: np.ndarray) -> Look:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray(picture).save(Path(folder) / "p.png")
        return look_at(Path(folder), {"path": "p.png"})


def test_report_text_counts() -> None:
    fault = Problem(file="a.csv", code="x", found="f", expected="e", remedy="r")
    text = describe_problems([fault])
    assert text.splitlines() == [
        "error x: a.csv: found f; expected e; r",
        "1 error(s), 0 warning(s). The study cannot run.",
    ]
