"""A command line made of a function: its signature gives the options, its docstring the help."""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import re
import sys
import textwrap
import typing
import warnings
from collections import abc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from voxtile.domain import Command
from voxtile.errors import ConfigError

WIDTH = 100
HIDDEN = {"help", "config", "print_config"}
TYPE_NAMES = {"int": "a whole number", "float": "a number", "bool": "true or false"}
BOOLEANS = {"true": "true", "yes": "true", "false": "false", "no": "false"}


def call(command: Command, name: str, argv: Sequence[str]) -> None:
    """Parse `argv` for a command's function and call it.

    Args:
        command: what to call.
        name: the words that chose it, e.g. `voxtile convert dicom`.
        argv: the words after them.

    Raises:
        ConfigError: an option, a value or a key of the config file does not fit.
    """
    function = command.load()
    parser = build_parser(function, name)
    if any(word in ("-h", "--help") for word in argv):
        print_help(parser, function, command, name)
        return
    if any(word.startswith("--config") for word in argv):
        from voxtile.bounded_text import check_config_files

        check_config_files(argv)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser's own deprecations are no news to the user
            values = parser.parse_args(_repeated(parser, _spelled_out(parser, argv))).as_dict()
    except argparse.ArgumentError as error:
        raise ConfigError(_explain(error, parser, command, name)) from None
    positional, keywords = _arguments(function, values)
    function(*positional, **keywords)


def build_parser(function: Callable[..., Any], name: str) -> ArgumentParser:
    """The parser of a function: parameters before the `*` that have no default are positional, the others are options.

    Every option can also come from a YAML file (`--config`) or the environment (`VOXTILE_…`).
    """
    parser = ArgumentParser(
        prog=name, exit_on_error=False, default_env=True, env_prefix="VOXTILE", allow_abbrev=False, add_help=False
    )
    parser.add_argument("--config", action="config", help="YAML file with options")
    parameters = inspect.signature(function).parameters.values()
    positional = {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty}
    others = {p.name for p in parameters} - positional
    parser.add_function_arguments(function, as_group=False, as_positional=True, skip={*others, *_run_names(function)})
    parser.add_function_arguments(function, as_group=False, as_positional=False, skip={*positional}, fail_untyped=False)
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            parser.add_argument(parameter.name, nargs="*", default=[], help=_argument_help(function, parameter.name))
    _accept_dashes(parser)
    return parser


def print_help(parser: ArgumentParser, function: Callable[..., Any], command: Command, name: str) -> None:
    """Print what a command does, its arguments and options, and an example."""
    out = [*_description(function), ""]
    arguments = [a for a in parser._actions if not a.option_strings and a.dest not in HIDDEN]
    options = [a for a in parser._actions if a.option_strings and a.dest not in HIDDEN]
    run_names = _run_names(function)
    words = " ".join(a.dest.upper() + ("…" if a.nargs == "*" else "") for a in arguments)
    out += [f"Usage: {name} {words} [OPTIONS]".replace("  ", " "), ""]
    for title, actions in (
        ("Arguments", arguments),
        ("Options", [a for a in options if a.dest not in run_names]),
        ("How to run", [a for a in options if a.dest in run_names]),
    ):
        if actions:
            out += [title + ":", *(line for action in actions for line in _action_lines(action)), ""]
    out += textwrap.wrap(
        "Every option can come from a YAML file (--config FILE; --print_config prints one) "
        "or from the environment (VOXTILE_OPTION_NAME). --debug shows tracebacks.",
        WIDTH,
    )
    if command.example:
        out += ["", "Example:", f"  {command.example}"]
    sys.stdout.write("\n".join(out) + "\n")


def nearest(word: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no name is close."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def _run_names(function: Callable[..., Any]) -> set[str]:
    """Names that `**run` stands for."""
    if not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values()):
        return set()
    from dataclasses import fields

    from voxtile.engine.run import RunOptions

    return {field.name for field in fields(RunOptions)}


def _accept_dashes(parser: ArgumentParser) -> None:
    """Let `--on-error` mean `--on_error`, and show the former."""
    for action in parser._actions:
        for option in list(action.option_strings):
            dashed = "--" + option[2:].replace("_", "-")
            if option.startswith("--") and dashed != option and action.dest != "print_config":
                action.option_strings = [dashed, *action.option_strings]
                parser._option_string_actions[dashed] = action


def _spelled_out(parser: ArgumentParser, argv: Sequence[str]) -> list[str]:
    """Write flags in full: `--dry-run` → `--dry_run=true`, `--no-deidentify` → `--deidentify=false`."""
    flags = {
        option: action.option_strings[-1]
        for action in parser._actions
        for option in action.option_strings
        if getattr(action, "_typehint", None) is bool
    }
    negated = {re.sub("^--", f"--no{mark}", option): full for option, full in flags.items() for mark in "-_"}
    words: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word in flags:
            value = BOOLEANS[rest.pop(0).lower()] if rest and rest[0].lower() in BOOLEANS else "true"
            words.append(f"{flags[word]}={value}")
        elif word in negated and word not in parser._option_string_actions:
            words.append(f"{negated[word]}=false")
        else:
            words.append(word)
    return words


