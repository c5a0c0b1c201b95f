"""Bounds of an answer: seconds of one input, and memory beyond what the process holds once its seeds were read."""

from __future__ import annotations

import resource
from pathlib import Path

SECONDS = 10
GIGABYTES = 1.5


def bound_memory(gigabytes: float = GIGABYTES) -> None:
    """Let this process map so much more than it has mapped: whoever asks for more gets a MemoryError at once."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = mapped + int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
