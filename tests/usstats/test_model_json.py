"""Model files: a round trip loses nothing, and an edited file is refused with the path."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.usstats.test_logistic import simulated
from usstats.errors import SchemaError
from usstats.logistic import LogisticFit, fit_logistic

FORMULA = "y ~ rcs(age, 4)*site + log(fsh) + logit(p) + left"


@pytest.fixture
def written(tmp_path: Path) -> tuple[LogisticFit, Path]:
    data = simulated().assign(patient_id=[f"CANARY{i}" for i in range(300)])
    fit = fit_logistic(FORMULA, data, cluster="patient_id")
    path = tmp_path / "model.json"
    fit.to_json(path)
    return fit, path


def test_round_trip_gives_the_same_model(written: tuple[LogisticFit, Path]) -> None:
    fit, path = written
    again = LogisticFit.from_json(path)
    data = simulated()
    np.testing.assert_array_equal(again.predict(data), fit.predict(data))
    pd.testing.assert_frame_equal(again.frame(), fit.frame(), check_exact=True)
    pd.testing.assert_frame_equal(again.anova(), fit.anova())
    pd.testing.assert_frame_equal(again.odds_ratios(per="iqr"), fit.odds_ratios(per="iqr"))
    pd.testing.assert_series_equal(again.indices(), fit.indices())
    assert repr(again) == repr(fit)
    again.to_json(path.with_name("again.json"))
    assert path.with_name("again.json").read_text() == path.read_text()


def test_no_patient_reaches_the_file(written: tuple[LogisticFit, Path]) -> None:
    text = written[1].read_text("utf-8")
    assert "CANARY" not in text
    assert len(text) < 20_000


def _set(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(content: dict[str, Any]) -> None:
        node = content
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value

    return edit


def _reorder(content: dict[str, Any]) -> None:
    content["params"] = dict(reversed(content["params"].items()))


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (_set("params", "age", value=float("nan")), "$.params.age"),
        (_set("params", "age", value=1.0), "$.sha256: the content does not match"),
        (_set("params", "age", value="1.0"), "$.params.age"),
        (lambda c: c["params"].pop("Intercept"), "$.params: `Intercept` is missing"),
        (_reorder, "$.params: the order"),
        (lambda c: c["spec"]["terms"].reverse(), "$.params: the order"),
        (_set("schema_version", value=2), "$.schema_version: version 2 is newer"),
        (_set("schema_name", value="other"), "$.schema_name"),
        (_set("covariance", 0, 0, value=float("inf")), "$.covariance[0][0]"),
        (_set("covariance", 1, 0, value=5.0), "$.covariance: is not a covariance"),
        (lambda c: c["covariance"].pop(), "$.covariance: must be"),
        (_set("spec", "terms", 0, "knots", value=[3.0, 2.0, 1.0]), "$.spec.terms"),
        (_set("spec", "terms", 0, "type", value="eval"), "$.spec.terms[0].type"),
        (lambda c: c["spec"]["ranges"].pop("age"), "$.spec.ranges"),
        (_set("extra", value=1), "$.extra"),
        (lambda c: c.pop("means"), "$.means"),
        (_set("n", value=-1), "$.n"),
    ],
)
def test_edited_files_are_refused_with_the_path(
    written: tuple[LogisticFit, Path], edit: Callable[[dict[str, Any]], object], where: str
) -> None:
    path = written[1]
    content = json.loads(path.read_text("utf-8"))
    edit(content)
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(SchemaError, match=re.escape(where)):
        LogisticFit.from_json(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"schema_name": "a", "schema_name": "b"}', "[" * 100_000]
)
def test_what_is_no_model_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(text)
    with pytest.raises(SchemaError, match=r"model.json: \$"):
        LogisticFit.from_json(path)


def test_a_failed_write_leaves_the_old_file(written: tuple[LogisticFit, Path]) -> None:
    _fit, path = written
    before = path.read_text("utf-8")
    broken = simulated().assign(age=lambda d: d["age"])
    other = fit_logistic("y ~ age", broken)
    object.__setattr__(other, "log_likelihood", float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        other.to_json(path)
    assert path.read_text("utf-8") == before
    assert [p.name for p in path.parent.iterdir()] == ["model.json"]
