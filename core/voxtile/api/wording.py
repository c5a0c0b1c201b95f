"""Sentences of the commands in the words of Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from voxtile.errors import ConfigError, InputError, PresetError

_OPTION = re.compile(r"--(?!help)([a-z][a-z-]*)")


@contextmanager
def said_in_python() -> Iterator[None]:
    """Sentences of the commands in the words of this interface: `assume_mpp` for `--assume-mpp`."""
    try:
        yield
    except (ConfigError, InputError, PresetError) as error:
        words = _OPTION.sub(lambda found: found[1].replace("-", "_"), str(error))
        raise type(error)(words) from error
