"""What the constructor of a class takes, to be shown and checked: types and defaults are texts."""

from __future__ import annotations

import ast
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from docstring_parser import DocstringStyle, parse

from voxtile.cli.source.names import MISSING, Names, UnreadableError, names_of

_SHOWN = {"int": "N", "float": "X", "str": "TEXT", "bool": "true|false", "Path": "PATH"}


class Argument(NamedTuple):
    """What a constructor takes by name.

    Attributes:
        name: of it.
        hint: its type: N, X, TEXT and the like where a value is plain, {…} where it is more than that.
        default: `MISSING` where it has to be given.
        help: what the docstring of the class says of it.
        record: "module:Class" of a dataclass that its type names, whose fields may be given in its place.
    """

    name: str
    hint: str
    default: Any
    help: str
    record: str | None

    @property
    def is_required(self) -> bool:
        """Whether it has to be given."""
        return self.default is MISSING


@cache
def constructor_of(target: str) -> tuple[Argument, ...]:
    """All that a class can be made with: arguments of its `__init__`, own or inherited, or fields of a dataclass.

    Args:
        target: "module:Class"; the module may import the class from elsewhere.

    Raises:
        UnreadableError: there is no such class, or its text does not tell all that it takes.
    """
    module, _, name = target.partition(":")
    names, node = names_of(module).class_named(name)
    return tuple(_with_help(names, node, _taken(names, node)))


@cache
def choices_of(target: str, name: str) -> tuple[Any, ...]:
    """The values beside None that an argument is one of; none where its type takes more, or cannot be read.

    Args:
        target: "module:Class", as for `constructor_of`.
        name: of the argument.
    """
    module, _, kind = target.partition(":")
    try:
        names, node = names_of(module).class_named(kind)
        annotation = next(annotation for one, annotation, _ in _taken(names, node) if one == name)
        return () if annotation is None else tuple(dict.fromkeys(_literals(names.hint(annotation))))
    except UnreadableError:
        return ()


def _literals(hint: Any) -> Iterator[Any]:  # noqa: ANN401 - types have none of their own
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        yield from inner
    elif origin in (typing.Union, types.UnionType):
        for one in inner:
            yield from _literals(one)
    elif hint is not type(None):
        raise UnreadableError(str(hint))


def arguments_said(docstring: str) -> Mapping[str, str]:
    """What a docstring says of each argument, in one line; of several that are named together the same.

    Args:
        docstring: in Google's style.
    """
    found = {one.arg_name.lstrip("*"): one.description for one in parse(docstring, DocstringStyle.GOOGLE).params}
    return {name.strip(): " ".join((text or "").split()) for names, text in found.items() for name in names.split(",")}


_Taken = tuple[str, ast.expr | None, ast.expr | None]  # its name, its type, its default


def _taken(names: Names, node: ast.ClassDef) -> Iterable[_Taken]:
    own = {one.name: one for one in node.body if isinstance(one, ast.FunctionDef)}
    if _is_record(node):
        return _fields(names, node)
    if node.decorator_list or node.keywords or "__new__" in own:
        raise UnreadableError(node.name)
    if "__init__" in own:
        return _of_function(own["__init__"])
    if not node.bases:
        return ()
    return _taken(*names.class_named(ast.unparse(node.bases[0])))


def _of_function(made: ast.FunctionDef) -> Iterator[_Taken]:
    given = made.args
    if given.vararg or given.kwarg:
        raise UnreadableError(made.name)
    names = [*given.posonlyargs, *given.args][1:] + given.kwonlyargs
    defaults = [*given.defaults, *given.kw_defaults]
    by_place = [*[None] * (len(names) - len(defaults)), *defaults]
    for one, default in zip(names, by_place, strict=True):
        yield one.arg, one.annotation, default


def _is_record(node: ast.ClassDef) -> bool:
    """Whether it is a dataclass and nothing more."""
    decorators = [ast.unparse(one).partition("(")[0].rpartition(".")[2] for one in node.decorator_list]
    made = any(isinstance(one, ast.FunctionDef) and one.name == "__init__" for one in node.body)
    return decorators == ["dataclass"] and not made


def _fields(names: Names, node: ast.ClassDef) -> Iterable[_Taken]:
    """Those of its bases and its own; one that is said again keeps its place."""
    found: dict[str, _Taken] = {}
    for base in node.bases:
        inherited = names.class_named(ast.unparse(base))
        if _is_record(inherited[1]):
            found |= {field[0]: field for field in _fields(*inherited)}
    for field in node.body:
        if not isinstance(field, ast.AnnAssign):
            continue
        name, default = ast.unparse(field.target), "" if field.value is None else ast.unparse(field.value)
        if "ClassVar" not in ast.unparse(field.annotation) and "init=False" not in default:
            found[name] = (name, field.annotation, field.value)
    return found.values()


def _with_help(names: Names, node: ast.ClassDef, taken: Iterable[_Taken]) -> Iterator[Argument]:
    made = next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None)
    text = "\n\n".join(filter(None, (ast.get_docstring(one) for one in (node, made) if one is not None)))
    said = arguments_said(text)
    for name, annotation, default in taken:
        yield Argument(
            name,
            _shown_type(annotation),
            MISSING if default is None else names.shown(default),
            said.get(name, ""),
            _record(names, annotation),
        )


def _record(names: Names, annotation: ast.expr | None) -> str | None:
    """The dataclass that a type names beside None."""
    named = {ast.unparse(one) for one in _united(annotation)} - {"None"}
    if len(named) != 1:
        return None
    try:
        where, node = names.class_named(named.pop())
    except UnreadableError:
        return None
    return f"{where.module}:{node.name}" if _is_record(node) else None


def _united(annotation: ast.expr | None) -> Iterator[ast.expr]:
    """The types of a union."""
    if isinstance(annotation, ast.BinOp):
        yield from (*_united(annotation.left), *_united(annotation.right))
    elif annotation is not None:
        yield annotation


def _shown_type(annotation: ast.expr | None) -> str:
    if annotation is None:
        return "VALUE"
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        return ast.unparse(annotation.slice).strip("()").replace("'", "").replace(", ", "|")
    named = [ast.unparse(node) for node in ast.walk(annotation) if isinstance(node, ast.Name)]
    types = [_SHOWN.get(name, "{…}") for name in named if name not in ("Optional", "Union", "Literal")]
    return "{…}" if "{…}" in types else "|".join(dict.fromkeys(types)) or "VALUE"
