"""The published breast data sets, real and in small made-up copies of their layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reports.check import check_study
from reports.importers import breast_lesions_usg as importer
from reports.importers import import_breast_lesions_usg, import_release
from reports.importers.report import ImportReport
from reports.study import load_study
from tests.reference import shared_path
from usstats.errors import ArgumentError, SchemaError

Sheet = Callable[[pd.DataFrame], pd.DataFrame]
SIZE = (96, 120)  # height, width
#: case -> (height, width) of its lesion in pixels
LESIONS = {1: (20, 40), 2: (40, 20), 3: (30, 30), 4: None, 5: (10, 24), 6: (24, 10)}
LABELS = ["benign", "malignant", "benign", "normal", "malignant", "benign"]


def _picture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (9, 9), dtype=np.uint8))
    return np.asarray(coarse.resize(SIZE[::-1], Image.Resampling.BICUBIC))


def _save_box(path: Path, box: tuple[int, int], top: int = 30, left: int = 40) -> None:
    mask = np.zeros(SIZE, dtype=bool)
    mask[top : top + box[0], left : left + box[1]] = True
    Image.fromarray(mask).save(path)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Six cases in the layout and the habits of the published sheet."""
    folder = tmp_path / "release"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rows = []
    for case, box in LESIONS.items():
        Image.fromarray(_picture(case)).save(folder / "images" / f"case{case:03d}.png")
        names = [f"case{case:03d}_tumor.png"] if box else []
        if box:
            _save_box(folder / "masks" / names[0], box)
        if case == 5:
            names.append("case005_tumor2.png")
            _save_box(folder / "masks" / names[1], (6, 6), top=80, left=100)
        rows.append(
            {
                "CaseID": str(case),
                "Image_filename": f"case{case:03d}.png",
                "Mask_tumor_filename": "&".join(names),
                "Mask_other_filename": "case005_other1.png&case005_other2.png",
                "Pixel_size": "0.05",
                "Age": "not available" if case == 3 else str(40 + case),
                "Signs": "palpable&skin retraction",
                "Interpretation": "Suspicion of malignancy&Fibroadenoma",
                "BIRADS": "1" if box is None else "4a",
                "Verification": "confirmed by biopsy",
                "Diagnosis": "Fibroadenoma",
                "Classification": LABELS[case - 1],
            }
        )
    pd.DataFrame(rows).to_csv(folder / "clinical.csv", index=False)
    return folder


