"""The Bland-Altman plot shows what the frame says."""

from __future__ import annotations

import numpy as np
import pytest

from usstats.agreement import bland_altman

plt = pytest.importorskip("matplotlib.pyplot")


def test_lines_lie_at_bias_and_limits():
    rng = np.random.default_rng(0)
    x = rng.normal(10, 2, 40)
    found = bland_altman(x, x + rng.normal(0.3, 1, 40))
    ax = found.plot()
    drawn = {round(float(line.get_ydata()[0]), 9) for line in ax.lines[2:]}
    wanted = found.frame().set_index("measure")["estimate"][["bias", "loa_lower", "loa_upper"]]
    assert drawn == {round(float(value), 9) for value in wanted}
    assert len(ax.lines[0].get_xdata()) == 40
    plt.close(ax.figure)


def test_unit_is_written_on_both_axes():
    from usstats.plots.agreement import plot_bland_altman

    found = bland_altman([1.0, 2.0, 3.0, 5.0], [1.2, 1.9, 3.3, 4.8])
    ax = plot_bland_altman(found.points(), found.frame(), unit="mL")
    assert ax.get_xlabel().endswith("(mL)")
    assert ax.get_ylabel().endswith("(mL)")
    plt.close(ax.figure)
