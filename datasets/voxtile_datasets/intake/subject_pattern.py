"""Whose a file is, by a regular expression over its path."""

from __future__ import annotations

import re
from collections.abc import Callable

from voxtile.errors import ConfigError, InputError


def subject_finder(pattern: str) -> Callable[[str], str]:
    r"""What gives the subject of a file by its path: the pattern's first group, or the whole match.

    Args:
        pattern: regular expression, such as `(patient\d+)_`; it may match anywhere in the path.

    Raises:
        ConfigError: not a regular expression. What is returned raises InputError for a path that does not match.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"--subject-pattern '{pattern}' is not a regular expression: {error}") from error

    def subject_of(path: str) -> str:
        match = compiled.search(path)
        found = match and (match.group(1) if compiled.groups else match.group(0))
        if not found:
            raise InputError(f"--subject-pattern '{pattern}' does not match '{path}', so its subject is unknown")
        return found

    return subject_of
