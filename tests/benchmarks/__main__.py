"""Print each race and each limit beside its goal: `python -m tests.benchmarks [SET] [WORD ...]`.

SET is `statistics` (the default) or `networks`, whose peers need an environment of their own. Words
choose among them by the names of the races (delong, bootstrap, decision, fit ...) and the text of
the limits.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable

from tests.benchmarks.limits import Limit, limits
from tests.benchmarks.measure import seconds
from tests.benchmarks.races import RACES, Race

WIDTH = 64


def main(words: list[str]) -> None:
    """Run what contains one of the words, or everything of the set."""
    races, held = _statistics()
    if words and words[0] in SETS:
        races, held = SETS[words[0]]()
        words = words[1:]
    goals = [run(build) for build in races if _chosen(build.__name__, words)]
    goals += [hold(limit) for limit in held if _chosen(limit.work, words)]
    print(f"\n{sum(goals)} of {len(goals)} goals met")


Set = tuple[Iterable[Callable[[], Race]], Iterable[Limit]]


def _statistics() -> Set:
    return RACES, limits()


def _networks() -> Set:
    from tests.benchmarks import networks, training

    warnings.filterwarnings("ignore", module="monai")
    return networks.RACES + training.RACES, training.limits()


SETS: dict[str, Callable[[], Set]] = {"statistics": _statistics, "networks": _networks}


def run(build: Callable[[], Race]) -> bool:
    """One race; a peer that is not installed counts as a goal that is not met."""
    try:
        race = build()
    except ModuleNotFoundError as error:
        print(f"{build.__name__}: {error.name} is not installed (the bench extra brings it)")
        return False
    race.agree()
    ours, theirs = seconds(race.ours), seconds(race.theirs, at_least=1)
    ratio = theirs / ours
    met = ratio >= race.goal
    found = f"{ours:>9.4f} s {theirs:>9.4f} s {ratio:>8.2f} x  goal {race.goal:g}  {_word(met=met)}"
    given = f"; given: {race.given}" if race.given else ""
    print(f"{race.work:<{WIDTH}}{found}  {race.peer}{given}", flush=True)
    return met


def hold(limit: Limit) -> bool:
    found = limit.measured()
    met = found <= limit.most
    goal = f"at most {limit.most:g}  {_word(met=met)}"
    print(f"{limit.work:<{WIDTH}}{found:>9.2f} {limit.unit}, {goal}", flush=True)
    return met


def _chosen(text: str, words: list[str]) -> bool:
    return not words or any(word in text for word in words)


def _word(*, met: bool) -> str:
    return "met" if met else "MISSED"


if __name__ == "__main__":
    main(sys.argv[1:])
