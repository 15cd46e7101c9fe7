"""The formula grammar, terms, and designs that remember what they learned."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from usstats.design import DesignSpec, learn_design, parse_formula, read_model
from usstats.errors import DesignError, MissingDataError
from usstats.terms import Term, as_terms


def data() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    n = 60
    return pd.DataFrame(
        {
            "patient_id": [f"P{i:03d}" for i in range(n)],
            "age": rng.uniform(1, 16, n),
            "fsh": rng.uniform(0.1, 20, n),
            "p": rng.uniform(0.01, 0.99, n),
            "sex": rng.choice(["male", "female"], n),
            "race": rng.choice([3, 1, 2], n),
            "grade": pd.Categorical(
                rng.choice(["low", "mid", "high"], n), ["low", "mid", "high", "x"]
            ),
            "left": rng.random(n) < 0.5,
            "score": pd.array(rng.integers(0, 5, n), dtype="Int64"),
        }
    )


def spec_of(formula: str, table: pd.DataFrame | None = None) -> DesignSpec:
    outcome, terms = read_model(formula, None, None)
    return learn_design(outcome, terms, data() if table is None else table)


@pytest.mark.parametrize(
    ("formula", "labels"),
    [
        ("y~a", ["a"]),
        (" y ~ a.b + _c1 + 年龄 ", ["a.b", "_c1", "年龄"]),
        ("y ~ b*a + c", ["b", "a", "c", "b * a"]),
        ("y ~ a + b + a:b + b:a", ["a", "b", "a * b"]),
        ("y ~ a + a + a", ["a"]),
        ("y ~ rcs(a, 4)*C(b) + log( c )", ["a", "b", "log(c)", "a * b"]),
    ],
)
def test_formulas_become_terms_main_effects_first(formula: str, labels: list[str]) -> None:
    assert [term.label for term in parse_formula(formula)[1]] == labels


def test_knots_are_read_as_numbers() -> None:
    _, (counted, explicit) = parse_formula("y ~ rcs(a, 5) + rcs(b, knots=[-1.5, 2e0, .5e1])")
    assert (counted.n_knots, counted.knots) == (5, None)
    assert explicit.knots == (-1.5, 2.0, 5.0)


@pytest.mark.parametrize(
    "formula",
    [
        'y ~ __import__("os").system("id")',
        "y ~ __import__(os)",
        "y ~ `a`",
        'y ~ Q("a b")',
        "y ~ lambda x: x",
        "y ~ eval(a)",
        "y ~ exp(a)",
        "y ~ I(a**2)",
        "y ~ a ^ b",
        "y ~ a - 1",
        "y ~ 0 + a",
        "y ~ (a + b)",
        "y ~ a; b",
        "y ~ a\n~ b",
        "y ~ a +",
        "~ a",
        "y ~",
        "y",
        "",
        "log(y) ~ a",
        "y ~ log(log(a))",
        "y ~ rcs(a)",
        "y ~ rcs(a, 2)",
        "y ~ rcs(a, 8)",
        "y ~ rcs(a, 3.5)",
        "y ~ rcs(a, knots=[1, 2])",
        "y ~ rcs(a, knots=[])",
        "y ~ a*b*c",
        "y ~ a:b:c + a + b + c",
        "y ~ a:b",
        "y ~ a:a + a",
        "y ~ a + log(a)",
        "y ~ a + b + log(a):b",
        "y ~ " + "a + " * 3000 + "a",
    ],
)
def test_what_is_not_in_the_grammar_is_refused(formula: str) -> None:
    with pytest.raises(DesignError):
        parse_formula(formula)


def test_a_refusal_shows_where_and_what_is_possible() -> None:
    with pytest.raises(
        DesignError, match=r"at character 9: 'exp\(b\)' calls exp\(\).*rcs\(x, 3 to 7\)"
    ):
        parse_formula("y ~ a + exp(b)")


def test_columns_are_named_as_in_rms_and_hold_what_they_say() -> None:
    table = data()
    spec = spec_of("y ~ rcs(age, 4)*sex + log(fsh) + logit(p) + C(race) + grade + left + score")
    assert spec.column_names == (
        "Intercept",
        "age",
        "age'",
        "age''",
        "sex=male",
        "log(fsh)",
        "logit(p)",
        "race=2",
        "race=3",
        "grade=mid",
        "grade=high",
        "left=True",
        "score",
        "age * sex=male",
        "age' * sex=male",
        "age'' * sex=male",
    )
    X = pd.DataFrame(spec.matrix(table), columns=spec.column_names)
    male = (table["sex"] == "male").astype(float)
    np.testing.assert_allclose(X["sex=male"], male)
    np.testing.assert_allclose(X["age'' * sex=male"], X["age''"] * male)
    np.testing.assert_allclose(X["log(fsh)"], np.log(table["fsh"]))
    np.testing.assert_allclose(X["logit(p)"], np.log(table["p"] / (1 - table["p"])))
    np.testing.assert_allclose(X["race=3"], table["race"] == 3)
    np.testing.assert_allclose(X["score"], table["score"].to_numpy(dtype=float))


def test_products_of_two_splines_run_over_the_first_fastest() -> None:
    spec = spec_of("y ~ rcs(age, 3)*rcs(fsh, 3)")
    assert spec.column_names[5:] == ("age * fsh", "age' * fsh", "age * fsh'", "age' * fsh'")
    X = pd.DataFrame(spec.matrix(data()), columns=spec.column_names)
    np.testing.assert_allclose(X["age' * fsh"], X["age'"] * X["fsh"])


def test_new_rows_meet_the_knots_and_levels_of_development() -> None:
    table = data()
    spec = spec_of("y ~ rcs(age, 4) + sex + C(race)", table)
    one = table.iloc[[7]]
    np.testing.assert_array_equal(spec.matrix(one)[0], spec.matrix(table)[7])
    shuffled = table.sample(frac=1, random_state=1)
    assert spec.matrix(shuffled)[:, 1:3].shape == (60, 2)
    assert DesignSpec.from_dict(spec.to_dict()) == spec


def test_numbers_in_any_dtype_are_the_same_level() -> None:
    spec = spec_of("y ~ C(race)")
    for dtype in ("int64", "float64", "str", "Int64", "category"):
        recoded = data().assign(race=lambda d, t=dtype: d["race"].astype(t))
        np.testing.assert_array_equal(spec.matrix(recoded), spec.matrix(data()))


def test_ranges_hold_quartiles_and_level_counts() -> None:
    table, spec = data(), spec_of("y ~ age + sex + left + score")
    age, sex = spec.ranges["age"], spec.ranges["sex"]
    assert age.median == pytest.approx(table["age"].median())
    assert (age.lower_quartile, age.upper_quartile) == pytest.approx(
        tuple(table["age"].quantile([0.25, 0.75]))
    )
    assert sum(sex.counts) == 60
    assert sex.mode == table["sex"].mode()[0]
    assert spec.ranges["score"].values == (0, 1, 2, 3, 4)
    assert age.values == ()


def test_unseen_levels_are_refused_with_row_patient_and_level() -> None:
    spec = spec_of("y ~ sex + age")
    new = data().assign(sex=lambda d: d["sex"].mask(d.index == 4, "other"))
    with pytest.raises(
        DesignError, match=r"`sex` .* \['other'\] in 1 of 60 rows \(first: row 4; patient P004\)"
    ):
        spec.matrix(new)


@pytest.mark.parametrize(
    ("formula", "column", "value", "text"),
    [
        ("y ~ log(fsh)", "fsh", 0.0, r"log\(fsh\) needs positive values; .*row 4; patient P004"),
        ("y ~ log(fsh)", "fsh", -1.0, "positive values"),
        ("y ~ logit(p)", "p", 0.0, "strictly between 0 and 1"),
        ("y ~ logit(p)", "p", 1.0, "strictly between 0 and 1"),
        ("y ~ logit(p)", "p", 87.0, "strictly between 0 and 1"),
        ("y ~ age", "age", np.inf, "`age` is infinite in 1 of 60 rows"),
    ],
)
def test_values_outside_a_terms_domain_name_the_patient(
    formula: str, column: str, value: float, text: str
) -> None:
    bad = data()
    bad.loc[4, column] = value
    with pytest.raises(DesignError, match=text):
        spec_of(formula, bad)
    with pytest.raises(DesignError, match=text):
        spec_of(formula).matrix(bad)


def test_missing_values_are_counted_per_column() -> None:
    holes = data()
    holes.loc[[1, 2], "age"] = np.nan
    holes.loc[2, "sex"] = None
    with pytest.raises(MissingDataError, match=r"`age` 2, `sex` 1; 2 of 60 rows"):
        spec_of("y ~ age + sex").matrix(holes)


@pytest.mark.parametrize(
    ("change", "formula", "text"),
    [
        ({"age": "12,5"}, "y ~ rcs(age, 3)", "must be numeric"),
        ({"age": [f"{i},5" for i in range(60)]}, "y ~ age", "text with 60 different values"),
        ({"sex": "male"}, "y ~ sex", "one level only"),
        ({}, "y ~ patient_id", "identifier"),
        ({"age": [[1]] * 60}, "y ~ log(age)", "mixes numbers, text"),
        ({"age": ["1", 2] * 30}, "y ~ age", "mixes numbers, text"),
    ],
)
def test_columns_that_do_not_fit_their_term(
    change: dict[str, object], formula: str, text: str
) -> None:
    with pytest.raises(DesignError, match=text):
        spec_of(formula, data().assign(**change))


def test_tables_without_rows_or_with_doubled_columns_are_refused() -> None:
    with pytest.raises(DesignError, match="no rows"):
        spec_of("y ~ age", data().head(0))
    doubled = pd.concat([data(), data()[["age"]]], axis=1)
    with pytest.raises(DesignError, match="2 columns named `age`"):
        spec_of("y ~ age", doubled)


def test_rows_outside_development_are_flagged() -> None:
    spec = spec_of("y ~ age + sex + fsh")
    new = data().head(2).assign(age=[99.0, 5.0])
    outside = spec.outside_range(new)
    assert list(outside.columns) == ["age", "fsh"]
    assert outside["age"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ("age", "must be a list"),
        ([], "must be a list"),
        ([{"type": "linear"}], "with `name` and `type`"),
        ([{"name": "a", "typ": "log"}], r"Unknown keys in the term `a`: \['typ'\]"),
        ([{"name": "a", "type": "exp"}], "type is one of"),
        ([{"name": "a", "type": "rcs"}], "needs `knots`"),
        ([{"name": "a", "type": "rcs", "knots": "5"}], "a list of numbers|increasing"),
        ([{"name": "a", "type": "log", "knots": 3}], "only an rcs term has knots"),
        ([{"name": "a"}, {"name": "a:b", "type": "interaction"}], "must join two of the listed"),
    ],
)
def test_terms_that_cannot_be_read(terms: object, text: str) -> None:
    with pytest.raises(DesignError, match=text):
        as_terms(terms)  # type: ignore[arg-type]


def test_terms_spell_interactions_by_their_columns() -> None:
    mains = [{"name": "age (y)"}, {"name": "side: left"}]
    for name in ("age (y):side: left", "age (y) * side: left", ["age (y)", "side: left"]):
        terms = as_terms([*mains, {"name": name, "type": "interaction"}])
        assert terms[-1].parts == ("age (y)", "side: left")


def test_a_call_gives_a_formula_or_terms() -> None:
    with pytest.raises(DesignError, match="either a formula"):
        read_model(None, "y", None)
    with pytest.raises(DesignError, match="either a formula"):
        read_model("y ~ a", "y", [Term(name="a")])
