"""Independent pieces of array work on the cores at hand, in the order they were given."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: More threads than this find no more memory bandwidth.
MOST_THREADS = 4
_AHEAD = 4


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], *, many: bool = True
) -> Iterator[Result]:
    """`map(work, items)`, in order; in several threads where there is `many` work.

    The result of each item is made by one thread alone, so digits do not depend on their number.

    Examples
    --------
    >>> list(in_threads(lambda x: x * x, range(4)))
    [0, 1, 4, 9]
    """
    n = min(cores(), MOST_THREADS)
    if not many or n == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(n) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > _AHEAD * n:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
