"""The stages of a reader study and of the contrasts, on tables of a few kilobytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reports.evidence import Evidence
from reports.files import write_csv
from reports.stages.contrasts import contrast_models
from reports.stages.readers import (
    READINGS,
    analyse,
    analyse_readers,
    judged_readings,
    saved_readers,
)
from reports.study import Readers
from reports.synthetic.readings import ReaderGroup, ReaderLaw
from reports.tables import reader_effect_table, reader_table
from usstats.assistance import AssistanceEffect
from usstats.delong import compare_auc
from usstats.errors import SchemaError
from usstats.readers import ReaderStudy

LAW = ReaderLaw(
    n_event=25,
    n_nonevent=25,
    network_auc=0.9,
    groups={
        "expert": ReaderGroup(size=2, auc=0.88, trust=0.3),
        "junior": ReaderGroup(size=2, auc=0.75, trust=0.5),
    },
)
COLUMNS = ["reader", "case", "condition", "rating", "experience", "reading_time", "session"]


@dataclass(frozen=True)
class FakeStudy:
    """What the reader stage asks a study for."""

    root: Path
    included: pd.DataFrame
    run_dir: Path
    config: SimpleNamespace


def workspace(
    tmp_path: Path, readings: pd.DataFrame, truth: pd.Series, *, positive_from: float | None = None
) -> SimpleNamespace:
    write_csv(tmp_path / READINGS, readings)
    included = truth.rename("event").rename_axis("patient_id").reset_index()
    readers = None if positive_from is None else Readers(positive_from=positive_from)
    study = FakeStudy(
        root=tmp_path,
        included=included.assign(cohort="prospective"),
        run_dir=tmp_path / "run",
        config=SimpleNamespace(readers=readers),
    )
    return SimpleNamespace(study=study, folder=study.run_dir / "readers")


@pytest.fixture
def drawn() -> tuple[pd.DataFrame, pd.Series]:
    readings = LAW.draw(seed=3)
    truth = readings.drop_duplicates("case").set_index("case")["truth"]
    numbers = {name: f"00{i}" for i, name in enumerate(sorted(readings["reader"].unique()))}
    readings = readings.assign(
        reader=readings["reader"].map(numbers), session=readings["session"].astype(str)
    )
    return readings[[*COLUMNS, "order"]], truth


def test_an_aid_is_analysed_and_saved(tmp_path, drawn):
    work = workspace(tmp_path, *drawn)
    work.folder.mkdir(parents=True)
    analyse_readers(work)
    frame, groups = saved_readers(work.folder)
    assert groups == {"000": "expert", "001": "expert", "002": "junior", "003": "junior"}
    result = analyse(judged_readings(work.study))
    assert isinstance(result, AssistanceEffect)
    pd.testing.assert_series_equal(
        frame["estimate"], result.frame()["estimate"].reset_index(drop=True)
    )
    facts = Evidence(run_dir=tmp_path / "run").json("readers/facts")
    assert (facts["kind"], facts["n_reader"], facts["n"]) == ("aid", 4, 50)
    assert facts["covariance"] == "delong"
    assert facts["test"]["df2"] > 0
    again = reader_table(frame, groups=groups)
    assert again.rows == reader_table(result.frame(), groups=groups).rows
    assert reader_effect_table(frame).rows == reader_effect_table(result.frame()).rows


def test_other_conditions_are_compared_as_systems(tmp_path, drawn):
    readings, truth = drawn
    work = workspace(
        tmp_path,
        readings.assign(condition=readings["condition"].map({"aided": "new", "unaided": "old"})),
        truth,
    )
    result = analyse(judged_readings(work.study))
    assert isinstance(result, ReaderStudy)
    assert result.means["condition"].tolist() == ["new", "old"]


def test_missing_readings_are_no_reason_to_stop(tmp_path, drawn):
    readings, truth = drawn
    work = workspace(tmp_path, readings.drop(index=[3, 70]), truth)
    result = analyse(judged_readings(work.study))
    assert result.study.covariance == "unbiased"


def test_readings_of_excluded_patients_are_left_out(tmp_path, drawn):
    readings, truth = drawn
    work = workspace(tmp_path, readings, truth.iloc[2:])
    assert judged_readings(work.study)["case"].nunique() == 48


def test_a_broken_table_of_readings_is_refused(tmp_path, drawn):
    readings, truth = drawn
    work = workspace(tmp_path, readings.drop(columns="rating"), truth)
    with pytest.raises(SchemaError, match="rating"):
        judged_readings(work.study)


def test_frozen_models_are_contrasted_where_none_was_fitted(tmp_path):
    rng = np.random.default_rng(0)
    event = rng.integers(0, 2, 80)
    risks = {name: rng.random(80) * 0.5 + 0.4 * event for name in ("nomogram", "clinical", "net")}
    table = pd.DataFrame({"patient_id": np.arange(80), "event": event, "dl_prob": 0.5, **risks})
    write_csv(tmp_path / "external" / "north_risks.csv", table)
    write_csv(tmp_path / "external" / "south_risks.csv", table[["patient_id", "event", "dl_prob"]])
    config = SimpleNamespace(
        cohorts=SimpleNamespace(external=["north", "south"]),
        models=[SimpleNamespace(name=name) for name in risks],
    )
    work = SimpleNamespace(
        study=SimpleNamespace(config=config),
        folder=tmp_path / "contrasts",
        of=lambda stage: tmp_path / stage,
    )
    contrast_models(work)
    found = pd.read_csv(tmp_path / "contrasts" / "auc.csv")
    assert found[["group", "model_1", "model_2"]].to_numpy().tolist() == [
        ["north", "nomogram", "clinical"],
        ["north", "nomogram", "net"],
    ]
    pairs = [("nomogram", "clinical"), ("nomogram", "net")]
    expected = compare_auc(event, risks, contrasts=pairs).frame()
    np.testing.assert_allclose(found["estimate"], expected["estimate"], atol=1e-12)
    np.testing.assert_allclose(found["p_adjusted"], expected["p_adjusted"], atol=1e-12)