@pytest.fixture
def busi(tmp_path: Path) -> Path:
    """Five images; two are the same picture under two labels."""
    folder = tmp_path / "busi"
    folder.mkdir()
    names = ["benign_1", "benign_2", "malignant_1", "malignant_2", "normal_1"]
    for i, name in enumerate(names):
        picture = _picture(50 if name in ("benign_1", "malignant_2") else 51 + i)
        if name == "malignant_2":
            picture = np.clip(picture.astype(int) + 6, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{name}.png")
    table = pd.DataFrame({"image": [f"{n}.png" for n in names]})
    table["classification"] = [name.split("_")[0] for name in names]
    table.to_csv(folder / "labels.csv", index=False)
    return folder


def _edit(release: Path, edit: Sheet) -> None:
    path = release / "clinical.csv"
    edit(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False)


def _imported(release: Path, target: Path, external: Path | None = None) -> ImportReport:
    return import_breast_lesions_usg(release, target, external=external)


def test_tables_hold_what_was_measured_and_nothing_of_the_answer(
    release: Path, tmp_path: Path
) -> None:
    report = _imported(release, tmp_path / "study")
    patients = pd.read_csv(tmp_path / "study" / "patients.csv", dtype=str, keep_default_na=False)
    assert list(patients.columns) == [
        "patient_id",
        "cohort",
        "outcome",
        "age",
        "max_diameter_mm",
        "taller_than_wide",
        "birads",
    ]
    assert patients["age"].tolist() == ["41", "42", "", "44", "45", "46"]
    assert patients["taller_than_wide"].tolist() == ["no", "yes", "no", "", "no", "yes"]
    # pixels of 0.5 mm; the largest of several outlines counts; corners of the box, edge to edge
    expected = [f"{0.5 * np.hypot(*box):.2f}" if box else "" for box in LESIONS.values()]
    assert [f"{float(x):.2f}" if x else "" for x in patients["max_diameter_mm"]] == expected
    assert patients["outcome"].tolist() == LABELS
    assert {"Diagnosis", "Interpretation", "Verification"} <= set(report.left_out)
    text = (tmp_path / "study" / "patients.csv").read_text("utf-8")
    assert "Fibroadenoma" not in text
    assert "biopsy" not in text


def test_images_and_masks_are_copied_and_fit(release: Path, tmp_path: Path) -> None:
    _imported(release, tmp_path / "study")
    study = load_study(tmp_path / "study")
    images = study.images.set_index("image_id")
    assert images["mask"].isna().to_dict() == {f"case{i:03d}": i == 4 for i in LESIONS}
    assert (images["pixel_spacing_mm"] == 0.5).all()
    both = np.asarray(Image.open(study.root / images.loc["case005", "mask"]))
    assert both.sum() == 10 * 24 + 6 * 6
    copied = study.root / images.loc["case001", "path"]
    assert copied.read_bytes() == (release / "images" / "case001.png").read_bytes()
    assert [p for p in check_study(study.root) if p.severity == "error"] == []


def test_external_cohort_gets_neutral_names_and_its_conflicts_are_counted(
    release: Path, busi: Path, tmp_path: Path
) -> None:
    report = _imported(release, tmp_path / "study", busi)
    study = load_study(tmp_path / "study")
    external = study.patients[study.patients["cohort"] == "busi"]
    assert external["patient_id"].tolist() == [f"busi_{i:03d}" for i in range(1, 6)]
    assert external["outcome"].value_counts().to_dict() == {
        "benign": 2,
        "malignant": 2,
        "normal": 1,
    }
    assert external[["age", "max_diameter_mm", "birads"]].isna().all(axis=None)
    assert study.config.network_for("busi") == "whole"
    assert study.config.networks["whole"].region == "whole"
    assert (len(report.duplicates), report.n_conflicts) == (1, 1)
    assert "1 pairs of (nearly) identical images, 1 of them under two labels" in report.summary()
    sources = pd.read_csv(study.root / "sources.csv").set_index("image_id")
    labels = external.set_index("patient_id")["outcome"].astype(str)
    assert all(sources.loc[i, "file"].startswith(label) for i, label in labels.items())


def test_same_release_same_bytes(release: Path, busi: Path, tmp_path: Path) -> None:
    trees = []
    for name in ("one", "two"):
        _imported(release, tmp_path / name, busi)
        files = (tmp_path / name).rglob("*.*")
        trees.append({p.relative_to(tmp_path / name): p.read_bytes() for p in files})
    assert trees[0] == trees[1]


def test_counts_are_reported_and_written(release: Path, busi: Path, tmp_path: Path) -> None:
    report = _imported(release, tmp_path / "study", busi)
    counts = report.frame().set_index(["cohort", "outcome"])["n_patients"].to_dict()
    assert counts[("development", "benign")] == 3
    assert counts[("busi", "malignant")] == 2
    assert report.missing == {"age": 1}
    written = json.loads((tmp_path / "study" / "import.json").read_text("utf-8"))
    assert written["missing"] == {"age": 1}
    assert str(tmp_path) not in json.dumps(written)
    assert repr(report) == "<import of BrEaST-Lesions-USG: n = 11 patients, 11 images>"


def _without_mask(sheet: pd.DataFrame) -> pd.DataFrame:
    return sheet.assign(
        Mask_tumor_filename=sheet["Mask_tumor_filename"].where(sheet.index != 0, "")
    )


def _set(column: str, value: str) -> Sheet:
    return lambda sheet: sheet.assign(**{column: sheet[column].where(sheet.index != 1, value)})


FAULTS: dict[str, tuple[Sheet, str]] = {
    "age in words": (_set("Age", "forty"), "1 x has an Age that is no positive number: case 2"),
    "negative age": (_set("Age", "-4"), "1 x has an Age that is no positive number: case 2"),
    "decimal comma": (_set("Pixel_size", "0,05"), "has a Pixel_size that is no positive number"),
    "no pixel size": (_set("Pixel_size", ""), "1 x has no Pixel_size: case 2"),
    "unknown label": (_set("Classification", "unsure"), "has a Classification other than benign"),
    "repeated case": (_set("CaseID", "1"), "has the CaseID of another row: case 1"),
    "no mask": (_without_mask, "1 x has a lesion but no tumour mask: case 1"),
    "two images": (
        _set("Image_filename", "case002.png&case003.png"),
        "does not have exactly one image: case 2",
    ),
    "climbing path": (_set("Image_filename", "../case002.png"), "1 x is no plain file name"),
    "missing column": (lambda sheet: sheet.drop(columns="Age"), "lacks the columns Age"),
    "no rows": (lambda sheet: sheet.head(0), "has no data rows"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_sheet_are_refused_and_nothing_is_written(
    release: Path, tmp_path: Path, fault: str
) -> None:
    edit, message = FAULTS[fault]
    _edit(release, edit)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SchemaError, match=message.replace("(", r"\(")):
        _imported(release, tmp_path / "study")
    assert sorted(tmp_path.iterdir()) == before


def test_missing_files_are_listed_all_at_once(release: Path, tmp_path: Path) -> None:
    (release / "images" / "case002.png").unlink()
    (release / "masks" / "case005_tumor2.png").unlink()
    with pytest.raises(SchemaError, match=r"2 x is not in .*: case002.png, case005_tumor2.png\."):
        _imported(release, tmp_path / "study")


@pytest.mark.parametrize("kind", ["empty", "other size", "no image"])
def test_masks_that_cannot_be_measured_leave_no_folder(
    release: Path, tmp_path: Path, kind: str
) -> None:
    path = release / "masks" / "case002_tumor.png"
    if kind == "empty":
        Image.fromarray(np.zeros(SIZE, dtype=bool)).save(path)
    elif kind == "other size":
        Image.fromarray(np.eye(50, dtype=bool)).save(path)
    else:
        path.write_bytes(b"text")
    with pytest.raises(SchemaError, match="case002"):
        _imported(release, tmp_path / "study")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["release"]


def test_interruption_leaves_no_half_written_folder(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importer, "_write_sources", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _imported(release, tmp_path / "study")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["release"]


def test_a_taken_target_is_refused_before_the_release_is_read(tmp_path: Path) -> None:
    target = tmp_path / "study"
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    with pytest.raises(SchemaError, match="not empty; nothing was written"):
        _imported(tmp_path / "nowhere", target)
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(SchemaError, match="is a file; nothing was written"):
        _imported(tmp_path / "nowhere", file)


def test_an_empty_target_is_filled(release: Path, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    _imported(release, tmp_path / "study")
    assert (tmp_path / "study" / "study.yaml").is_file()


def test_registry(release: Path, busi: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"No importer for 'lidc'\. There are: breast-lesions"):
        import_release("lidc", release, tmp_path / "x")
    beside = import_release("breast-lesions-usg", release, tmp_path / "with")
    alone = import_release("breast-lesions-usg", release, tmp_path / "alone", with_external=False)
    assert set(beside.frame()["cohort"]) == {"development", "busi"}
    assert set(alone.frame()["cohort"]) == {"development"}
    config = load_study(tmp_path / "alone").config
    assert list(config.networks) == ["lesion", "lesion_features"]
    assert config.ensembles == {config.fusion.network: ("lesion", "lesion_features")}
    busi.rename(tmp_path / "elsewhere")
    with pytest.raises(SchemaError, match="`--no-external`"):
        import_release("breast-lesions-usg", release, tmp_path / "y")


def test_the_real_release(tmp_path: Path) -> None:
    breast, busi = shared_path("data", "breast"), shared_path("data", "busi")
    report = _imported(breast, tmp_path / "study", busi)
    counts = report.frame().set_index(["cohort", "outcome"])["n_patients"].to_dict()
    assert counts == {
        ("development", "benign"): 154,
        ("development", "malignant"): 98,
        ("development", "normal"): 4,
        ("busi", "benign"): 140,
        ("busi", "malignant"): 70,
        ("busi", "normal"): 30,
    }
    study = load_study(tmp_path / "study")
    development = study.development
    assert len(development) == 252
    assert development["event"].sum() == 98
    assert development["age"].isna().sum() == 41
    assert development["max_diameter_mm"].between(2, 80).all()
    taller = pd.crosstab(development["taller_than_wide"], development["outcome"].astype(str))
    assert taller.loc["yes", "malignant"] / 98 > 2 * taller.loc["yes", "benign"] / 154
    assert len(study.cohort("busi")) == 210
    assert len(report.duplicates) >= 20
    problems = check_study(study.root)
    assert [p for p in problems if p.severity == "error"] == []
