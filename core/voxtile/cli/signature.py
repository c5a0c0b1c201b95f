"""What a command takes, read from the text of its module: a help text or a typing error imports none of its code.

Annotations and defaults are evaluated by themselves, with the names of their module that they use; constants and types
of another module are read there likewise. Only the standard library is imported for it. A function that cannot be read
in this way, such as a decorated one, is imported.

`**run: Any` stands for the fields of `RunOptions`; `**options: Annotated[Any, ReadingOptions]` for those of that class
and of the classes that it extends, which several commands then have in common.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
import inspect
import sys
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from docstring_parser import DocstringStyle, parse

from voxtile.domain import Command
from voxtile.errors import ConfigError

Role: TypeAlias = Literal["argument", "arguments", "option", "run"]
RUN_OPTIONS = "voxtile.engine.options:RunOptions"
"""The class whose fields `**run: Any` stands for."""
MISSING = inspect.Parameter.empty


class UnreadableError(Exception):
    """The text of a module does not tell what a name is; importing it does."""


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
    def is_required(self) -> bool:
        """Whether it has to be given."""
        return self.default is MISSING and self.role != "arguments"

    @property
    def option(self) -> str:
        """How it is written, e.g. `--batch-size`."""
        return f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True)
class Signature:
    """What a command takes.

    Attributes:
        paragraphs: what it does, in the words of its docstring.
        parameters: in their order; those that `**run` or `**options` stands for last.
    """

    paragraphs: tuple[str, ...]
    parameters: tuple[Parameter, ...]


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
    hints, full_hints = typing.get_type_hints(function), typing.get_type_hints(function, include_extras=True)
    parameters = [
        p.replace(
            annotation=_class_of_options(full_hints.get(p.name)) if p.kind is p.VAR_KEYWORD else hints.get(p.name, Any)
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


def shown_class(target: str) -> tuple[Parameter, ...]:
    """What the constructor of a class takes, to be shown: types and defaults are texts.

    Args:
        target: "module:Class".

    Raises:
        UnreadableError: there is no such class with a constructor of its own.
    """
    module, _, name = target.partition(":")
    node = _names(module).definition(name)
    made = [one for one in getattr(node, "body", ()) if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
    if not isinstance(node, ast.ClassDef) or not made:
        raise UnreadableError(target)
    given = made[0].args
    values = _names(module)
    text = "\n\n".join(filter(None, (ast.get_docstring(node), ast.get_docstring(made[0]))))
    names = [*given.args[1:], *given.kwonlyargs]
    defaults = [*given.defaults, *given.kw_defaults]
    by_place = [*[None] * (len(names) - len(defaults)), *defaults]
    parameters = [
        inspect.Parameter(
            one.arg,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=_shown_type(one.annotation),
            default=MISSING if default is None else values.shown(default),
        )
        for one, default in zip(names, by_place, strict=True)
    ]
    return tuple(Parameter(p.name, "option", p.annotation, p.default, said) for p, said in _with_help(text, parameters))


def _shown_type(annotation: ast.expr | None) -> str:
    """N, X, TEXT and the like where a value is plain, {…} where it is more than that."""
    if annotation is None:
        return "VALUE"
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        return ast.unparse(annotation.slice).strip("()").replace("'", "").replace(", ", "|")
    named = [ast.unparse(node) for node in ast.walk(annotation) if isinstance(node, ast.Name)]
    types = [_SHOWN.get(name, "{…}") for name in named if name not in ("Optional", "Union", "Literal")]
    return "{…}" if "{…}" in types else "|".join(dict.fromkeys(types)) or "VALUE"


_SHOWN = {"int": "N", "float": "X", "str": "TEXT", "bool": "true|false", "Path": "PATH"}


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
    said = {param.arg_name.lstrip("*"): param.description for param in parse(text, DocstringStyle.GOOGLE).params}
    shared = {name.strip(): text for names, text in said.items() for name in names.split(",")}
    for parameter in parameters:
        yield parameter, " ".join((shared.get(parameter.name) or "").split())


@cache
def _options_of(module: str, name: str) -> tuple[Parameter, ...]:
    """The fields of a class as options, ahead of those of the classes that it extends."""
    names, node = _names(module).class_named(name)
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
    names = _names(module)
    node = names.definition(name)
    if not isinstance(node, ast.FunctionDef) or node.decorator_list:
        raise UnreadableError(name)
    return ast.get_docstring(node) or "", list(_parameters(node.args, names))


def _parameters(given: ast.arguments, names: _Names) -> Iterator[inspect.Parameter]:
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
        yield kinds(given.kwarg.arg, kinds.VAR_KEYWORD, annotation=names.class_of_options(given.kwarg.annotation))


class _Names(dict[str, Any]):
    """Names of a module, each evaluated when it is asked for."""

    def __init__(self, module: str, path: Path) -> None:
        super().__init__(__name__=module, __file__=str(path))
        self.module = module
        self._package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        self._tree = ast.parse(path.read_text(encoding="utf-8"))

    def parameter(self, node: ast.arg, kind: Any, default: ast.expr | None) -> inspect.Parameter:  # noqa: ANN401
        """A parameter, its type and its default evaluated."""
        hint = Any if node.annotation is None else self.hint(node.annotation)
        value = MISSING if default is None else self.value(default)
        return inspect.Parameter(node.arg, kind, annotation=hint, default=value)

    def hint(self, node: ast.expr) -> Any:  # noqa: ANN401 - types have none of their own
        """The type that an annotation is, also one in quotation marks."""
        value = self.value(node)
        return self.value(ast.parse(value, mode="eval").body) if isinstance(value, str) else value

    def class_of_options(self, node: ast.expr | None) -> str:
        """The class whose fields `**options` stands for: those of `Annotated[Any, Class]`, else `RUN_OPTIONS`."""
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
            names, found = self.class_named(ast.unparse(node.slice.elts[-1]))
            return f"{names.module}:{found.name}"
        return RUN_OPTIONS

    def class_named(self, name: str) -> tuple[_Names, ast.ClassDef]:
        """A class of this module or one that it imports, with the names of its own module.

        Raises:
            UnreadableError: it is neither.
        """
        node = self.definition(name)
        if isinstance(node, ast.ImportFrom):
            alias = next(alias for alias in node.names if _bound(alias) == name)
            return _names(self._resolved(node)).class_named(alias.name)
        if not isinstance(node, ast.ClassDef):
            raise UnreadableError(name)
        return self, node

    def shown(self, node: ast.expr) -> str:
        """A default as a text: its value, or its own words where that is not known without running code."""
        try:
            return str(self.value(node))
        except UnreadableError:
            return ast.unparse(node)

    def value(self, node: ast.expr) -> Any:  # noqa: ANN401 - whatever stands there
        """What an expression of the module is.

        Raises:
            UnreadableError: it needs more than the standard library and other texts that can be read.
        """
        try:
            code = compile(ast.Expression(node), self.module, "eval")
            return eval(code, {"__builtins__": builtins}, self)
        except UnreadableError:
            raise
        except Exception as error:  # the code of a plugin: anything can happen, and importing it says what
            raise UnreadableError(ast.unparse(node)) from error

    def __missing__(self, name: str) -> Any:  # noqa: ANN401 - as above
        node = self.definition(name)
        if isinstance(node, ast.expr):
            value = self.value(node)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            value = self._imported(node, name)
        else:
            raise KeyError(name)
        self[name] = value
        return value

    def definition(self, name: str) -> ast.AST | None:
        """Where the module binds a name: a function, a class, the expression assigned to it, or an import."""
        found: ast.AST | None = None
        for node in _statements(self._tree.body):
            if isinstance(node, ast.Assign | ast.AnnAssign):
                found = (node.value or found) if name in map(ast.unparse, _targets(node)) else found
            elif name in _bound_by(node):
                found = node
        return found

    def _resolved(self, node: ast.ImportFrom) -> str:
        return importlib.util.resolve_name("." * node.level + (node.module or ""), self._package)

    def _imported(self, node: ast.Import | ast.ImportFrom, name: str) -> Any:  # noqa: ANN401 - as above
        found = next(alias for alias in node.names if _bound(alias) == name)
        if isinstance(node, ast.Import):
            module = found.name if found.asname else name
            if not _is_standard(module):
                raise UnreadableError(module)
            return importlib.import_module(module)
        module = self._resolved(node)
        if _is_standard(module):
            return getattr(importlib.import_module(module), found.name)
        return _names(module)[found.name]


def _bound_by(node: ast.stmt) -> Sequence[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [_bound(alias) for alias in node.names]
    return [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _bound(alias: ast.alias) -> str:
    """The name that an import binds."""
    return alias.asname or alias.name.partition(".")[0]


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, also those that are for type checkers alone."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from _statements(node.body)


@cache
def _names(module: str) -> _Names:
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise UnreadableError(module)
    path = Path(spec.origin)
    for part in rest:
        package = path.parent / part / "__init__.py"
        path = package if package.is_file() else path.with_name(f"{part}.py")
    if path.suffix != ".py" or not path.is_file():
        raise UnreadableError(module)
    return _Names(module, path)
