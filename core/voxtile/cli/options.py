"""A command line made of what a command takes: options by name, from a YAML file, or from the environment.

click splits the words; a function's own module is imported when all of them fit.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from voxtile.bounded_text import load_config
from voxtile.cli.environment import PREFIX
from voxtile.cli.help import print_help
from voxtile.cli.outputs import settle_outputs
from voxtile.cli.session import EVERYWHERE
from voxtile.cli.signature import Parameter, Signature, options_as_typed, signature_of
from voxtile.cli.values import is_several, parts, read_value, type_name
from voxtile.corpus.packing.same_folder import noted_folders
from voxtile.domain import Command
from voxtile.errors import ConfigError, nearest
from voxtile.lazy_packages import defer_packages
from voxtile.processors import nothing_collected
from voxtile.without_pandas import spare_pandas

_CONFIG, _PRINT = "config", "print_config"
_LOOSE = ("true", "yes", "false", "no")  # words behind a flag that are taken for its value


def call(
    command: Command,
    name: str,
    argv: Sequence[str],
    *,
    prepare: Callable[[], None] | None = None,
    adds: bool = False,
    makes: bool = False,
) -> None:
    """Read `argv` for a command's function and call it.

    Args:
        command: what to call.
        name: the words that chose it, e.g. `voxtile convert dicom`.
        argv: the words after them.
        prepare: called when all words fit, before the function's module is imported.
        adds: the command adds to the corpus that it is given, which may lie in a store.
        makes: it also makes it where there is none.

    Raises:
        ConfigError: an option, a value or a key of the config file does not fit.
    """
    signature = signature_of(command)
    if {"-h", "--help"} & set(argv):
        print_help(signature, command, name)
        return
    split = _split(signature, name, argv)
    values = _values(signature, name, split)
    if split.printed:
        _print_config(signature, values)
        return
    _check_required(signature, values, command, name)
    with options_as_typed(signature):
        settle_outputs(signature, values, name)
        if adds and not makes and isinstance(values.get("corpus"), Path):
            from voxtile.cli.preflight import require_corpus

            require_corpus(values["corpus"])
        if (check := command.load_check()) is not None:
            check(values)
        if prepare is not None:
            prepare()
        in_store = _corpus_in_store(signature, values, makes=makes) if adds and "corpus" in values else nullcontext()
        with noted_folders(_corpora(values)), in_store:
            _run(command, signature, values)


def _corpora(values: Mapping[str, Any]) -> list[Path]:
    """The folders of corpora that a command is given."""
    given = values.get("corpus")
    return [path for path in (given if isinstance(given, (list, tuple)) else [given]) if isinstance(path, Path)]


def _corpus_in_store(signature: Signature, values: dict[str, Any], *, makes: bool) -> AbstractContextManager[None]:
    from voxtile.stages.stored_corpora import adding_to_store

    keeps_key = makes and any(parameter.name == "key_file" for parameter in signature.parameters)
    return adding_to_store(values, makes=makes, keeps_key=keeps_key)


def _run(command: Command, signature: Signature, values: dict[str, Any]) -> None:
    defer_packages()
    with nothing_collected(to_the_end=True):
        function, values = command.load(), dict(values)
        spare_pandas()
    positional: list[Any] = []
    for parameter in signature.parameters:
        if parameter.role == "argument":
            positional.append(values.pop(parameter.name))
        elif parameter.role == "arguments":
            positional.extend(values.pop(parameter.name, ()))
    function(*positional, **values)


def build_command(signature: Signature, name: str) -> click.Command:
    """What click splits the words of a command by: `--on_error` means `--on-error`, an option of several is repeated.

    Raises:
        TypeError: the type of a parameter is none that a text can give.
    """
    known: list[click.Parameter] = [
        click.Option([_CONFIG, "--config"], type=click.UNPROCESSED, multiple=True),
        click.Option([_PRINT, "--print_config", "--print-config"], is_flag=True),
    ]
    for parameter in signature.parameters:
        type_name(parameter.hint)  # refuses what no text can give
        if parameter.is_option:
            names = dict.fromkeys([parameter.option, f"--{parameter.name}"])
            many = is_several(parameter.hint)
            known.append(click.Option([parameter.name, *names], type=click.UNPROCESSED, multiple=many))
        else:
            nargs = -1 if parameter.role == "arguments" else 1
            known.append(click.Argument([parameter.name], type=click.UNPROCESSED, required=False, nargs=nargs))
    return click.Command(name, params=known, add_help_option=False, context_settings={"allow_extra_args": True})


@dataclass(frozen=True)
class _Split:
    """The words of a command line: what was given for each name, the config files, whether to print a config."""

    given: Mapping[str, Any]
    configs: Sequence[str]
    printed: bool


def _split(signature: Signature, name: str, argv: Sequence[str]) -> _Split:
    built = build_command(signature, name)
    options = {option for p in built.params if isinstance(p, click.Option) and p.name != _PRINT for option in p.opts}
    flags = {p.option for p in signature.parameters if p.is_option and p.is_flag}
    see = f"; see '{name} --help'"
    try:
        context = built.make_context(name, list(_spelled_out(argv, options, flags)))
    except click.NoSuchOption as error:
        word = next((word for word in argv if word.startswith(error.option_name)), error.option_name).partition("=")[0]
        known = sorted({*map(_dashed, options), *map(_negated, flags), *EVERYWHERE})
        hint = _argument_hint(signature, name, word) or nearest(_dashed(word), known) or see
        raise ConfigError(f"'{name}' has no option '{word}'{hint}") from None
    if context.args:
        raise ConfigError(f"'{name}' takes no further argument '{context.args[0]}'{see}")
    given = {key: value for key, value in context.params.items() if value not in (None, ())}
    return _Split(given, given.pop(_CONFIG, ()), given.pop(_PRINT))


def _argument_hint(signature: Signature, name: str, word: str) -> str:
    """What to write where an argument is given as if it were an option; empty where it is none."""
    arguments = [p.name for p in signature.parameters if not p.is_option]
    if _dashed(word).lstrip("-").replace("-", "_") not in arguments:
        return ""
    return f"; its value is written in its place, without a name: {' '.join([name, *map(str.upper, arguments)])}"


def _spelled_out(argv: Sequence[str], options: Collection[str], flags: Collection[str]) -> Iterator[str]:
    """Each option with its value behind `=`; `--dry-run` as `--dry-run=true`, `--no-masks` as `--masks=false`."""
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            yield from (word, *rest)
            return
        dashed = _dashed(word)
        if word in options and dashed in flags:
            yield f"{word}={rest.pop(0) if rest and rest[0].lower() in _LOOSE else 'true'}"
        elif word in options:
            if not rest or rest[0].startswith("--"):
                raise ConfigError(
                    f"{word} needs a value; write one that begins with a minus sign behind '=', e.g. {word}=-1"
                )
            yield f"{word}={rest.pop(0)}"
        elif (flag := next((flag for flag in flags if dashed == _negated(flag)), None)) and word not in options:
            yield f"{flag}=false"
        else:
            yield word


def _values(signature: Signature, name: str, split: _Split) -> dict[str, Any]:
    """What was typed, else what the configs say, else the environment; as values of the parameters' types."""
    known = {p.name: p for p in signature.parameters}
    paths = split.configs or filter(None, [os.environ.get(f"{PREFIX}CONFIG")])
    given: dict[str, tuple[str, Any]] = {}  # and as what it was given, for messages
    for parameter in known.values():
        if text := os.environ.get(variable := f"{PREFIX}{parameter.name.upper()}"):
            given[parameter.name] = variable, parts(text) if parameter.role == "arguments" else text
    for path in paths:
        given |= {key: (f"'{key}'", value) for key, value in _config(Path(path), known, name).items()}
    given |= {key: (known[key].as_typed, value) for key, value in split.given.items()}
    return {key: _value(known[key], *one) for key, one in given.items()}


