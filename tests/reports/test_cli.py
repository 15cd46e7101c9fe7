"""Every command as it is typed: its exit code, its words, its JSON, and how fast it answers."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner, Result

import reports.cli
from reports.cli import app, main
from reports.model_file import read_model
from reports.synthetic import make_noa_study
from tests.reports.conftest import copy_study
from usstats._fits.json_file import content_digest

COMMANDS = (
    "init",
    "check",
    "size",
    "train",
    "predict",
    "run",
    "report",
    "calculator",
    "app",
    "verify",
    "demo",
)
SIZE = ("size", "--parameters", "6", "--prevalence", "0.42", "--auc", "0.85")


def usstats(*arguments: object) -> Result:
    """Run a command inside this process; an error is kept as `result.exception`."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def shell(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command as a program of its own."""
    command = [sys.executable, "-m", "reports.cli", *map(str, arguments)]
    return subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, **options
    )


def exits(monkeypatch, capsys, *arguments: object) -> tuple[int, str]:
    """Exit code and error text of a command, by the way its errors are explained."""
    monkeypatch.setattr(sys, "argv", ["usstats", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0), capsys.readouterr().err


@pytest.fixture
def run(small_run: Path, tmp_path: Path) -> Path:
    return copy_study(small_run, tmp_path / "study")


# Help -------------------------------------------------------------------------------------------


def test_help_answers_within_a_second_and_loads_nothing_heavy():
    heavy = "numpy", "pandas", "scipy", "matplotlib", "torch", "usstats", "pydantic"
    code = f"import sys, reports.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        assert shell("--help").returncode == 0
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 1


def test_help_names_every_command_in_full_sentences():
    text = usstats("--help").output
    listed = re.findall(r"^  ([a-z]+) {2,}(\S.*)$", text.split("Commands:")[1], re.M)
    assert [name for name, _ in listed] == list(COMMANDS)
    assert all(sentence.endswith(".") and "..." not in sentence for _, sentence in listed)
    assert "Exit codes: 0 fine" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    result = usstats(command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output
    for option in re.findall(r"^  (--[a-z-]+)(.*)$", result.output, re.M):
        assert option[1].strip(), f"{command} {option[0]} has no help"


def test_an_unknown_command_is_the_users_mistake():
    assert usstats("nothing").exit_code == 2
    assert usstats("size").exit_code == 2


# size -------------------------------------------------------------------------------------------


def test_size_says_what_is_needed_and_what_is_lacking():
    text = usstats(*SIZE, "--have", 275).output
    assert "sample size, development: 375 patients" in text
    assert "275 patients are 100 short of the 375" in text
    assert "sample size, external validation" in text


def test_size_as_json():
    content = json.loads(usstats(*SIZE, "--have", 275, "--json").output)
    development = content["development"]
    assert (development["n"], development["have"], development["shortfall"]) == (375, 275, 100)
    assert [row["criterion"] for row in development["criteria"]] == [
        "shrinkage",
        "optimism",
        "overall risk",
    ]
    assert content["external_validation"]["n"] == max(
        row["n"] for row in content["external_validation"]["criteria"]
    )
    assert "have" not in json.loads(usstats(*SIZE, "--json").output)["development"]


def test_size_refuses_a_share_beyond_one(monkeypatch, capsys):
    code, text = exits(monkeypatch, capsys, *SIZE[:-3], "1.42", "--auc", "0.85")
    assert code == 2
    assert "`prevalence` must be a number inside (0, 1); got 1.42" in text


# check ------------------------------------------------------------------------------------------


def test_check_of_a_sound_study(small_study):
    result = usstats("check", small_study)
    assert result.exit_code == 0, result.output
    assert "No problems found." in result.stdout


def test_check_as_json_keeps_progress_off_standard_output(small_study):
    assert json.loads(usstats("check", small_study, "--json").stdout) == {"problems": []}


def test_check_of_a_faulty_study_exits_2(small_study, tmp_path):
    folder = copy_study(small_study, tmp_path / "study")
    (folder / "images" / "D0001_1.png").unlink()
    (folder / "images" / "D0001_1.png").write_bytes(b"no image")
    result = usstats("check", folder, "--json")
    assert result.exit_code == 2
    problem = json.loads(result.stdout)["problems"][0]
    assert problem["severity"] == "error"
    assert problem["file"] == "images.csv"
    assert usstats("check", tmp_path / "nowhere").exit_code == 2


# run, report, train, predict --------------------------------------------------------------------


def test_run_of_a_finished_study_changes_nothing(small_run):
    result = usstats("run", small_run, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"report": str(small_run / "run/report/report.html")}
    assert "Writing the report: unchanged" in result.stderr


def test_report_writes_the_same_bytes_again(run, small_run):
    report = run / "run" / "report"
    (report / "report.html").write_text("lost")
    shutil.rmtree(report / "tables")
    result = usstats("report", run)
    assert result.exit_code == 0, result.exception
    assert "Drawing the figures: unchanged" in result.output
    before = small_run / "run" / "report"
    names = {path.relative_to(before) for path in before.rglob("*") if path.is_file()}
    assert {path.relative_to(report) for path in report.rglob("*") if path.is_file()} == names
    assert [
        n for n in sorted(names) if (before / n).read_bytes() != (report / n).read_bytes()
    ] == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "run/fit/nomogram.json").write_text("{}"), "'fit' is not finished"),
        (
            lambda run: (run / "study.yaml").write_text(
                (run / "study.yaml").read_text("utf-8").replace("n_boot: 50", "n_boot: 60")
            ),
            "'check' was made from another study.yaml",
        ),
        (lambda run: shutil.rmtree(run / "run"), "'check' is not finished"),
    ],
    ids=["a result was changed", "another setting", "never run"],
)
def test_report_needs_results_that_belong_to_the_study(run, monkeypatch, capsys, spoil, message):
    spoil(run)
    code, text = exits(monkeypatch, capsys, "report", run)
    assert code == 2
    assert message in text
    assert "usstats run" in text


