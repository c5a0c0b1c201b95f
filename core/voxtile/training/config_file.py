"""Configs by name or file, and what is wrong with a file before the parser, which does not know its name, reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from voxtile.bounded_text import load_config
from voxtile.domain import resolve

_FLAGS = ("-c", "--config")


def with_files(argv: Sequence[str]) -> Iterator[str]:
    """Replace names of configs such as `medical/ct` by their files.

    Raises:
        ConfigError: there is no such config, or its file is no YAML.
    """
    is_config = False
    for argument in argv:
        flag, equals, value = argument.partition("=")
        if is_config:
            yield config_path(argument)
        elif equals and flag in _FLAGS:
            yield f"{flag}={config_path(value)}"
        else:
            yield argument
        is_config = argument in _FLAGS


def config_path(name: str) -> str:
    """The file of a config, whose YAML is well-formed.

    Raises:
        ConfigError: there is no such config, or its file is no YAML; says at which line.
    """
    path = Path(resolve(name, kind="config"))
    load_config(path)
    return str(path)
