"""Numbers of the report are read from the run's files, and say which."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from reports.evidence import Evidence
from usstats.errors import SchemaError


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    (tmp_path / "validate").mkdir()
    table = pd.DataFrame(
        {
            "measure": ["auc", "slope"],
            "estimate": [0.99964, 0.915],
            "conf_low": [0.98, 0.7],
            "conf_high": [1.0, 1.1],
            "p_value": [0.0496, 0.0004],
            "n": [275, 275],
            "n_event": [171, 171],
        }
    )
    table.to_csv(tmp_path / "validate" / "nomogram.csv", index=False)
    return Evidence(run_dir=tmp_path)


def test_value_carries_its_address(evidence):
    value = evidence.number("validate/nomogram", "estimate", 2, measure="slope")
    assert value.text == "0.92"
    assert value.result == "validate/nomogram.csv[measure=slope].estimate"


def test_rounding_never_tells_another_story(evidence):
    where = {"measure": "auc"}
    assert "1.00 " not in evidence.estimate("validate/nomogram", 2, kind="unit", **where).text
    assert evidence.p_value("validate/nomogram", **where).text == "p = 0.0496"
    assert evidence.p_value("validate/nomogram", measure="slope").text == "p < 0.001"


def test_share_and_count(evidence):
    share = evidence.share("validate/nomogram", "n_event", "n", measure="auc")
    assert share.text.startswith("171/275 (62.2")
    assert evidence.count("validate/nomogram", "n", measure="auc").text == "275"


def test_ambiguous_row_is_refused(evidence):
    with pytest.raises(SchemaError, match="2 rows"):
        evidence.row("validate/nomogram", n=275)
    with pytest.raises(SchemaError, match="0 rows"):
        evidence.row("validate/nomogram", measure="nothing")


def test_absent_table_is_seen(evidence):
    assert evidence.has("validate/nomogram")
    assert not evidence.has("truth/truth")
