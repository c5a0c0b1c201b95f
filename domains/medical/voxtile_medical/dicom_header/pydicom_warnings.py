"""Keeping what pydicom says short: warnings and log lines quote header values, a file at a time, and errors nest."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

_LOGGERS = tuple(
    logging.getLogger(name) for name in ("pydicom", "pydicom.pixels.decoders.base", "openjpeg", "pylibjpeg")
)


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence pydicom and its decoders; what matters is checked by the caller and named."""
    dataset: Any = importlib.import_module("pydicom.dataset")  # late: who reads no file does without

    before = [logger.disabled for logger in _LOGGERS]  # a flag: changing levels would clear a cache for every file
    named, dataset.tag_in_exception = dataset.tag_in_exception, _as_it_is
    for logger in _LOGGERS:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        dataset.tag_in_exception = named
        for logger, disabled in zip(_LOGGERS, before, strict=True):
            logger.disabled = disabled


def _as_it_is(_: object) -> AbstractContextManager[None]:
    """Of an error no more than is said where it happens.

    pydicom repeats the message and the traceback of each nested sequence in those of the next, so that both double with
    every level: an error in a hostile file of 450 bytes had 9 MB, and one of 770 bytes took all memory.
    """
    return nullcontext()
