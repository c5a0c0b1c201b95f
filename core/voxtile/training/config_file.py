"""Configs by name or file, and what is wrong with a file before the parser, which does not know its name, reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from voxtile.bounded_text import check_yaml
from voxtile.domain import resolve
from voxtile.errors import ConfigError, cause_of

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
    try:
        text = path.read_text("utf-8")
        check_yaml(text)
        yaml.compose(text, yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"config '{path}' is no YAML{where}: {said}; correct the file") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"config '{path}' cannot be read ({cause_of(error)}); name a YAML file") from error
    return str(path)
