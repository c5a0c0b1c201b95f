"""The help text of a command: what it does, its arguments and options, an example."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator

from voxtile.cli.signature import Parameter, Signature
from voxtile.cli.values import type_name
from voxtile.domain import Command

WIDTH = 100
_LABEL = 26  # columns of an option and its type


def print_help(signature: Signature, command: Command, name: str) -> None:
    """Print what a command does, its arguments and options, and an example.

    Args:
        signature: what it takes.
        command: the command.
        name: the words that chose it, e.g. `voxtile convert dicom`.
    """
    lines = [line for paragraph in signature.paragraphs for line in textwrap.wrap(paragraph, WIDTH)]
    arguments = [p for p in signature.parameters if not p.is_option]
    usage = [name, *(p.name.upper() + ("…" if p.role == "arguments" else "") for p in arguments), "[OPTIONS]"]
    lines += ["", f"Usage: {' '.join(usage)}", ""]
    for title, role in (("Arguments", ("argument", "arguments")), ("Options", ("option",)), ("How to run", ("run",))):
        if parameters := [p for p in signature.parameters if p.role in role]:
            lines += [f"{title}:", *(line for parameter in parameters for line in _of_parameter(parameter)), ""]
    lines += textwrap.wrap(
        "Every option can come from a YAML file (--config FILE; --print_config prints one) "
        "or from the environment (VOXTILE_OPTION_NAME). --debug shows tracebacks.",
        WIDTH,
    )
    if command.example:
        lines += ["", "Example:", f"  {command.example}"]
    sys.stdout.write("\n".join(lines) + "\n")


def option_lines(label: str, text: str) -> Iterator[str]:
    """An option and what is said of it, beside it or, where it is long, below."""
    lines = textwrap.wrap(text, WIDTH - _LABEL - 4) or [""]
    if len(label) <= _LABEL:
        yield f"  {label:<{_LABEL}}  {lines.pop(0)}".rstrip()
    else:
        yield f"  {label}"
    yield from (f"{'':{_LABEL + 4}}{line}" for line in lines)


def _of_parameter(parameter: Parameter) -> Iterator[str]:
    return option_lines(_label(parameter), f"{parameter.help} {_default(parameter)}".rstrip())


def _label(parameter: Parameter) -> str:
    if not parameter.is_option:
        return parameter.name.upper()
    if parameter.is_flag:
        return f"--[no-]{parameter.option.removeprefix('--')}" if parameter.default is True else parameter.option
    return f"{parameter.option} {type_name(parameter.hint)}"


def _default(parameter: Parameter) -> str:
    if not parameter.is_option:
        return ""
    if parameter.is_required:
        return "(required)"
    if parameter.is_flag:
        return f"(default: {'yes' if parameter.default else 'no'})"
    return "" if parameter.default in (None, ()) else f"(default: {parameter.default})"
