"""A plugin of pytest that names tests which write into what other tests share: `pytest -p unchanged_fixtures`.

A folder that a fixture of a module or the session gives must hold after each test what it held before, or the next test
sees what it was not written for, and only in some orders. Compiled views are a cache that any reader may fill: they are
looked at only where `--views-too` is given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

State = dict[str, tuple[int, int]]  # by path: bytes and time of change
SCOPES = ("function", "class", "module", "package", "session")


@dataclass
class Shared:
    """A folder that several tests see.

    Attributes:
        fixture: its name and scope.
        scope: how many share it, as a place in SCOPES.
        held: what it held after the last look.
    """

    fixture: str
    scope: int
    held: State


_SHARED: dict[Path, Shared] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say what counts."""
    parser.addoption("--views-too", action="store_true", help="compiled views may not be written into shared folders")


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Iterator[None]:
    """Remember what a shared folder holds when it is handed out; a fixture may add to one that as few tests share."""
    given = yield
    scope = SCOPES.index(fixturedef.scope)
    for folder, shared in _SHARED.items():
        if shared.scope <= scope:
            shared.held = _state(folder, request.config)
    if scope >= SCOPES.index("module"):
        for folder in _folders(given):
            name = f"'{fixturedef.argname}' of the {fixturedef.scope}"
            _SHARED.setdefault(folder, Shared(name, scope, _state(folder, request.config)))
    return given


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Look at every shared folder after the test."""
    yield
    said = []
    for folder, shared in _SHARED.items():
        before, shared.held = shared.held, _state(folder, item.config)
        changed = [p for p in before.keys() | shared.held.keys() if before.get(p) != shared.held.get(p)]
        if changed:
            said.append(f"writes into the folder of the fixture {shared.fixture}: {', '.join(sorted(changed)[:5])}")
    if said:
        pytest.fail("; ".join(said), pytrace=False)


def _folders(given: Any) -> Iterator[Path]:
    """Folders that a fixture's value is or holds."""
    if isinstance(given, (str, Path)):
        try:
            if Path(given).is_dir():
                yield Path(given).resolve()
        except (OSError, ValueError):  # a text that is no path
            return
    elif isinstance(given, Mapping):
        yield from _folders(list(given.values()))
    elif isinstance(given, (list, tuple)):
        for value in given:
            yield from _folders(value)
    elif hasattr(given, "roots"):  # an opened corpus
        yield from _folders(list(given.roots))


def _state(folder: Path, config: pytest.Config) -> State:
    """Size and time of change of each file."""
    found: State = {}
    for place, _, names in os.walk(folder):
        where = Path(place).relative_to(folder)
        if "views" in where.parts and not config.getoption("--views-too"):
            continue
        for name in names:
            try:
                seen = (folder / where / name).stat()
            except FileNotFoundError:
                continue
            found[str(where / name)] = (seen.st_size, seen.st_mtime_ns)
    return found
