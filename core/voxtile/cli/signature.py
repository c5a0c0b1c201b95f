"""What a command takes, read from the text of its module: a help text or a typing error imports none of its code.

A function that cannot be read in this way, such as a decorated one, is imported.

`**run: Any` stands for the fields of `RunOptions`; `**options: Annotated[Any, ReadingOptions]` for those of that class
and of the classes that it extends, which several commands then have in common.
"""

from __future__ import annotations

import ast
import inspect
import re
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias

from docstring_parser import DocstringStyle, parse

from voxtile.cli.source.classes import arguments_said
from voxtile.cli.source.names import MISSING, Names, UnreadableError, names_of
from voxtile.domain import Command
from voxtile.errors import ConfigError, VoxtileError
from voxtile.folders import TO_WRITE

Role: TypeAlias = Literal["argument", "arguments", "option", "run"]
RUN_OPTIONS = "voxtile.engine.options:RunOptions"
"""The class whose fields `**run: Any` stands for."""


@dataclass(frozen=True)
class Parameter:
    """One argument or option of a command.

    Attributes:
        name: in Python, with underscores.
        role: argument (by its place), arguments (any number of them), option, or run: an option of how to run.
        hint: its type.
        default: `MISSING` where it has to be given.
        help: what the docstring says of it.
    """

    name: str
    role: Role
    hint: Any
    default: Any
    help: str

    @property
    def is_option(self) -> bool:
        """Whether it is given by name."""
        return self.role in ("option", "run")

    @property
    def is_flag(self) -> bool:
        """Whether it needs no value: `--dry-run`, `--no-dry-run`."""
        return self.hint is bool

    @property
    def is_output_file(self) -> bool:
        """Whether it names a file to write (`voxtile.folders.OutputFile`)."""
        return any(TO_WRITE in getattr(one, "__metadata__", ()) for one in (self.hint, *typing.get_args(self.hint)))

    @property
    def is_required(self) -> bool:
        """Whether it has to be given."""
        return self.default is MISSING and self.role != "arguments"

    @property
    def option(self) -> str:
        """How it is written, e.g. `--batch-size`."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def as_typed(self) -> str:
        """What messages call it: `--batch-size`, or `CORPUS` as the help has it."""
        return self.option if self.is_option else self.name.upper()


@dataclass(frozen=True)
class Signature:
    """What a command takes.

    Attributes:
        paragraphs: what it does, in the words of its docstring.
        parameters: in their order; those that `**run` or `**options` stands for last.
    """

    paragraphs: tuple[str, ...]
    parameters: tuple[Parameter, ...]


@contextmanager
def options_as_typed(signature: Signature) -> Iterator[None]:
    """Errors of a command name its options as they are typed: `--on-error` for the `'on_error'` of its function.

    A name of one word is one where it stands first and something is said of it, as in `'workers' must be`.
    """
    try:
        yield
    except VoxtileError as error:
        words = str(error)
        for parameter in signature.parameters:
            if parameter.is_option:
                name, before, then = parameter.name, r"(?<![\w./-])", r"(?![\w./-])"
                if "_" not in name:
                    before, then = "^", "(?= (?:must|is|cannot) )"
                words = re.sub(rf"{before}(['`]?){name}\1{then}", parameter.option, words)
        error.args = (words,)
        raise


def signature_of(command: Command) -> Signature:
    """Read what a command takes, without importing it where that is possible.

    Raises:
        ConfigError: it has to be imported and cannot be.
    """
    module, _, name = command.target.partition(":")
    try:
        return _signature(*_read(module, name))
    except UnreadableError:
        return imported_signature(command)


def imported_signature(command: Command) -> Signature:
    """The same from the function itself.

    Raises:
        ConfigError: it cannot be imported, or shares options that are no fields of a class.
    """
    function = command.load()
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = [
        p.replace(
            annotation=_class_of_options(hints.get(p.name)) if p.kind is p.VAR_KEYWORD else hints.get(p.name, Any)
        )
        for p in inspect.signature(function).parameters.values()
    ]
    try:
        return _signature(inspect.getdoc(function) or "", parameters)
    except UnreadableError as error:
        raise ConfigError(
            f"the options that '{command.target}' shares with others cannot be read ('{error}'); make them fields of a "
            "dataclass that a module defines by its name"
        ) from error


def _class_of_options(hint: Any) -> str:  # noqa: ANN401 - types have none of their own
    """The "module:Class" whose fields `**options` stands for."""
    given = typing.get_args(hint)[1:]
    return f"{given[0].__module__}:{given[0].__qualname__}" if given else RUN_OPTIONS


def _signature(text: str, parameters: Sequence[inspect.Parameter]) -> Signature:
    """What a docstring and parameters say; the annotation of `**options` is "module:Class"."""
    described = parse(text, DocstringStyle.GOOGLE)
    found = [
        Parameter(p.name, _role(p), p.annotation, p.default, help_)
        for p, help_ in _with_help(text, parameters)
        if p.kind is not p.VAR_KEYWORD
    ]
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            found += _options_of(*parameter.annotation.split(":"))
    body = "\n\n".join(part for part in (described.short_description, described.long_description) if part)
    return Signature(tuple(" ".join(part.split()) for part in body.split("\n\n") if part.strip()), tuple(found))


def _role(parameter: inspect.Parameter) -> Role:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return "arguments"
    return "option" if parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not MISSING else "argument"


def _with_help(text: str, parameters: Sequence[inspect.Parameter]) -> Iterator[tuple[inspect.Parameter, str]]:
    said = arguments_said(text)
    for parameter in parameters:
        yield parameter, said.get(parameter.name, "")


@cache
def _options_of(module: str, name: str) -> tuple[Parameter, ...]:
    """The fields of a class as options, ahead of those of the classes that it extends."""
    names, node = names_of(module).class_named(name)
    fields = [
        inspect.Parameter(
            str(ast.unparse(field.target)),
            inspect.Parameter.KEYWORD_ONLY,
            annotation=names.hint(field.annotation),
            default=MISSING if field.value is None else names.value(field.value),
        )
        for field in node.body
        if isinstance(field, ast.AnnAssign)
    ]
    role: Role = "run" if f"{names.module}:{node.name}" == RUN_OPTIONS else "option"
    own = _with_help(ast.get_docstring(node) or "", fields)
    return (
        *(Parameter(p.name, role, p.annotation, p.default, said) for p, said in own),
        *(one for base in node.bases for one in _options_of(names.module, ast.unparse(base))),
    )


def _read(module: str, name: str) -> tuple[str, Sequence[inspect.Parameter]]:
    """Docstring and parameters of a function, from the text of its module."""
    names = names_of(module)
    node = names.definition(name)
    if not isinstance(node, ast.FunctionDef) or node.decorator_list:
        raise UnreadableError(name)
    return ast.get_docstring(node) or "", list(_parameters(node.args, names))


def _parameters(given: ast.arguments, names: Names) -> Iterator[inspect.Parameter]:
    kinds = inspect.Parameter
    by_place = [*given.posonlyargs, *given.args]
    first = len(by_place) - len(given.defaults)
    for index, one in enumerate(by_place):
        kind = kinds.POSITIONAL_ONLY if index < len(given.posonlyargs) else kinds.POSITIONAL_OR_KEYWORD
        yield names.parameter(one, kind, given.defaults[index - first] if index >= first else None)
    if given.vararg is not None:
        yield names.parameter(given.vararg, kinds.VAR_POSITIONAL, None)
    for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield names.parameter(one, kinds.KEYWORD_ONLY, default)
    if given.kwarg is not None:
        yield kinds(given.kwarg.arg, kinds.VAR_KEYWORD, annotation=_class_of_shared(names, given.kwarg.annotation))


def _class_of_shared(names: Names, node: ast.expr | None) -> str:
    """The class whose options `**options` stands for: those of `Annotated[Any, Class]`, else `RUN_OPTIONS`."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        where, found = names.class_named(ast.unparse(node.slice.elts[-1]))
        return f"{where.module}:{found.name}"
    return RUN_OPTIONS