def _value(parameter: Parameter, said: str, given: object) -> Any:  # noqa: ANN401 - of the parameter's type
    if parameter.role != "arguments":
        return read_value(parameter.hint, given, said)
    several = given if isinstance(given, list | tuple) else [given]
    return [read_value(parameter.hint, one, said) for one in several]


def _config(path: Path, known: Mapping[str, Parameter], name: str) -> dict[str, Any]:
    config = load_config(path)
    if not isinstance(config, Mapping):
        raise ConfigError(f"the config '{path}' holds no mapping of options to values; see '{name} --help'")
    named = {str(key).replace("-", "_"): value for key, value in config.items()}
    for key in named:
        if key not in known:
            hint = nearest(key, known) or f"; see '{name} --help'"
            raise ConfigError(f"the config has an unknown key '{key}'{hint}")
    return {key: value for key, value in named.items() if value is not None}


def _check_required(signature: Signature, values: Mapping[str, Any], command: Command, name: str) -> None:
    missing = [p for p in signature.parameters if p.is_required and p.name not in values]
    if missing:
        shown = ", ".join(p.as_typed for p in missing)
        then = f"for example: {command.example}" if command.example else f"see '{name} --help'"
        raise ConfigError(f"'{name}' needs {shown}; {then}")


def _print_config(signature: Signature, values: Mapping[str, Any]) -> None:
    """Print all options as the YAML that `--config` takes."""
    defaults = {p.name: [] if p.role == "arguments" else p.default for p in signature.parameters if not p.is_required}
    config = {p.name: _plain(values.get(p.name, defaults.get(p.name))) for p in signature.parameters}
    import yaml

    sys.stdout.write(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def _plain(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _dashed(word: str) -> str:
    """`--on-error=x_y` of `--on_error=x_y`."""
    option, equals, value = word.partition("=")
    return option.replace("_", "-") + equals + value


def _negated(flag: str) -> str:
    return f"--no-{flag.removeprefix('--')}"
