"""Memory that networks free is kept for the next layer instead of going back to the system."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 2**30


def keep_freed_memory() -> bool:
    """Ask glibc not to return large blocks after every layer; say whether it could be asked.

    A convolution's output is a block of megabytes. By default glibc maps a fresh one for every
    layer and unmaps it afterwards, and a third of the time on a CPU goes into zeroed pages.
    Numbers do not change. See mallopt(3).
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _KEPT_BYTES) and mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))
