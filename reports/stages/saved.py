"""Results kept as tables between the stage that computes them and the one that draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reports.files import read_csv, write_csv, write_json
from usstats.calibration import Calibration
from usstats.instability import Instability
from usstats.plots.instability import MOST_MODELS
from usstats.results import Estimate
from usstats.roc import RocCurve


def save_roc(folder: Path, name: str, curve: RocCurve) -> None:
    """The curve and its area."""
    write_csv(folder / f"{name}_roc.csv", curve.frame())
    write_csv(folder / f"{name}_auc.csv", curve.auc.frame())


def save_calibration(folder: Path, name: str, calibration: Calibration) -> None:
    """The measures, the smooth curve and the histogram of the risks."""
    write_csv(folder / f"{name}_calibration.csv", calibration.frame())
    write_csv(folder / f"{name}_curve.csv", calibration.curve())
    write_csv(folder / f"{name}_histogram.csv", calibration.histogram())


def save_instability(folder: Path, instability: Instability) -> None:
    """Each patient's range, and the cloud of refitted risks as far as it is drawn."""
    write_csv(folder / "instability.csv", instability.frame())
    cloud = instability.prediction_frame()
    write_csv(folder / "instability_cloud.csv", cloud[cloud["replicate"] < MOST_MODELS])
    write_json(folder / "instability.json", {"mape": float(instability.mape)})


def corrected_decision(folder: Path, models: Sequence[str]) -> pd.DataFrame:
    """Corrected net benefit of every model, then of treating all and none, once."""
    curves = pd.concat(
        [read_csv(folder / f"{name}_decision.csv") for name in models], ignore_index=True
    )
    once = curves.drop_duplicates(["model", "threshold_probability"])
    own = once["model"].isin(models)
    return pd.concat([once[own], once[~own]], ignore_index=True)


@dataclass(frozen=True, kw_only=True)
class SavedRoc:
    """A ROC curve read back, drawn like the one that was computed."""

    folder: Path
    name: str

    @property
    def auc(self) -> Estimate:
        """The area with its interval."""
        row = read_csv(self.folder / f"{self.name}_auc.csv").iloc[0]
        return Estimate(**row.to_dict())

    def frame(self) -> pd.DataFrame:
        """threshold, sensitivity, specificity and the band."""
        return read_csv(self.folder / f"{self.name}_roc.csv")


@dataclass(frozen=True, kw_only=True)
class SavedCalibration:
    """A calibration read back, drawn like the one that was computed."""

    folder: Path
    name: str

    def frame(self) -> pd.DataFrame:
        """The measures."""
        return read_csv(self.folder / f"{self.name}_calibration.csv")

    def curve(self) -> pd.DataFrame:
        """The smooth curve with its band."""
        return read_csv(self.folder / f"{self.name}_curve.csv")

    def histogram(self) -> pd.DataFrame:
        """Events and non-events by risk."""
        return read_csv(self.folder / f"{self.name}_histogram.csv")


@dataclass(frozen=True, kw_only=True)
class SavedInstability:
    """Prediction instability read back."""

    folder: Path

    def frame(self) -> pd.DataFrame:
        """One row a patient."""
        return read_csv(self.folder / "instability.csv")

    def prediction_frame(self) -> pd.DataFrame:
        """One row a refitted risk."""
        return read_csv(self.folder / "instability_cloud.csv")


@dataclass(frozen=True, kw_only=True)
class SavedTable:
    """A result that is wholly its frame."""

    table: pd.DataFrame

    def frame(self) -> pd.DataFrame:
        """The table."""
        return self.table
