"""The MTL metadata text of Landsat: groups of `KEY = value` (USGS LSDS-1414, Object Description Language)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from voxtile_remote_sensing.scenes.protocol import SceneError

MAX_BYTES = 4 << 20
Value: TypeAlias = str | int | float
Groups: TypeAlias = dict[str, dict[str, Value]]
_LINE = re.compile(r"^\s*([A-Z0-9_]+)\s*=\s*(.*?)\s*$")


def read_mtl(path: Path, where: str) -> Groups:
    """Innermost group → key → value.

    Raises:
        SceneError: missing, too large, or not an MTL.
    """
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise SceneError(f"{where}: the MTL file is missing or larger than {MAX_BYTES >> 20} MiB; copy the scene again")
    groups: Groups = {}
    stack: list[str] = []
    for line in path.read_text("ascii", errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        key, text = match.groups()
        if key == "GROUP":
            stack.append(text)
        elif key == "END_GROUP":
            if not stack or stack.pop() != text:
                raise SceneError(f"{where}: the groups of the MTL do not close; copy the scene again from its source")
        elif stack:
            groups.setdefault(stack[-1], {})[key] = _value(text)
    if stack or not groups:
        raise SceneError(f"{where}: the MTL is truncated or is none; copy the scene again from its source")
    return groups


def mtl_value(groups: Mapping[str, Mapping[str, Value]], key: str, *, where: str) -> Value:
    """The first value of a key in any group.

    Raises:
        SceneError: no group has it.
    """
    for group in groups.values():
        if key in group:
            return group[key]
    raise SceneError(f"{where}: the MTL does not state {key}; copy the scene again from its source")


def _value(text: str) -> Value:
    if text.startswith('"'):
        return text.strip('"')
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
