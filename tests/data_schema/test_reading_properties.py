"""Any bytes are answered with problems; a fine table comes back as it was written."""

from __future__ import annotations

import string

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_schema import assert_valid, load_schema, problems_frame, read_table
from data_schema.cells import NUMBER

SCHEMA = load_schema("patients", columns={"grade": {"levels": ["low", "high"]}})
QUIET = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@QUIET
@given(
    st.one_of(
        st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace"))
    )
)
def test_any_bytes_are_answered_with_problems(tmp_path, content):
    path = tmp_path / "patients.csv"
    path.write_bytes(content)
    frame, problems = read_table(path, SCHEMA)
    assert any(problem.severity == "error" for problem in problems)
    assert isinstance(frame, pd.DataFrame)
    assert len(problems_frame(problems)) == len(problems)


@QUIET
@given(st.lists(st.lists(cells, min_size=5, max_size=5), min_size=1, max_size=6))
def test_any_cells_are_answered_and_rows_point_into_the_file(tmp_path, rows):
    path = tmp_path / "patients.csv"
    names = ["patient_id", "cohort", "grade", "fsh", "other"]
    pd.DataFrame(rows, columns=names).to_csv(path, index=False)
    _, problems = read_table(path, SCHEMA)
    content = path.read_bytes()
    last = content.count(b"\n") + content.count(b"\r") + 1
    for problem in problems:
        assert problem.n == len(problem.rows)
        assert all(1 <= row <= last for row in problem.rows)


ids = st.text(string.ascii_uppercase + string.digits, min_size=3, max_size=8).filter(
    lambda text: not NUMBER.fullmatch(text)
)


@QUIET
@given(
    st.dictionaries(
        ids, st.tuples(st.floats(0.2, 90), st.sampled_from(["low", "high", ""])), min_size=1
    )
)
def test_a_fine_table_comes_back_as_it_was(tmp_path, patients):
    path = tmp_path / "patients.csv"
    rows = [(name, "development", fsh, grade) for name, (fsh, grade) in patients.items()]
    pd.DataFrame(rows, columns=["patient_id", "cohort", "fsh", "grade"]).to_csv(path, index=False)
    frame, problems = read_table(path, SCHEMA)
    assert_valid(problems)
    assert frame["patient_id"].tolist() == list(patients)
    assert frame["fsh"].tolist() == [fsh for fsh, _ in patients.values()]
    assert frame["grade"].astype(object).fillna("").tolist() == [g for _, g in patients.values()]
