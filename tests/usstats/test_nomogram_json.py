"""Nomogram files: read back bit for bit, and refused with the path of any edit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.usstats.models import appx_nomogram_fit
from tests.usstats.test_logistic import simulated
from tests.usstats.test_nomogram_cox import followed
from usstats.errors import SchemaError
from usstats.logistic import fit_logistic
from usstats.nomogram import Nomogram, build_nomogram
from usstats.survival import fit_cox


def logistic() -> Nomogram:
    fit = fit_logistic("y ~ rcs(age, 4)*site + log(fsh)*p + left", simulated(300))
    return build_nomogram(fit, hold={"p": (0.25, 0.5)}, ranges={"age": (0, 20)}, max_points=10)


def lasso() -> Nomogram:
    formula = "y ~ age + log(fsh) + site"
    return build_nomogram(fit_logistic(formula, simulated(300), method="lasso", penalty=0.02))


def cox() -> Nomogram:
    fit = fit_cox("Surv(months, dead) ~ rcs(age, 3) + sex", followed())
    return build_nomogram(
        fit, times=(12, 30), scales=("survival", "risk", "median"), time_unit="months"
    )


@pytest.mark.parametrize(
    ("make", "data"), [(logistic, simulated), (lasso, simulated), (cox, followed)]
)
def test_a_file_gives_the_same_nomogram(
    make: Callable[[], Nomogram], data: Callable[[], pd.DataFrame], tmp_path: Path
) -> None:
    nomogram, path = make(), tmp_path / "nomogram.json"
    nomogram.to_json(path)
    again = Nomogram.from_json(path)
    pd.testing.assert_frame_equal(again.frame(), nomogram.frame(), check_exact=True)
    pd.testing.assert_frame_equal(again.minor_frame(), nomogram.minor_frame(), check_exact=True)
    pd.testing.assert_frame_equal(again.read(data()), nomogram.read(data()), check_exact=True)
    assert repr(again) == repr(nomogram)
    again.to_json(path.with_name("again.json"))
    assert path.with_name("again.json").read_bytes() == path.read_bytes()


def test_the_file_holds_the_axes_and_no_patient(tmp_path: Path) -> None:
    path = tmp_path / "nomogram.json"
    nomogram = build_nomogram(appx_nomogram_fit())
    nomogram.to_json(path)
    content = json.loads(path.read_text("utf-8"))
    assert content["axes"][0]["points"] == nomogram.axes[0].points.tolist()
    assert path.stat().st_size < 20_000


def test_a_nomogram_read_back_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "nomogram.json"
    cox().to_json(path)
    ax = Nomogram.from_json(path).plot(patient={"age": 60.0, "sex": "m"}, cutoff=0.4)
    assert "Median time to dead (months)" in {text.get_text() for text in ax.texts}


def edited(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(content: dict[str, Any]) -> None:
        node: Any = content
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value

    return edit


EDITS = [
    (edited("schema_name", value="usstats.logistic"), r"\$\.schema_name: expected"),
    (edited("schema_version", value=3), r"\$\.schema_version: version 3 is newer"),
    (edited("schema_version", value=1), r"\$\.schema_version: Input should be 2"),
    (edited("axes", 0, "points", 1, value=99.0), r"\$\.axes\[0\]\.points\[1\]: does not follow"),
    (edited("axes", 0, "points", value=[]), r"\$\.axes\[0\]\.points: does not follow"),
    (edited("axes", 0, "values", 1, value=99.0), r"\$\.axes"),
    (edited("axes", 4, "values", 1, value=0.03), r"\$\.axes\[4\]\.values\[1\]: does not follow"),
    (edited("hold", "p", value=[0.5, 0.1]), r"\$\.axes: cannot be drawn up \(`hold` of `p`"),
    (edited("axes", 0, "variable", value="weight"), r"\$\.axes"),
    (edited("axes", 0, "name", value="weight"), r"\$\.axes\[0\]\.name: does not follow"),
    (edited("points_per_lp", value=1.0), r"\$\.points_per_lp: does not follow"),
    (edited("total_ticks", 1, value=11.0), r"\$\.total_ticks\[1\]: does not follow"),
    (edited("params", "age", value=9.0), r"\$\.\w+.*: does not follow"),
    (edited("params", "weight", value=9.0), r"\$\.params: the order must be"),
    (edited("params", "age", value="9"), r"\$\.params\.age: Input should be a valid number"),
    (edited("covariance", 0, 0, value=-1.0), r"\$\.covariance: is not a covariance"),
    (edited("covariance", 0, 0, value=1e6), r"\$\.sha256: .* it was edited"),
    (edited("outcomes", 0, "points", 0, value=1.0), r"\$\.outcomes\[0\]\.points\[0\]: does not"),
    (edited("outcomes", 0, "kind", value="odds"), r"\$\.outcomes\[0\]\.kind: Input should be"),
    (edited("spec", "terms", 0, "type", value="eval"), r"\$\.spec\.terms\[0\]\.type"),
    (edited("n", value=10**6), r"\$\.sha256: .* it was edited"),
    (edited("more", value=1), r"\$\.more: Extra inputs"),
]
COX_EDITS = [
    (edited("baseline", value=None), r"\$\.(baseline|params): "),
    (edited("baseline", "hazard", value=[0.1]), r"\$\.baseline: .* must have"),
    (edited("baseline", "hazard", 0, value=-0.1), r"\$\.baseline: .* hazards be positive"),
    (edited("baseline", "centre", 0, value=[]), r"\$\.baseline: .* must have"),
    (edited("horizon", value=11.55), r"\$\.horizon: is none of the times"),
    (edited("horizon", value=None), r"\$\.horizon: is none of the times"),
    (edited("outcomes", 0, "time", value=11.55), r"\$\.outcomes\[0\]\.time: is none"),
    (edited("outcomes", 0, "time", value=None), r"\$\.outcomes\[0\]\.time: does not suit"),
    (edited("outcomes", 0, "ticks", 0, value=2.0), r"\$\.outcomes\[0\]\.ticks: lie outside"),
    (edited("baseline", "hazard", 30, value=0.2), r"\$\.(outcomes|sha256|baseline)"),
]


def refused(nomogram: Nomogram, path: Path, edit: Callable[[dict[str, Any]], None]) -> str:
    nomogram.to_json(path)
    content = json.loads(path.read_text("utf-8"))
    edit(content)
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(SchemaError) as error:
        Nomogram.from_json(path)
    return str(error.value)


@pytest.mark.parametrize(("edit", "text"), EDITS)
def test_an_edited_file_is_refused_with_the_path(
    edit: Callable[[dict[str, Any]], None], text: str, tmp_path: Path
) -> None:
    message = refused(logistic(), tmp_path / "nomogram.json", edit)
    assert message.startswith("nomogram.json: $")
    assert re.search(text, message), message


@pytest.mark.parametrize(("edit", "text"), COX_EDITS)
def test_an_edited_survival_file_is_refused_with_the_path(
    edit: Callable[[dict[str, Any]], None], text: str, tmp_path: Path
) -> None:
    message = refused(cox(), tmp_path / "nomogram.json", edit)
    assert re.search(text, message), message


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema_name": 1, "schema_name": 2}', "\x80"])
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "nomogram.json"
    path.write_text(content, "latin-1")
    with pytest.raises(SchemaError, match=r"nomogram\.json: \$"):
        Nomogram.from_json(path)


def test_spaces_and_the_last_digit_of_another_machine_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "nomogram.json"
    logistic().to_json(path)
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(content, indent=None), "utf-8")
    np.testing.assert_array_equal(Nomogram.from_json(path).total_ticks, logistic().total_ticks)
