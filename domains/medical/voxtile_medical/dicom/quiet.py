"""Keeping pydicom's warnings and log lines off the terminal: they quote header values, a file at a time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = ("pydicom", "openjpeg", "pylibjpeg")


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence pydicom and its decoders; what matters is checked by the caller and named."""
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
