"""The clock and the scales of the benchmarks."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.benchmarks.__main__ import main, run
from tests.benchmarks.limits import growth, growth_of_resamples
from tests.benchmarks.measure import peak_bytes, resident_bytes, seconds, seconds_alone
from tests.benchmarks.races import Race


def test_seconds_is_the_best_of_several_runs():
    waits = iter([0.05, 0.0, 0.05, 0.05])
    assert seconds(lambda: time.sleep(next(waits)), at_most=4) < 0.04


def test_peak_is_what_is_held_at_one_time():
    megabyte = 1 << 20
    assert peak_bytes(lambda: [np.zeros(megabyte, np.uint8) for _ in range(4)]) // megabyte == 4
    assert peak_bytes(lambda: [np.zeros(megabyte, np.uint8).sum() for _ in range(4)]) < 2 * megabyte


def test_fresh_interpreters_are_measured_whole():
    assert resident_bytes("x = bytearray(200_000_000)") > 200e6
    assert seconds_alone("import time; time.sleep(0.1)", repeats=1) >= 0.1


@pytest.mark.parametrize(("power", "met"), [(1, True), (2, False)])
def test_growth_tells_linear_from_quadratic_work(power, met):
    def build(n):
        return lambda: time.sleep(0.001 * (n / 10) ** power)

    assert (growth("sleep", build, 10, 100).measured() <= 2) is met
    assert (growth_of_resamples("sleep", build, 10, 40).measured() <= 2) is met


def test_a_race_whose_results_differ_is_not_run():
    def disagree() -> None:
        msg = "they differ"
        raise AssertionError(msg)

    race = Race(work="w", peer="p", goal=1, ours=lambda: None, theirs=lambda: None, agree=disagree)
    with pytest.raises(AssertionError, match="they differ"):
        run(lambda: race)


def test_lines_say_ratio_goal_and_what_was_given(capsys):
    race = Race(
        work="sleeping", peer="a sleeper", goal=3, given="R 9 s", agree=lambda: None,
        ours=lambda: time.sleep(0.001), theirs=lambda: time.sleep(0.02),
    )  # fmt: skip
    assert run(lambda: race)
    line = capsys.readouterr().out
    assert "goal 3  met  a sleeper; given: R 9 s" in line


def test_an_absent_peer_is_named(capsys):
    def build() -> Race:
        raise ModuleNotFoundError(name="dcurves")

    assert not run(build)
    assert "dcurves is not installed (the bench extra brings it)" in capsys.readouterr().out


def test_words_choose(capsys):
    main(["no such work"])
    assert capsys.readouterr().out == "\n0 of 0 goals met\n"
