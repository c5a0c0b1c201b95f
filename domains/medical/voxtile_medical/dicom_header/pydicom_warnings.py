"""Keeping pydicom's warnings and log lines off the terminal: they quote header values, a file at a time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = tuple(
    logging.getLogger(name) for name in ("pydicom", "pydicom.pixels.decoders.base", "openjpeg", "pylibjpeg")
)


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence pydicom and its decoders; what matters is checked by the caller and named."""
    before = [logger.disabled for logger in _LOGGERS]  # a flag: changing levels would clear a cache for every file
    for logger in _LOGGERS:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, disabled in zip(_LOGGERS, before, strict=True):
            logger.disabled = disabled
