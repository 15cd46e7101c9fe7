"""The linter finds planted mistakes, leaves clean studies alone, and says what to do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.usstats import lint_objects, lint_plants_elsewhere
from tests.usstats.lint_plants import PLANTS, Plant, lint_on_disk, measure
from tests.usstats.lint_studies import SHAPES, Study, clean_study
from usstats._lint.finding import RULES
from usstats._lint.folder import read_sheet
from usstats._lint.leaks import loose_id
from usstats._lint.objects import place_of
from usstats._lint.parsing import plain_table
from usstats._lint.wording import in_words, is_result
from usstats._numbers import as_number, as_numbers
from usstats.errors import ArgumentError, SchemaError
from usstats.lint import LintReport, lint, rules_frame

ALL = [f"R{i:02d}" for i in range(1, 26)]
PREDICTIONS = "run/predict/predictions.csv"
ERRORS = {"R01", "R03", "R05", "R06", "R12", "R14", "R21"}


@pytest.fixture(scope="module")
def bases() -> dict[int, Study]:
    """Clean studies the plants go into, made once."""
    return {}


def base_of(bases: dict[int, Study], item: Plant) -> Study:
    if item.shape not in bases:
        bases[item.shape] = clean_study(1000 + item.shape, **SHAPES[item.shape])
    return deepcopy(bases[item.shape])


def first_forms() -> list[Plant]:
    """One form of each rule; the others are in the slow test."""
    seen: dict[str, Plant] = {}
    for item in PLANTS:
        seen.setdefault(item.rule, item)
    return list(seen.values())


def papers() -> list[Plant]:
    """One table of each rule in the words of other programs."""
    own = lint_plants_elsewhere.__name__
    seen: dict[str, Plant] = {}
    for item in PLANTS:
        if item.change.__module__ == own and not item.form.startswith("setting"):
            seen.setdefault(item.rule, item)
    return list(seen.values())


def tables(study: Study) -> dict[str, pd.DataFrame]:
    """The tables of a study as arguments of `lint`."""
    named = {"patients": "patients.csv", "images": "images.csv", "predictions": PREDICTIONS}
    return {name: study[path] for name, path in named.items()}


def test_every_rule_has_a_reason_a_reference_and_planted_forms():
    assert list(RULES) == ALL
    assert rules_frame()["rule"].tolist() == ALL
    for rule in RULES.values():
        assert rule.why.endswith(".")
        assert rule.why.count(". ") == 0, "one sentence"
        assert re.search(r"(19|20)\d\d;|\(PMLR", rule.reference), rule.reference
    counts = pd.Series([item.rule for item in PLANTS]).value_counts()
    assert set(counts.index) == set(ALL)
    assert counts.min() >= 3


@pytest.mark.parametrize("item", first_forms(), ids=lambda item: f"{item.rule} {item.form}")
def test_a_planted_mistake_is_found_on_disk(item, bases):
    base = base_of(bases, item)
    report = lint_on_disk(item.change(base))
    assert item.rule in report.rules, f"{item.form}: only {sorted(report.rules)}"
    finding = next(f for f in report if f.rule == item.rule)
    assert all((finding.where, finding.finding, finding.why, finding.reference, finding.fix))
    if item.rule in ERRORS:
        assert finding.severity == "error"
        assert not report.ok
        assert not report
    names = set(base["patients.csv"]["patient_id"])
    assert not names & set(re.findall(r"[\w-]+", report.summary())), "an identifier is repeated"


@pytest.mark.parametrize("shape", [0, 7])
def test_a_clean_study_is_clean(shape, bases):
    study = base_of(bases, Plant("", "", lambda s: s, shape))
    assert lint_on_disk(study).is_clean
    in_memory = lint(study.config, **tables(study))
    assert in_memory.is_clean, in_memory.summary()


@pytest.mark.parametrize("name", lint_objects.PLANTED)
def test_a_planted_mistake_is_found_in_objects(name):
    rule, case = lint_objects.PLANTED[name]
    report = lint(**lint_objects.made(case))
    assert rule in report.rules, report.summary()


@pytest.mark.parametrize("name", lint_objects.CLEAN)
def test_a_clean_object_is_clean(name):
    report = lint(**lint_objects.made(lint_objects.CLEAN[name]))
    assert report.is_clean, report.summary()


@pytest.mark.parametrize("item", papers(), ids=lambda item: f"{item.rule} {item.form}")
def test_a_mistake_in_the_words_of_a_paper_is_found(item, bases):
    base = base_of(bases, item)
    assert item.rule in lint_on_disk(item.change(base)).rules


def test_contrasts_outside_are_no_nested_test_however_large_the_cohort(bases):
    base = base_of(bases, next(item for item in PLANTS if item.rule == "R06"))
    n = len(base["patients.csv"].query("cohort == 'prospective'"))
    rows = {"group": ["prospective"], "model_1": ["nomogram"], "model_2": ["clinical"], "n": [n]}
    rows |= {"auc_1": [0.9], "auc_2": [0.8], "p_value": [0.01], "p_adjusted": [0.01]}
    table = pd.DataFrame(rows).assign(method="delong")
    assert "R06" not in lint_on_disk(base.table("run/contrasts/auc.csv", table)).rules
    assert "R06" in lint_on_disk(base.table("run/a/auc.csv", table.drop(columns="group"))).rules


def test_tables_of_other_programs_are_put_into_our_words():
    table = pd.DataFrame(
        {
            "Comparison": ["a vs b", "a versus c"],
            "P-value": [0.1, 0.2],
            "OR (95% CI)": ["1.2 (0.9-1.7)", "2.3e+08 (0.00–Inf)"],
            "Note": ["", "n.s."],
        }
    )
    spoken = in_words(table)
    assert list(spoken["model_1"]) == ["a", "a"]
    assert list(spoken["model_2"]) == ["b", "c"]
    assert list(spoken["p_value"]) == [0.1, 0.2]
    assert list(spoken["conf_high"]) == [1.7, np.inf]
    assert list(table.columns) == ["Comparison", "P-value", "OR (95% CI)", "Note"]


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (["Variable", "OR (95% CI)"], True),
        (["Model", "Test AUC"], True),
        (["Sig."], True),
        (["patient_id", "age", "fsh"], False),
        (["site", "n", "model"], False),
    ],
)
def test_a_table_of_results_is_known_by_its_header(header, known):
    assert is_result(header) is known


@pytest.mark.parametrize("cohort", ["BUSI", "Site 2/3", "../\u524d\u77bb", "prospective"])
def test_files_of_a_cohort_are_known_whatever_it_is_called(cohort):
    from reports.pipeline import cohort_file

    name = f"run/external/{cohort_file(cohort)}_nomogram_auc.csv"
    assert place_of(name, ["other", cohort]) == ("external", cohort, "nomogram")


@pytest.mark.slow
def test_detection_and_false_alarms(capsys):
    """250 and more forms of mistakes; clean studies of ten shapes."""
    found, alarms = measure(40)
    with capsys.disabled():
        print(f"\nfound {found:.1%}, false alarms {alarms:.1%}")
    assert found >= 0.95
    assert alarms <= 0.05


def test_the_report_is_a_table_a_text_and_a_verdict():
    table = lint_objects.predictions().assign(role="in_sample")
    report = lint(predictions=table)
    assert isinstance(report, LintReport)
    assert list(report.frame()) == [
        "rule", "severity", "where", "finding", "why", "reference", "fix",
    ]  # fmt: skip
    assert len(report) == len(report.frame()) == len(list(report))
    assert report.frame()["where"].tolist() == ["predictions, column role"]
    assert not report.ok
    assert not report
    text = report.summary()
    assert text.startswith("error R01, predictions, column role\n  What: 600 of 600 predictions")
    assert "Tibshirani and Efron" in text
    assert "cross_validate" in text
    assert text.endswith("methods check of predictions: 1 error, 0 warnings, 0 notes.")
    assert repr(report) == "<methods check of predictions: 1 error, 0 warnings, 0 notes>"


def test_warnings_leave_a_report_ok():
    report = lint(lint_objects.made(lambda: {"r": lint_objects.usstats.reclassify(
        *lint_objects.risks(), lint_objects.risks()[1] ** 1.1)})["r"])  # fmt: skip
    assert report.rules == {"R08"}
    assert report.ok
    assert report
    assert not report.is_clean


def test_errors_come_first():
    report = lint(
        predictions=lint_objects.predictions().assign(role="in_sample"),
        results=lint_objects.made(lint_objects.PLANTED["NRI"][1])["results"],
    )
    severity = report.frame()["severity"].tolist()
    assert severity == ["error", "error", "warning"]
    assert report.frame()["rule"].tolist() == ["R01", "R05", "R08"]


def test_positions_of_rows_and_lines(tmp_path):
    table = lint_objects.predictions(40)
    table.loc[[3, 5], "role"] = "in_sample"
    assert lint(predictions=table).frame()["where"][0] == "predictions, column role, rows 3, 5"
    table.to_csv(tmp_path / "predictions.csv", index=False)
    report = lint(tmp_path)
    assert report.frame()["where"][0] == "predictions.csv, column role, lines 5, 7"
    table["role"] = ["in_sample"] * 70 + ["out_of_fold"] * 10
    place = lint(predictions=table).frame()["where"][0]
    assert place == "predictions, column role, rows 0, 1, 2, 3, 4 and 65 more"


def test_what_an_object_is_is_seen_from_its_columns_and_class():
    fit, data = lint_objects.fitted()
    table = lint_objects.predictions()
    report = lint(fit, data, table, lint_objects.usstats.auc(table["y"], table["probability"]))
    assert report.looked_at == "patients, predictions, 1 fit(s), 1 result(s)"
    assert lint([fit, [data]]).looked_at == "patients, 1 fit(s)"
    assert lint({"external": lint_objects.usstats.auc(*lint_objects.risks())}).rules == {"R10"}


def test_the_order_of_arguments_and_rows_does_not_matter():
    data = lint_objects.predictions().assign(role="in_sample")
    shuffled = data.sample(frac=1, random_state=2)
    one, two = lint(data, lint_objects.cohort()), lint(lint_objects.cohort(), shuffled)
    assert one.rules == two.rules
    assert one.frame().drop(columns="where").equals(two.frame().drop(columns="where"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((), ArgumentError, "needs something to look at"),
        ((3,), ArgumentError, "does not know what a int is"),
        ((pd.DataFrame({"a": [1]}),), ArgumentError, r"cannot tell what this table is \(columns a"),
        (("/no/such/folder",), SchemaError, "There is no folder"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        lint(*arguments)


def test_a_table_must_be_a_frame():
    with pytest.raises(SchemaError, match="`predictions` must be a DataFrame; got list"):
        lint(predictions=[1])


def test_an_empty_folder_and_an_unreadable_table_are_refused(tmp_path):
    with pytest.raises(SchemaError, match=r"neither study\.yaml nor a table"):
        lint(tmp_path)
    (tmp_path / "patients.csv").write_bytes("patient_id,noa\nP1,1\n".encode("utf-16"))
    with pytest.raises(SchemaError, match=r"patients.csv cannot be read: .*utf-16"):
        lint(tmp_path)


def changed(frame: pd.DataFrame, form: str) -> pd.DataFrame:
    """A table as another program would have handed it over."""
    text = [c for c in frame if not pd.api.types.is_numeric_dtype(frame[c])]
    forms = {
        "nullable": lambda: frame.convert_dtypes(),
        "categories": lambda: frame.astype(dict.fromkeys(text, "category")),
        "no rows": lambda: frame.iloc[:0],
        "one row": lambda: frame.iloc[:1],
        "objects": lambda: frame.astype(object),
        "text": lambda: frame.astype(str),
        "nothing": lambda: frame.assign(**dict.fromkeys(frame, None)),
        "one index": lambda: frame.set_axis([0] * len(frame)),
        "infinite": lambda: frame.assign(
            **{c: frame[c].astype(float).mask(frame.index % 7 == 0, np.inf)
               for c in frame.select_dtypes("number")}
        ),
        "holes": lambda: frame.mask(np.random.default_rng(1).random(frame.shape) < 0.3),
        "half the columns": lambda: frame.iloc[:, ::2],
        "a column twice": lambda: pd.concat([frame, frame.iloc[:, :1]], axis=1),
    }  # fmt: skip
    return forms[form]()


FORMS = (
    "nullable", "categories", "no rows", "one row", "objects", "text", "nothing", "one index",
    "infinite", "holes", "half the columns", "a column twice",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_no_table_breaks_the_linter(form, bases):
    study = base_of(bases, Plant("", "", lambda s: s, 7))
    named = {**tables(study), "readings": study["readings.csv"]}
    given = {name: changed(table.head(120), form) for name, table in named.items()}
    for config in (None, study.config):
        for name, table in given.items():
            lint(study=config, **{name: table})
        lint(study=config, **given)


@pytest.mark.parametrize("form", ["nullable", "categories", "objects", "one index"])
def test_the_type_of_a_column_changes_nothing(form, bases):
    study = base_of(bases, Plant("", "", lambda s: s, 0))
    leaky = tables(study)
    leaky["predictions"] = leaky["predictions"].assign(model_hash="4f")
    plain = lint(study.config, **leaky)
    given = {name: changed(table, form) for name, table in leaky.items()}
    assert lint(study.config, **given).frame().equals(plain.frame())


def test_identifiers_that_look_like_numbers_meet():
    table = lint_objects.predictions(100)
    table["patient_id"] = table["patient_id"].str[1:].astype(float)
    patients = lint_objects.cohort(100).assign(patient_id=np.arange(100))
    again = patients.iloc[[0]].assign(cohort="other")
    report = lint(table, pd.concat([patients.assign(cohort="development"), again]))
    assert "R03" in report.rules


def test_a_hash_that_looks_like_a_huge_number_is_text(tmp_path):
    """pandas.to_numeric crashes the interpreter on such text."""
    assert np.isnan(as_number("9e2147483648"))
    (tmp_path / "t.csv").write_text("patient_id,hash\nP1,9e2147483648\nP2,123e4567890123456789\n")
    sheet = read_sheet(tmp_path / "t.csv", "t.csv")
    assert sheet.frame["hash"].tolist() == ["9e2147483648", "123e4567890123456789"]


def test_numbers_are_read_as_python_reads_them():
    column = pd.Series([" 1.5e3", "7", "-.5", "x", "", None, "1_000", True, "inf"], dtype=object)
    expected = [1500.0, 7.0, -0.5, np.nan, np.nan, np.nan, np.nan, 1.0, np.inf]
    np.testing.assert_array_equal(as_numbers(column), expected)


def test_plain_tables_have_text_identifiers():
    table = plain_table(pd.DataFrame({"patient_id": [7.0, 8.0], "x": pd.array([1, None])}))
    assert table["patient_id"].tolist() == ["7", "8"]
    assert np.isnan(table["x"][1])


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("P01", "p1 ", True),
        ("P-007", "P7", True),
        ("P 07", "P_7", True),
        ("\uff30\uff11", "P1", True),
        ("1-1", "11", False),
        ("P1", "P11", False),
        ("P10", "P1", False),
        ("ab", "ba", False),
    ],
)
def test_identifiers_that_people_confuse(one, two, same):
    assert (loose_id(one) == loose_id(two)) is same


def test_the_report_of_a_folder_repeats_itself(bases, tmp_path):
    study = base_of(bases, Plant("", "", lambda s: s, 0))
    study = study.table("patients.csv", pd.concat([study["patients.csv"]] * 2))
    root = study.write(tmp_path / "s")
    assert lint(root).frame().equals(lint(root).frame())


def test_links_and_paths_out_of_the_folder_are_not_followed(tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("measure,estimate\naccuracy,0.9\n")
    root = tmp_path / "s"
    root.mkdir()
    lint_objects.predictions(40).to_csv(root / "predictions.csv", index=False)
    images = pd.DataFrame(
        {"image_id": ["a", "b"], "patient_id": ["p", "q"], "path": ["../secret.csv", "/etc/passwd"]}
    )
    images.to_csv(root / "images.csv", index=False)
    (root / "results.csv").symlink_to(secret)
    assert lint(root).rules <= {"R01"}


def test_nothing_in_a_folder_is_executed(tmp_path):
    """A payload in a pickle, in YAML or in a formula is only named."""
    import pickle

    class Payload:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    lint_objects.predictions(40).to_csv(tmp_path / "predictions.csv", index=False)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Payload()))
    (tmp_path / "config.yaml").write_text("a: !!python/object/apply:os.system ['true']\n")
    (tmp_path / "config.json").write_text(json.dumps({"formula": "__import__('os')"}))
    report = lint(tmp_path)
    assert not (tmp_path / "ran").exists()
    found = report.frame().set_index("rule")
    assert found.loc["R25", "where"] == "model.pkl"
    assert found.loc["R25", "why"].startswith("Opening such a file runs")


def test_old_configurations_of_a_network_do_not_speak(bases, tmp_path):
    """Only the training folder that the run names counts for splits and settings."""
    study = base_of(bases, Plant("", "", lambda s: s, 0))
    rows = study[PREDICTIONS].drop_duplicates("patient_id")
    old = {
        "patient_id": rows["patient_id"].tolist(),
        "fold": [0 if pd.isna(f) else int(f + 1) % 5 for f in rows["fold"]],
    }
    study = study.document("run/train/net_1-00000000/splits.json", old)
    study = study.document("run/train/net_1-11111111/config.json", {"loss": "cross_entropy"})
    study = study.document(
        "run/stages/train.json", {"outputs": {"net_1-11111111/config.json": "ab"}}
    )
    study.documents.pop("run/train/net_1/config.json")
    assert lint(study.write(tmp_path / "s")).is_clean
    study = study.document(
        "run/stages/train.json", {"outputs": {"net_1-00000000/config.json": "ab"}}
    )
    assert "R01" in lint(study.write(tmp_path / "t")).rules


def test_riley_counts_the_models_of_one_sample_together():
    fits = {
        "full": lint_objects.fitted(n=120)[0],
        "reduced": lint_objects.fitted(lint_objects.REDUCED, 120)[0],
    }
    report = lint(fit=fits)
    assert report.rules == {"R16"}
    short = report.frame()["finding"].str.extract(r"(\d+) patients .* (\d+) short of the (\d+)")
    n, missing, needed = short.astype(int).iloc[0]
    assert n + missing == needed


def test_the_linter_needs_neither_torch_nor_matplotlib():
    code = (
        "import sys, pandas as pd; from usstats import lint;"
        "lint(predictions=pd.DataFrame({'patient_id': ['a'], 'image_id': ['i'], 'role': ['x']}));"
        "print([n for n in ('torch', 'matplotlib', 'seaborn', 'lifelines') if n in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"