def test_a_study_without_networks_has_nothing_to_train(small_run, monkeypatch, capsys):
    for command in ("train", "predict"):
        code, text = exits(monkeypatch, capsys, command, small_run)
        assert code == 2
        assert "declares no networks" in text


def test_a_network_that_is_not_declared_cannot_predict(small_run, monkeypatch, capsys):
    image = next((small_run / "images").glob("*.png"))
    code, text = exits(monkeypatch, capsys, "predict", small_run, image, "--network", "other")
    assert code == 2
    assert "no network 'other'" in text


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose network was trained by `usstats train`."""
    pytest.importorskip("torch", reason="the image part is not installed")
    folder = tmp_path_factory.mktemp("trained") / "study"
    make_noa_study(folder, seed=3, n_development=20, n_external=6)
    path = folder / "study.yaml"
    config = yaml.safe_load(path.read_text("utf-8"))
    config["networks"]["roi"] |= {"route": "frozen", "input_size": 64, "folds": 2}
    path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    result = usstats("train", folder, "--json")
    assert result.exit_code == 0, result.exception
    table = pd.read_csv(json.loads(result.stdout)["predictions"])
    assert set(table["role"]) == {"out_of_fold"}
    assert not (folder / "run" / "fit").exists()
    return folder


def test_train_then_predict_new_images(trained, tmp_path, monkeypatch, capsys):
    """The command's rule is the study's own: external patients get the same numbers either way."""
    stage = usstats("predict", trained, "--json")
    assert stage.exit_code == 0, stage.exception
    own = pd.read_csv(json.loads(stage.stdout)["predictions"])
    images = pd.read_csv(trained / "images.csv", dtype=str)
    external = images[images["patient_id"].str.startswith("P")]
    table = external[["image_id", "patient_id", "path", "mask"]]
    table.to_csv(trained / "new.csv", index=False)
    result = usstats("predict", trained, trained / "new.csv", "--out", tmp_path / "out.csv")
    assert result.exit_code == 0, result.exception
    found = pd.read_csv(tmp_path / "out.csv").set_index("image_id")["logit"]
    expected = own[own["role"] == "external"].set_index("image_id")["logit"]
    pd.testing.assert_series_equal(found, expected[found.index], rtol=1e-6)
    assert external["image_id"].iloc[0] in result.stdout
    known = trained / images["path"].iloc[0]
    code, text = exits(monkeypatch, capsys, "predict", trained, known, "--roi", "5 5 60 60")
    assert code == 2
    assert "development" in text


def test_predict_needs_the_region_its_network_looks_at(trained, monkeypatch, capsys):
    image = trained / "images" / "P0001_1.png"
    code, text = exits(monkeypatch, capsys, "predict", trained, image)
    assert code == 2
    assert "neither a mask nor a roi" in text
    result = usstats("predict", trained, image, "--roi", "40 40 200 200", "--json")
    assert result.exit_code == 0, result.exception
    row = json.loads(result.stdout)["predictions"][0]
    assert (row["image_id"], row["role"], row["fold"]) == ("P0001_1", "external", None)
    assert 0 < row["probability_calibrated"] < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png"], "There is no file or folder 'nowhere.png'"),
        (["nowhere.csv"], "There is no file 'nowhere.csv'"),
        (["."], "holds no image"),
    ],
)
def test_predict_says_which_images_it_cannot_find(
    trained, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    code, text = exits(monkeypatch, capsys, "predict", trained, *arguments)
    assert code == 2
    assert message in text


# calculator and the model file ------------------------------------------------------------------


@pytest.fixture
def model(small_run: Path) -> dict:
    return json.loads((small_run / "run" / "report" / "model.json").read_text("utf-8"))


def test_the_model_file_holds_what_a_user_of_the_model_needs(small_run, model):
    assert model["schema_name"] == "usstats.study_model"
    assert "Linear predictor lp = " in model["equation"]
    assert model["intended_use"].startswith("Research use only; not a medical device")
    threshold = json.loads((small_run / "run" / "fit" / "threshold.json").read_text("utf-8"))
    assert model["cutoff"]["value"] == threshold["value"]
    assert set(model["provenance"]["inputs"]) >= {"study.yaml", "patients.csv", "images.csv"}
    assert set(model["variables"]) == {"dl_prob", "fsh", "testicular_volume", "edv"}
    ranges = json.dumps(model["model"])
    assert '"ranges"' in ranges
    text = json.dumps(model)
    assert str(small_run) not in text
    assert not re.search(r"\b[DP]\d{4}\b", text)


def test_the_model_file_predicts_as_the_fit_does(small_run):
    from reports.pipeline import Workspace
    from reports.stages.model import read_fit
    from reports.study import load_study

    work = Workspace(study=load_study(small_run), folder=small_run, say=lambda line: None)
    patients = pd.read_csv(small_run / "run" / "fuse" / "development.csv").dropna()
    stored = read_model(small_run / "run" / "report" / "model.json").fit
    assert (stored.predict(patients) == read_fit(work, "nomogram").predict(patients)).all()


def test_calculator_of_a_study_and_of_its_model_file_is_the_report_s(small_run, tmp_path):
    report = small_run / "run" / "report"
    for source in (small_run, report / "model.json"):
        target = tmp_path / "own.html"
        result = usstats("calculator", source, "--out", target, "--json")
        assert result.exit_code == 0, result.exception
        assert json.loads(result.stdout) == {"calculator": str(target)}
        assert target.read_bytes() == (report / "calculator.html").read_bytes()


def test_calculator_of_a_bare_fit_lies_beside_it(small_run, tmp_path):
    shutil.copy(small_run / "run" / "fit" / "clinical.json", tmp_path / "clinical.json")
    assert usstats("calculator", tmp_path / "clinical.json").exit_code == 0
    assert "<title>clinical" in (tmp_path / "calculator.html").read_text("utf-8")


def resigned(content: dict) -> dict:
    """The content with the digest that belongs to it: edited by somebody who knows how."""
    return {**content, "sha256": content_digest(content)}


EDITS = {
    "a newer file": (
        lambda m: m | {"schema_version": 2},
        r"\$\.schema_version: version 2 is newer",
    ),
    "another file": (lambda m: m | {"schema_name": "x"}, r"\$\.schema_name: expected one of"),
    "an unknown key": (lambda m: m | {"colour": "red"}, r"\$\.colour: Extra inputs"),
    "no cut-off": (lambda m: {k: v for k, v in m.items() if k != "cutoff"}, r"\$\.cutoff: Field"),
    "a cut-off of 2": (
        lambda m: m | {"cutoff": m["cutoff"] | {"value": 2.0}},
        r"\$\.cutoff\.value",
    ),
    "a text for a number": (
        lambda m: m | {"provenance": m["provenance"] | {"seed": "7"}},
        r"\$\.provenance\.seed",
    ),
    "a variable too few": (lambda m: m | {"variables": {}}, r"\$\.variables: does not cover"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_model_file_is_refused_with_the_path_of_the_fault(
    model, tmp_path, monkeypatch, capsys, edit
):
    change, where = EDITS[edit]
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(resigned(change(model))), "utf-8")
    code, text = exits(monkeypatch, capsys, "calculator", broken)
    assert code == 2
    assert re.search(rf"broken\.json: {where}", text)
    assert not (tmp_path / "calculator.html").exists()


def test_an_edited_coefficient_is_refused_below_the_model(model, tmp_path, monkeypatch, capsys):
    inner = json.loads(json.dumps(model))
    fit = inner["model"].get("pooled_model", inner["model"])
    name = next(iter(fit["params"]))
    fit["params"][name] += 0.5
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(resigned(inner)), "utf-8")
    code, text = exits(monkeypatch, capsys, "calculator", broken)
    assert code == 2
    assert re.search(r"broken\.json: \$\.model\.(pooled_model\.)?sha256: .*edited", text)


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (lambda m: m | {"schema_version": 2}, r"\$\.schema_version: version 2 is newer"),
        (lambda m: m | {"dfcom": "many"}, r"\$\.dfcom: "),
        (lambda m: m | {"pooled_model": {}}, r"\$\.pooled_model\.schema_name: expected"),
    ],
)
def test_a_bare_pooled_fit_is_refused_alike(small_run, tmp_path, monkeypatch, capsys, edit, where):
    content = json.loads((small_run / "run" / "fit" / "nomogram.json").read_text("utf-8"))
    assert content["schema_name"] == "usstats.pooled_logistic"
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(resigned(edit(content))), "utf-8")
    code, text = exits(monkeypatch, capsys, "calculator", broken)
    assert code == 2
    assert re.search(rf"broken\.json: {where}", text)


def test_an_edited_title_is_refused_by_the_digest(model, tmp_path, monkeypatch, capsys):
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(model | {"title": "Another"}), "utf-8")
    code, text = exits(monkeypatch, capsys, "calculator", broken)
    assert code == 2
    assert "broken.json: $.sha256: the content does not match its digest: it was edited" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable as JSON"),
        ("[1]", "not a model file"),
        ('{"schema_name": "a", "schema_name": "b"}', "occurs twice"),
        ('{"schema_name": ["usstats.logistic"]}', "expected one of"),
    ],
)
def test_what_is_no_model_file_is_refused(tmp_path, monkeypatch, capsys, text, message):
    broken = tmp_path / "broken.json"
    broken.write_text(text, "utf-8")
    code, said = exits(monkeypatch, capsys, "calculator", broken)
    assert code == 2
    assert message in said


def test_a_study_that_was_not_run_has_no_calculator(small_study, monkeypatch, capsys):
    code, text = exits(monkeypatch, capsys, "calculator", small_study)
    assert code == 2
    assert "Run the study first: usstats run" in text
    code, text = exits(monkeypatch, capsys, "calculator", small_study / "none.json")
    assert code == 2
    assert "There is no file 'none.json'" in text


# verify -----------------------------------------------------------------------------------------


def test_verify_exits_0_3_and_2(run, tmp_path, monkeypatch, capsys):
    assert usstats("verify", run).exit_code == 0
    table = run / "run" / "report" / "tables" / "accuracy.csv"
    table.write_bytes(table.read_bytes().replace(b"0", b"1", 1))
    result = usstats("verify", run, "--json")
    assert result.exit_code == 3
    content = json.loads(result.stdout)
    assert content["holds"] is False
    assert {row["what"] for row in content["findings"]} == {"changed", "cell"}
    assert "the results give" in usstats("verify", run).output
    code, text = exits(monkeypatch, capsys, "verify", tmp_path / "nowhere")
    assert code == 2
    assert "there is no record of a finished report" in text


# The program as a whole -------------------------------------------------------------------------


def test_init_refuses_an_unknown_release(tmp_path, monkeypatch, capsys):
    code, text = exits(monkeypatch, capsys, "init", tmp_path / "new", "--from", "x", tmp_path)
    assert code == 2
    assert "Traceback" not in text
    assert not (tmp_path / "new").exists()


def test_demo_refuses_a_folder_that_holds_something_else(tmp_path, monkeypatch, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    code, _ = exits(monkeypatch, capsys, "demo", tmp_path)
    assert code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_fit_that_cannot_be_trusted_exits_3(monkeypatch, capsys, small_run):
    import reports.run
    from usstats.errors import FitError

    def fails(*_: object, **__: object) -> None:
        msg = "the fit did not converge"
        raise FitError(msg)

    monkeypatch.setattr(reports.run, "run_study", fails)
    assert exits(monkeypatch, capsys, "run", small_run) == (
        3,
        "Not trustworthy: the fit did not converge\n",
    )


def test_a_bug_of_ours_exits_1_and_quotes_no_value(monkeypatch, capsys, small_run):
    import reports.run

    def fails(*_: object, **__: object) -> None:
        raise KeyError("Maria Canary 1970-01-01")  # noqa: EM101

    monkeypatch.setattr(reports.run, "run_study", fails)
    code, text = exits(monkeypatch, capsys, "run", small_run)
    assert code == 1
    assert "Internal error (KeyError in test_cli.py:" in text
    assert "Canary" not in text


def test_a_terminal_of_an_old_code_page_is_written_to(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    monkeypatch.setattr(sys, "argv", ["usstats", "verify", "--help"])
    with pytest.raises(SystemExit):
        main()
    reports.cli.out.print("p \N{GREATER-THAN OR EQUAL TO} 1")
    assert raw.getvalue().endswith(b"p \\u2265 1\n")


@pytest.mark.slow
def test_ctrl_c_stops_with_a_hint(small_study, tmp_path):
    folder = copy_study(small_study, tmp_path / "study")
    text = (folder / "study.yaml").read_text("utf-8")
    (folder / "study.yaml").write_text(text.replace("n_boot: 50", "n_boot: 100000"), "utf-8")
    command = [sys.executable, "-u", "-m", "reports.cli", "run", str(folder)]
    process = subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if "resamples" in line:
            break
    started = time.perf_counter()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "The same command goes on where this one left off." in said
    assert "Traceback" not in said
    assert time.perf_counter() - started < 5
