"""Configs by name or file, and what is wrong with a file before the parser, which does not know its name, reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxtile.domain import resolve
from voxtile.training.config_bases import read_config

FLAGS = ("-c", "--config")


def with_files(argv: Sequence[str]) -> Iterator[str]:
    """Replace names of configs such as `medical/ct` by their files.

    Raises:
        ConfigError: there is no such config, its file is no YAML, or a base of it cannot be had.
    """
    is_config = False
    for argument in argv:
        flag, equals, value = argument.partition("=")
        if is_config:
            yield config_path(argument)
        elif equals and flag in FLAGS:
            yield f"{flag}={config_path(value)}"
        else:
            yield argument
        is_config = argument in FLAGS


def config_path(name: str) -> str:
    """The file of a config, whose YAML is well-formed and whose bases are there.

    Raises:
        ConfigError: there is no such config, its file is no YAML, at which line, or a base of it cannot be had.
    """
    path = resolve(name, kind="config")
    read_config(path)
    return str(path)
