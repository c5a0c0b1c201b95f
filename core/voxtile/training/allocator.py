"""Memory that a step frees stays with the process, so that the next step does not fault its pages in again."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # mallopt(3)


def keep_freed_memory() -> None:
    """Have glibc take large blocks from the heap and never give the heap's end back; nothing on other C libraries.

    A CPU training step allocates and frees the same hundreds of megabytes each time; by default glibc maps them anew,
    and clearing the pages took a tenth of the step.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
