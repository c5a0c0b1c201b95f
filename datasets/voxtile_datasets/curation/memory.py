"""Memory that a step of curation frees goes back to the system, so that the next step does not add to it."""

from __future__ import annotations

import ctypes
import platform

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # mallopt(3)
_LARGE = 16 << 20


def give_freed_memory_back() -> None:
    """Have glibc map blocks of 16 MiB and more by themselves, and keep two arenas; nothing on other C libraries.

    By default a freed block of up to 32 MiB stays with the arena of its thread, of which there are eight a processor.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_THRESHOLD, _LARGE)
    mallopt(_M_ARENA_MAX, 2)