def _repeated(parser: ArgumentParser, argv: Sequence[str]) -> list[str]:
    """Write options that may be repeated as one: `--also a --also b` → `--also=["a", "b"]`."""
    many = {
        option: action.option_strings[-1]
        for action in parser._actions
        for option in action.option_strings
        if getattr(action, "_typehint", None) == tuple[str, ...]
    }
    words: list[str] = []
    given: dict[str, list[str]] = {}
    rest = list(argv)
    while rest:
        option, equals, value = (word := rest.pop(0)).partition("=")
        if option not in many or not (equals or rest):
            words.append(word)
            continue
        value = value if equals else rest.pop(0)
        given.setdefault(many[option], []).append(value)
    return [*words, *(f"{option}={json.dumps(values)}" for option, values in given.items())]


def _arguments(function: Callable[..., Any], values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    values = {key: value for key, value in values.items() if key not in HIDDEN}
    positional: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            positional.append(values.pop(parameter.name))
        elif parameter.kind is parameter.VAR_POSITIONAL:
            positional.extend(values.pop(parameter.name) or [])
    return positional, values


def _explain(error: argparse.ArgumentError, parser: ArgumentParser, command: Command, name: str) -> str:
    """One sentence for what the parser found wrong."""
    text = " ".join(str(error).split())
    options = [option for action in parser._actions for option in action.option_strings[:1]]
    keys = [action.dest for action in parser._actions if action.dest not in HIDDEN]
    if found := re.search(r"nrecognized arguments: (.*)", text):
        word = next((w for w in found[1].split() if w.startswith("-")), found[1].split()[0]).partition("=")[0]
        if not word.startswith("-"):
            return f"'{name}' takes no further argument '{word}'; see '{name} --help'"
        return f"'{name}' has no option '{word}'" + (nearest(word, options) or f"; see '{name} --help'")
    if found := re.search(r"Option '([^']+)' is not accepted", text):
        return f"the config has an unknown key '{found[1]}'" + (nearest(found[1], keys) or f"; see '{name} --help'")
    if found := re.search(r"arguments are required: (.*)", text):
        shown = {action.dest: (*action.option_strings, action.dest.upper())[0] for action in parser._actions}
        missing = ", ".join(shown.get(word, word) for word in found[1].split(", "))
        return f"'{name}' needs {missing}" + (f"; for example: {command.example}" if command.example else "")
    if found := re.search(r'Key "([^"]+)" is required', text):
        return f"'{name}' needs --{found[1].replace('_', '-')}; see '{name} --help'"
    if found := re.search(r'Parser key "([^"]+)": Expected a typing.Literal\[(.*)\]\. Got value: (.*)', text):
        choices = [choice.strip("' ") for choice in found[2].split(",")]
        return f"'{found[1]}' must be one of {', '.join(choices)}, not '{found[3]}'{nearest(found[3], choices)}"
    if found := re.search(r'Parser key "([^"]+)": Expected a <class .(int|float|bool).>\. Got value: (.*)', text):
        return f"'{found[1]}' must be {TYPE_NAMES[found[2]]}, not '{found[3]}'"
    text = re.sub(r'^Parser key "([^"]+)": ', r"'\1': ", text)
    return f"{text}; see '{name} --help'"


def _description(function: Callable[..., Any]) -> Iterator[str]:
    text = inspect.getdoc(function) or ""
    body = re.split(r"\n\s*\n(?:Args|Raises|Returns|Yields|Example):", text)[0]
    for paragraph in body.split("\n\n"):
        yield from textwrap.wrap(" ".join(paragraph.split()), WIDTH)


def _argument_help(function: Callable[..., Any], parameter: str) -> str:
    found = re.search(rf"^\s*\*?{parameter}:\s*(.+)$", inspect.getdoc(function) or "", re.MULTILINE)
    return found[1] if found else ""


def _action_lines(action: argparse.Action) -> list[str]:
    hint = getattr(action, "_typehint", None)
    label = action.dest.upper()
    if action.option_strings:
        label = action.option_strings[0]
        if hint is bool:
            label = re.sub("^--", "--[no-]", label) if action.default is True else label
        else:
            label += f" {_value_name(hint)}"
    text = " ".join(str(action.help or "").split())
    if action.option_strings and action.required:
        text += " (required)"
    elif action.option_strings and hint is not bool and action.default not in (None, (), "==SUPPRESS=="):
        text += f" (default: {action.default})"
    elif hint is bool:
        text += f" (default: {'yes' if action.default else 'no'})"
    lines = textwrap.wrap(text, WIDTH - 30) or [""]
    first = f"  {label:<26}  {lines[0]}" if len(label) <= 26 else f"  {label}"
    rest = lines[1:] if len(label) <= 26 else lines
    return [first.rstrip(), *(f"{'':30}{line}" for line in rest)]


def _value_name(hint: Any) -> str:  # noqa: ANN401
    arguments = [a for a in typing.get_args(hint) if a is not type(None)]
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return "|".join(map(str, arguments))
    if hint == tuple[str, ...]:
        return "TEXT"
    if origin is tuple:
        return f"[{','.join(map(_value_name, arguments))}]"
    if origin in (list, abc.Sequence):
        return f"[{_value_name(arguments[0])},…]"
    if len(arguments) == 1:
        return _value_name(arguments[0])
    return {Path: "PATH", int: "N", float: "X", str: "TEXT", bool: "true|false"}.get(hint, "VALUE")
