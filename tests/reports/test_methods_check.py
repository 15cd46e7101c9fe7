"""`usstats check --methods`: the study folder side of the linter and its exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from reports.cli import app
from reports.methods_check import check_methods, describe_methods, methods_content
from reports.synthetic import make_noa_study
from tests.usstats.lint_studies import SHAPES, clean_study
from usstats.errors import SchemaError

RUNNER = CliRunner()
BELOW_SIZE = {"R16", "R18"}


@pytest.fixture(scope="module")
def noa(tmp_path_factory) -> Path:
    """The synthetic study before any run, small."""
    root = tmp_path_factory.mktemp("noa") / "study"
    make_noa_study(root, seed=5, n_development=40, n_external=20)
    return root


@pytest.fixture
def study(noa, tmp_path) -> Path:
    return Path(shutil.copytree(noa, tmp_path / "study"))


def check(*arguments: str | Path) -> tuple[int, str]:
    done = RUNNER.invoke(app, ["check", "--methods", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def edit(root: Path, name: str, **columns) -> None:
    frame = pd.read_csv(root / name, dtype={"patient_id": str})
    frame.assign(**columns).to_csv(root / name, index=False)


def configure(root: Path, change) -> None:
    content = yaml.safe_load((root / "study.yaml").read_text())
    change(content)
    (root / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def test_the_synthetic_study_is_only_too_small(study):
    assert check_methods(study).rules <= BELOW_SIZE


def test_a_clean_study_exits_with_zero(tmp_path):
    root = clean_study(2, **SHAPES[2]).write(tmp_path / "s")
    code, text = check(root)
    assert code == 0
    assert text.startswith("No methodological finding in patients.csv")


def test_an_error_exits_with_three_and_says_what_to_do(tmp_path):
    base = clean_study(2, **SHAPES[2])
    rows = base["run/predict/predictions.csv"].assign(role="in_sample")
    root = base.table("run/predict/predictions.csv", rows).write(tmp_path / "s")
    code, text = check(root)
    assert code == 3
    assert "error R01, run/predict/predictions.csv, column role" in text
    assert "Fix:  Predict every development patient by a network that never saw" in text
    assert "cannot be trusted until it is put right" in text


def test_json_is_one_object(tmp_path):
    root = clean_study(2, **SHAPES[2]).write(tmp_path / "s")
    configure(root, lambda c: c["decision"].update(low=0.01, high=0.99))
    code, text = check(root, "--json")
    content = json.loads(text)
    assert code == 3
    assert content["ok"] is False
    assert [f["rule"] for f in content["findings"]] == ["R11"]


def test_a_picture_of_two_patients_in_two_cohorts(study):
    images = pd.read_csv(study / "images.csv", dtype=str)
    first, last = images["path"].iloc[0], images["path"].iloc[-1]
    shutil.copyfile(study / first, study / last)
    report = check_methods(study)
    assert "R03" in report.rules
    finding = next(f for f in report if f.rule == "R03")
    assert finding.severity == "error"
    assert finding.where.startswith("images.csv, column image_id, lines 2, ")


def test_a_picture_saved_again_as_jpeg(study):
    images = pd.read_csv(study / "images.csv", dtype=str)
    first = Image.open(study / images["path"].iloc[0])
    path = images["path"].iloc[-1].replace(".png", ".jpg")
    first.save(study / path, quality=92)
    images.loc[len(images) - 1, "path"] = path
    images.to_csv(study / "images.csv", index=False)
    assert "R03" in check_methods(study).rules


def test_progress_counts_the_images(study):
    seen = []
    check_methods(study, progress=lambda done, total: seen.append((done, total)))
    n = len(pd.read_csv(study / "images.csv"))
    assert seen == [(i + 1, n) for i in range(n)]


def test_missing_images_do_not_stop_the_rules(study):
    shutil.rmtree(study / "images")
    edit(study, "patients.csv", patient_id=lambda t: t["patient_id"].replace("D0002", "D0001"))
    assert "R05" in check_methods(study).rules


def test_no_study_file_is_the_users_input(tmp_path):
    with pytest.raises(SchemaError, match=r"No study.yaml"):
        check_methods(tmp_path)


def test_an_unreadable_table_is_the_users_input(study):
    (study / "patients.csv").write_text("")
    with pytest.raises(SchemaError, match=r"patients.csv cannot be read"):
        check_methods(study)


def test_a_key_no_run_accepts_is_reported_after_the_findings(tmp_path):
    root = clean_study(2, **SHAPES[2]).write(tmp_path / "s")
    configure(root, lambda c: c.update(remark="x"))
    with pytest.raises(SchemaError, match="remark: Extra inputs are not permitted"):
        check(root)


def test_a_key_that_spells_out_a_mistake_is_a_finding(study):
    configure(study, lambda c: c.update(selection="univariable p < 0.05"))
    code, text = check(study)
    assert code == 3
    assert "R15, study.yaml, selection" in text


def test_no_identifier_is_printed(study):
    names = pd.read_csv(study / "patients.csv", dtype=str)["patient_id"]
    edit(study, "patients.csv", cohort="development", fsh=1.0, patient_id="CANARY-17")
    text = describe_methods(check_methods(study))
    assert "CANARY" not in text
    assert not any(name in text for name in names)


def test_the_json_has_every_column(study):
    edit(study, "patients.csv", fsh=lambda t: np.where(t["fsh"] > 7.6, 1, 0))
    content = methods_content(check_methods(study))
    assert set(content["findings"][0]) == {
        "rule", "severity", "where", "finding", "why", "reference", "fix",
    }  # fmt: skip
    assert "R14" in {f["rule"] for f in content["findings"]}
