"""Pictures of censored outcomes say what their frames say."""

from __future__ import annotations

import numpy as np
import pytest

from tests.usstats.survival_data import cohort
from usstats.plots.survival import plot_survival_calibration, plot_time_dependent
from usstats.survival_calibration import SurvivalCalibration, assess_calibration_survival
from usstats.time_dependent import time_dependent_auc, time_dependent_brier


@pytest.fixture(scope="module")
def calibration() -> SurvivalCalibration:
    data = cohort(600, 21, effect=0.7)
    return assess_calibration_survival(data["time"], data["event"], data["risk"], horizon=1)


def line(ax, label: str):
    return next(artist for artist in ax.lines if artist.get_label() == label)


class TestCalibration:
    def test_curve_and_groups(self, calibration: SurvivalCalibration) -> None:
        ax = calibration.plot(unit="year")
        curve = calibration.curve()
        drawn = line(ax, "Flexible curve").get_xydata()
        np.testing.assert_allclose(drawn, curve[["predicted", "observed"]])
        points = ax.containers[0].lines[0].get_xydata()
        np.testing.assert_allclose(points, calibration.groups()[["predicted", "observed"]])
        assert ax.get_xlabel() == "Predicted risk by 1 year"
        assert ax.get_ylabel() == "Observed risk by 1 year"

    def test_text_and_legend(self, calibration: SurvivalCalibration) -> None:
        ax = calibration.plot()
        values = calibration.frame().set_index("measure")["estimate"]
        assert f"O:E {values['oe_ratio']:.2f}" in ax.texts[0].get_text()
        labels = [text.get_text() for text in ax.get_legend().get_texts()]
        assert "95% band" in labels
        bare = plot_survival_calibration(calibration, groups=False, text=False, legend=False)
        assert not bare.texts
        assert bare.get_legend() is None

    def test_histogram_counts(self, calibration: SurvivalCalibration) -> None:
        bars = calibration.plot().patches
        heights = np.array([bar.get_height() for bar in bars])
        counts = calibration.histogram()["n"].to_numpy()
        np.testing.assert_allclose(heights / heights.max(), counts / counts.max())

    @pytest.mark.filterwarnings("ignore:The flexible calibration curve is withheld")
    def test_withheld_curve_is_not_drawn(self) -> None:
        data = cohort(80, 2)
        found = assess_calibration_survival(
            data["time"], data["event"], data["risk"], horizon=1, n_groups=4
        )
        assert all(artist.get_label() != "Flexible curve" for artist in found.plot().lines)


class TestTimeDependent:
    def test_points_and_intervals(self) -> None:
        data = cohort(300, 4)
        models = {"x": data["x"], "$noise_$": np.arange(300.0)}
        result = time_dependent_auc(data["time"], data["event"], models, times=[0.3, 0.6, 0.9])
        ax = result.plot(unit="years")
        for container, (_, rows) in zip(
            ax.containers, result.frame().groupby("model", sort=False), strict=True
        ):
            np.testing.assert_allclose(container.lines[0].get_ydata(orig=False), rows["estimate"])
            ends = np.array([s[:, 1] for s in container.lines[2][0].get_segments()])
            np.testing.assert_allclose(ends, rows[["conf_low", "conf_high"]])
        assert ax.get_xlabel() == "Time (years)"
        assert ax.get_ylabel() == "Time-dependent AUC"
        assert line(ax, "Chance").get_ydata()[0] == 0.5

    def test_models_stand_apart_and_differ_in_grey(self) -> None:
        data = cohort(300, 4)
        result = time_dependent_auc(
            data["time"], data["event"], {"a": data["x"], "b": data["x"]}, times=[0.3, 0.6]
        )
        first, second = (c.lines[0] for c in result.plot().containers)
        assert (first.get_xdata() < second.get_xdata()).all()
        assert first.get_marker() != second.get_marker()
        assert first.get_linestyle() != second.get_linestyle()

    def test_null_model_of_the_brier_score(self) -> None:
        data = cohort(300, 4)
        result = time_dependent_brier(data["time"], data["event"], data["risk"], times=1)
        ax = plot_time_dependent(result, legend=False)
        null = line(ax, "Kaplan\N{EN DASH}Meier for all").get_ydata()
        np.testing.assert_allclose(null, result.frame()["null_brier"])
        assert ax.get_legend() is None
