"""Names that the text of a module binds: what they are is read and evaluated one by one, and no module is imported.

Expressions are evaluated with the names that they use; constants and types of another module are read there likewise.
Only the standard library is imported for it.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

MISSING = inspect.Parameter.empty
"""The default of what has none."""


class UnreadableError(Exception):
    """The text of a module does not tell what a name is; importing it does."""


class Names(dict[str, Any]):
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

    def class_named(self, name: str) -> tuple[Names, ast.ClassDef]:
        """A class of this module or one that it imports, with the names of its own module.

        Raises:
            UnreadableError: it is neither.
        """
        node = self.definition(name) or self._offered(name)
        if isinstance(node, ast.ImportFrom):
            alias = next(alias for alias in node.names if _bound(alias) == name)
            return names_of(self._resolved(node)).class_named(alias.name)
        if not isinstance(node, ast.ClassDef):
            raise UnreadableError(name)
        return self, node

    def may_offer(self, name: str) -> bool:
        """Whether the module has a name, as far as its text tells: what is computed there may have any."""
        bound = [self.definition(one) for one in (name, "*", "__getattr__")]
        return any((*bound, self._offered(name)))

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

    def _offered(self, name: str) -> ast.AST | None:
        """Where a package with a stub, whose names are imported when they are asked for, has one of them."""
        stub = Path(self["__file__"]).with_suffix(".pyi")
        body = ast.parse(stub.read_text(encoding="utf-8")).body if stub.is_file() else ()
        return next((node for node in body if name in _bound_by(node)), None)

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
        return names_of(module)[found.name]


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
def names_of(module: str) -> Names:
    """The names of a module.

    Raises:
        UnreadableError: it has no text that can be read.
    """
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
    return Names(module, path)
