"""The faults a clinical table comes with: each is named with its rows, none is coerced."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_schema import load_schema, read_table, read_tables
from data_schema.checks import pandera_schema

HEADER = "patient_id,cohort,fsh"
PATIENTS = load_schema("patients")


def read(tmp_path: Path, text: str | bytes, schema=PATIENTS, **options):
    path = tmp_path / "patients.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path, schema, **options)


def codes(problems, severity: str | None = None) -> list[str]:
    return [p.code for p in problems if severity in (None, p.severity)]


def only(problems, code: str):
    found = [p for p in problems if p.code == code]
    assert len(found) == 1, problems
    return found[0]


def table(*rows: str, header: str = HEADER) -> str:
    return "\n".join([header, *rows]) + "\n"


GOOD = table("P1,development,4.1", "P2,development,12.0")


def test_a_good_table(tmp_path):
    frame, problems = read(tmp_path, GOOD)
    assert problems == []
    assert frame["patient_id"].tolist() == ["P1", "P2"]
    assert frame["fsh"].tolist() == [4.1, 12.0]
    assert frame.index.tolist() == [0, 1]


@pytest.mark.parametrize("content", ["", "\n", "\ufeff", "  \r\n\r\n", HEADER + "\n", HEADER])
def test_b1_no_rows(tmp_path, content):
    frame, problems = read(tmp_path, content)
    assert codes(problems) == ["no_data_rows"]
    assert frame.empty
    assert set(HEADER.split(",")) <= set(frame.columns)


def test_b1_one_row_is_enough(tmp_path):
    assert read(tmp_path, table("P1,development,4.1"))[1] == []


def test_b2_byte_order_mark_is_fine(tmp_path):
    frame, problems = read(tmp_path, GOOD.encode("utf-8-sig"))
    assert problems == []
    assert frame.columns[0] == "patient_id"


@pytest.mark.parametrize(
    ("encoding", "cell", "guess"),
    [
        ("utf-16", "a", "utf-16"),
        ("utf-16-le", "a", "utf-16-le"),
        ("utf-16-be", "a", "utf-16-be"),
        ("gbk", "北京协和医院", "gbk"),
        ("cp1252", "Zürich", "cp1252"),
    ],
)
def test_b2_other_encodings_are_named_and_can_be_declared(tmp_path, encoding, cell, guess):
    header = f"{HEADER},centre"
    content = table("P1,development,4.1,A", f"P2,development,5.0,{cell}", header=header)
    frame, problems = read(tmp_path, content.encode(encoding))
    assert codes(problems) == ["encoding"]
    assert f"`encoding: {guess}`" in problems[0].remedy
    assert frame.empty
    if not encoding.startswith("utf-16"):
        assert problems[0].rows == (3,)
    frame, problems = read(tmp_path, content.encode(encoding), encoding=guess)
    assert problems == []
    assert frame["centre"].tolist() == ["A", cell]


def test_b2_an_unknown_encoding_is_a_problem(tmp_path):
    assert codes(read(tmp_path, GOOD, encoding="klingon")[1]) == ["encoding"]


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolon"), ("\t", "tab"), ("|", "bar")])
def test_b3_another_separator(tmp_path, mark, name):
    content = GOOD.replace(",", mark)
    problem = only(read(tmp_path, content)[1], "separator")
    assert name in problem.found
    assert repr(mark) in problem.remedy
    assert read(tmp_path, content, separator=mark)[1] == []


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ('"12,5"', "decimal_comma"),
        ('"1,200"', "decimal_comma"),
        ('"1,200.5"', "decimal_comma"),
        ("１２", "unicode_digits"),
        ("\u22123", "unicode_digits"),
        ("<0.1", "censored_value"),
        (">200", "censored_value"),
        ("≤ 5", "censored_value"),
        ("n.d.", "undeclared_missing"),
        ("NA", "undeclared_missing"),
        ("None", "undeclared_missing"),
        ("null", "undeclared_missing"),
        ("-", "undeclared_missing"),
        ("Not available", "undeclared_missing"),
        ("12 ml", "unit_in_cell"),
        ("12mIU/mL", "unit_in_cell"),
        ("87%", "unit_in_cell"),
        ("abc", "not_a_number"),
        ("2024-01-05", "not_a_number"),
        ("1.2.3", "not_a_number"),
        ("0x1F", "not_a_number"),
        ("1_000", "not_a_number"),
        ("inf", "not_finite"),
        ("-Infinity", "not_finite"),
        ("1e999", "not_finite"),
        ("1e308", "not_finite"),
        ("1e-310", "not_finite"),
        ("nan", "undeclared_missing"),
        ("-4", "out_of_range"),
        ("3000", "out_of_range"),
    ],
)
def test_b4_b5_b6_cells_that_are_no_number(tmp_path, cell, code):
    frame, problems = read(tmp_path, table("P1,development,4.1", f"P2,development,{cell}"))
    problem = only(problems, code)
    assert codes(problems, "error") == [code]
    assert (problem.column, problem.rows, problem.n) == ("fsh", (3,), 1)
    assert frame["fsh"].iloc[0] == 4.1


@pytest.mark.parametrize("cell", ["4.1", " 4.1 ", "+4.1", "41e-1", "4.10", ".5", "5.", "1E1"])
def test_numbers_in_their_usual_spellings(tmp_path, cell):
    frame, problems = read(tmp_path, table(f"P1,development,{cell}"))
    assert problems == []
    assert frame["fsh"].iloc[0] == float(cell)


def test_b4_a_declared_decimal_comma(tmp_path):
    content = "patient_id;cohort;fsh\nP1;development;12,5\nP2;development;1.200\n"
    frame, problems = read(tmp_path, content, separator=";", decimal=",")
    assert frame["fsh"].iloc[0] == 12.5
    assert only(problems, "decimal_comma").rows == (3,)


def test_b6_only_declared_codes_are_missing(tmp_path):
    schema = load_schema("patients", columns={"fsh": {"missing": ["NA", "999"]}})
    content = table("P1,NA,NA", "P2,development,999", "P3,None,", "P4,development,  ")
    frame, problems = read(tmp_path, content, schema)
    assert problems == []
    assert frame["cohort"].tolist() == ["NA", "development", "None", "development"]
    assert frame["fsh"].isna().all()


def test_b7_identifiers_stay_text(tmp_path):
    long = "12345678901234567890"
    content = table("00123,development,1", "123,development,1", f"{long},development,1")
    frame, problems = read(tmp_path, content)
    assert frame["patient_id"].tolist() == ["00123", "123", long]
    assert problems == []


@pytest.mark.parametrize("cell", ["17.0", "123.00", "1.7E+15", "1e20"])
def test_b7_identifiers_that_went_through_a_spreadsheet(tmp_path, cell):
    problem = only(read(tmp_path, table(f"{cell},development,1"))[1], "identifier_number_format")
    assert problem.rows == (2,)
    assert cell not in str(problem)


def test_b8_identifiers_that_almost_match(tmp_path):
    content = table("P01,development,1", "p01,development,1", "Ｐ０２,development,1", "P02,x,1")
    problem = only(read(tmp_path, content)[1], "near_match")
    assert problem.rows == (2, 3, 4, 5)
    spaced = only(read(tmp_path, table("P01 ,development,1"))[1], "identifier_space")
    assert spaced.rows == (2,)


def test_b9_duplicates(tmp_path):
    content = table("P1,development,1", "P2,development,1", "P1,development,2")
    problem = only(read(tmp_path, content)[1], "duplicate")
    assert problem.rows == (2, 4)
    assert problem.severity == "error"


def test_b9_empty_keys(tmp_path):
    problems = read(tmp_path, table(",development,1", ",development,2"))[1]
    assert only(problems, "empty_cell").rows == (2, 3)
    assert "duplicate" not in codes(problems)


def test_b10_column_names(tmp_path):
    header = "patient_id,cohort,fsh,fsh,, lh "
    problems = read(tmp_path, table("P1,development,1,2,3,4", header=header))[1]
    assert only(problems, "duplicate_column").column == "fsh"
    assert "column number 5" in only(problems, "blank_column").found
    assert only(problems, "column_name_space").severity == "warning"


def test_b11_ragged_rows(tmp_path):
    content = table("P1,development,1", "P2,development", "P3,development,1,9", "P4,development,1")
    frame, problems = read(tmp_path, content)
    problem = only(problems, "ragged_row")
    assert problem.rows == (3, 4)
    assert problem.found == "rows of 2 to 4 cells"
    assert len(frame) == 4


def test_line_numbers_survive_blank_and_quoted_lines(tmp_path):
    header = f"{HEADER},centre"
    content = table(
        'P1,development,1,"two\nlines"', "", ",,,", "P2,development,bad,B", header=header
    )
    frame, problems = read(tmp_path, content)
    assert only(problems, "not_a_number").rows == (6,)
    assert only(problems, "blank_row").rows == (5,)
    assert frame["centre"].tolist() == ["two\nlines", "B"]


def test_open_quotes_are_a_problem(tmp_path):
    assert codes(read(tmp_path, table('P1,"development,1'))[1]) == ["quoting"]


@pytest.mark.parametrize("head", [b"PK\x03\x04rest", b"\xd0\xcf\x11\xe0rest"])
def test_b12_b13_spreadsheets_and_archives(tmp_path, head):
    assert codes(read(tmp_path, head)[1]) == ["not_text"]


def test_b14_limits(tmp_path, monkeypatch):
    monkeypatch.setattr("data_schema.reading.MAX_BYTES", 10)
    assert codes(read(tmp_path, GOOD)[1]) == ["too_large"]
    monkeypatch.undo()
    monkeypatch.setattr("data_schema.reading.MAX_COLUMNS", 2)
    assert codes(read(tmp_path, GOOD)[1]) == ["too_large"]
    monkeypatch.undo()
    assert codes(read(tmp_path, table(f"P1,{'x' * 200_000},1"))[1]) == ["quoting"]


def test_b16_absent_and_undeclared_columns(tmp_path):
    problems = read(tmp_path, table("P1,1,x", header="Patient_ID,crp,note"))[1]
    absent = {p.column: p for p in problems if p.code == "absent_column"}
    assert set(absent) == {"patient_id", "cohort"}
    assert absent["patient_id"].remedy == "rename it"
    undeclared = {p.column: p for p in problems if p.code == "undeclared_column"}
    assert {p.severity for p in undeclared.values()} == {"warning"}
    assert undeclared["crp"].found.endswith("numbers")
    assert undeclared["note"].found.endswith("text")


def test_undeclared_columns_with_leading_zeros_stay_text(tmp_path):
    frame, _ = read(tmp_path, table("P1,development,1,007", header=f"{HEADER},code"))
    assert frame["code"].tolist() == ["007"]


@pytest.mark.parametrize("cell", ["1", "noa", "NOA ", "yes", "True", "2"])
def test_b17_outcome_labels_must_be_declared(tmp_path, cell):
    schema = PATIENTS.with_outcome("outcome", positive="NOA", negative="OA")
    content = table("P1,development,1,NOA", f"P2,development,1,{cell}", header=f"{HEADER},outcome")
    problem = only(read(tmp_path, content, schema)[1], "unknown_level")
    assert problem.rows == (3,)
    assert problem.expected == "one of OA, NOA"
    if cell.strip().upper() == "NOA":
        assert problem.remedy.startswith("write NOA exactly so")


def test_levels_become_categories_in_declared_order(tmp_path):
    schema = PATIENTS.with_outcome("outcome", positive="NOA", negative="OA")
    content = table("P1,development,1,NOA", "P2,development,1,", header=f"{HEADER},outcome")
    frame, problems = read(tmp_path, content, schema)
    assert problems == []
    assert frame["outcome"].cat.categories.tolist() == ["OA", "NOA"]
    assert frame["outcome"].isna().tolist() == [False, True]


def test_b19_a_unit_mixed_up_in_one_centre(tmp_path):
    rng = np.random.default_rng(1)
    fsh = rng.lognormal(2, 0.4, 60).round(2)
    fsh[40:] /= 10
    rows = [f"P{i},development,{x:.3f},{'ABC'[i // 20]}" for i, x in enumerate(fsh)]
    problem = only(read(tmp_path, table(*rows, header=f"{HEADER},centre"))[1], "unit_mixture")
    assert problem.severity == "warning"
    assert problem.rows == tuple(range(42, 62))
    assert problem.column == "fsh"


def test_b19_two_centres_blame_the_smaller(tmp_path):
    rng = np.random.default_rng(1)
    fsh = rng.lognormal(2, 0.4, 60).round(2)
    fsh[40:] *= 12
    rows = [f"P{i},development,{min(x, 299):.3f},{'AB'[i >= 40]}" for i, x in enumerate(fsh)]
    problem = only(read(tmp_path, table(*rows, header=f"{HEADER},centre"))[1], "unit_mixture")
    assert problem.n == 20


def test_b19_centres_that_agree_are_silent(tmp_path):
    rng = np.random.default_rng(1)
    rows = [
        f"P{i},development,{x:.2f},{'ABC'[i % 3]}" for i, x in enumerate(rng.lognormal(2, 0.8, 90))
    ]
    assert read(tmp_path, table(*rows, header=f"{HEADER},centre"))[1] == []


@pytest.mark.parametrize(
    ("column", "cell", "severity"),
    [
        ("age", "250", "error"),
        ("age", "-1", "error"),
        ("testicular_volume", "-3", "error"),
        ("testicular_volume", "12000", "error"),
        ("bmi", "55", "warning"),
        ("psv", "0.12", "warning"),
        ("edv", "0.04", "warning"),
        ("testicular_volume", "45", "warning"),
    ],
)
def test_b20_ranges(tmp_path, column, cell, severity):
    content = table(f"P1,development,{cell}", header=f"patient_id,cohort,{column}")
    problems = read(tmp_path, content)[1]
    assert codes(problems) == ["out_of_range" if severity == "error" else "implausible"]
    assert problems[0].severity == severity


def test_b20_probabilities(tmp_path):
    header = "patient_id,image_id,model,fold,role,class,probability,model_hash"
    good, percent = (f"p,{i},m,0,out_of_fold,NOA,{p},h" for i, p in (("a", 0.87), ("b", 87)))
    problem = only(
        read(tmp_path, table(good, percent, header=header), load_schema("predictions"))[1],
        "out_of_range",
    )
    assert (problem.column, problem.rows) == ("probability", (3,))


@pytest.mark.parametrize("cell", ["2024/13/45", "0001-01-01", "2023-02-29", "5.3.2024", "2024-1-5"])
def test_b21_bad_dates(tmp_path, cell):
    schema = load_schema("patients", columns={"visit": {"type": "date"}})
    content = table(
        f"P1,development,1,{cell}", "P2,development,1,2024-02-29", header=f"{HEADER},visit"
    )
    frame, problems = read(tmp_path, content, schema)
    assert only(problems, "not_a_date").rows == (2,)
    assert cell not in str(problems[0])
    assert frame["visit"].iloc[1] == pd.Timestamp(2024, 2, 29)


def test_b21_future_dates(tmp_path):
    schema = load_schema("patients", columns={"visit": {"type": "date"}})
    content = table("P1,development,1,2924-01-05", header=f"{HEADER},visit")
    assert codes(read(tmp_path, content, schema)[1]) == ["future_date"]


def test_integers_and_booleans(tmp_path):
    schema = load_schema("patients", columns={"n": {"type": "integer"}, "b": {"type": "boolean"}})
    content = table("P1,development,1,3,true", "P2,development,1,2.0,0", header=f"{HEADER},n,b")
    frame, problems = read(tmp_path, content, schema)
    assert problems == []
    assert frame["n"].dtype == np.int64
    assert frame["b"].tolist() == [True, False]
    bad = table("P1,development,1,2.5,yes", header=f"{HEADER},n,b")
    assert codes(read(tmp_path, bad, schema)[1]) == ["not_whole", "unknown_level"]


def test_b67_control_characters_are_warned_of(tmp_path):
    content = table("P1,development,1,a\x07b", header=f"{HEADER},centre")
    assert codes(read(tmp_path, content)[1]) == ["control_character"]


def test_a_file_that_is_not_there(tmp_path):
    frame, problems = read_table(tmp_path / "absent.csv", PATIENTS)
    assert codes(problems) == ["unreadable"]
    assert frame.empty


def test_everything_in_one_pass(tmp_path):
    content = table(
        'P1,development,"12,5",250',
        "p1,development,<0.1,40",
        "P3,,12 ml,41",
        "P4 ,development,NA,abc",
        header=f"{HEADER},age",
    )
    assert set(codes(read(tmp_path, content)[1])) == {
        "identifier_space", "decimal_comma", "censored_value", "unit_in_cell", "near_match",
        "undeclared_missing", "not_a_number", "empty_cell", "out_of_range",
    }  # fmt: skip


CANARY = "CANARY7Z"


@pytest.mark.parametrize(
    "row",
    [
        f"{CANARY} ,development,1",
        f"{CANARY},development,{CANARY}",
        f"{CANARY}1.0,,x",
        f'"{CANARY},development,1',
        f"{CANARY}",
    ],
)
def test_b81_messages_hold_no_identifier(tmp_path, row):
    content = table(row, row, f"{CANARY.lower()},external,NA")
    problems = read(tmp_path, content)[1]
    assert problems
    assert CANARY.casefold() not in str(problems).casefold()


def test_five_thousand_patients_are_read_in_seconds(tmp_path):
    rng = np.random.default_rng(0)
    n = 5000
    frame = pd.DataFrame(
        {
            "patient_id": [f"P{i:05d}" for i in range(n)],
            "cohort": "development",
            "centre": rng.choice(list("ABCDE"), n),
            **{name: rng.uniform(1, 30, n).round(3) for name in ("fsh", "lh", "age", "psv", "edv")},
        }
    ).astype(str)
    frame.loc[::7, "fsh"] = "12,5"
    frame.loc[::11, "lh"] = "999"
    started = time.perf_counter()
    _, problems = read(tmp_path, frame.to_csv(index=False))
    assert time.perf_counter() - started < 5
    assert only(problems, "decimal_comma").n == len(range(0, n, 7))


def study(tmp_path, **files: str):
    paths = {}
    for name, text in files.items():
        paths[name] = tmp_path / f"{name}.csv"
        paths[name].write_text(text)
    return read_tables(paths, {name: load_schema(name) for name in files})


IMAGES = "image_id,patient_id,path"


def test_tables_that_fit(tmp_path):
    images = table("i1,P1,a.png", "i2,P1,b.png", "i3,P2,c.png", header=IMAGES)
    frames, problems = study(tmp_path, patients=GOOD, images=images)
    assert problems == []
    assert len(frames["images"]) == 3


def test_b8_keys_that_almost_match_or_point_nowhere(tmp_path):
    patients = table("0012,development,1", "P2,development,1", "P3,development,1")
    images = table("i1,12,a.png", "i2,p2,b.png", "i3,P9,c.png", "i4,P3,d.png", header=IMAGES)
    problems = study(tmp_path, patients=patients, images=images)[1]
    assert only(problems, "near_match").rows == (2, 3)
    assert only(problems, "orphan").rows == (4,)
    assert only(problems, "patient_without_image").rows == (2, 3)


def test_b45_patients_in_two_cohorts(tmp_path):
    patients = table("P1,development,1", "P1,external,1", "P2,development,1")
    problem = only(read(tmp_path, patients)[1], "patient_across_cohorts")
    assert problem.rows == (2, 3)
    assert "R03" in problem.expected
    images = table("i1,P1,a,external", "i2,P2,b,development", header=f"{IMAGES},cohort")
    problem = only(study(tmp_path, patients=GOOD, images=images)[1], "patient_across_cohorts")
    assert (problem.file, problem.rows) == ("images.csv", (2,))


def test_predictions_that_belong_to_another_patient(tmp_path):
    images = table("i1,P1,a.png", "i2,P2,b.png", header=IMAGES)
    header = "patient_id,image_id,model,fold,role,class,probability,model_hash"
    rows = ("P2,i1,m,0,out_of_fold,NOA,.5,h", "P2,i2,m,0,out_of_fold,NOA,.5,h")
    problems = study(
        tmp_path, patients=GOOD, images=images, predictions=table(*rows, header=header)
    )[1]
    assert only(problems, "other_patient").rows == (2,)


def test_composite_keys(tmp_path):
    header = "reader,case,condition,rating"
    rows = ("r1,P1,unaided,3", "r1,P1,aided,4", "r1,P1,unaided,5", "r2,P1,unaided,1")
    problems = read(tmp_path, table(*rows, header=header), load_schema("readings"))[1]
    assert only(problems, "duplicate").rows == (2, 4)


def test_pandera_schema_checks_a_frame_from_elsewhere():
    import pandera.errors

    schema = pandera_schema(load_schema("splits"))
    schema.validate(pd.DataFrame({"patient_id": ["a"], "fold": [3]}))
    with pytest.raises(pandera.errors.SchemaError):
        schema.validate(pd.DataFrame({"patient_id": ["a"], "fold": [-3]}))
