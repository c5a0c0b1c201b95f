"""Reading a task's YAML: every error names the file, the place in it and, for a wrong key, the nearest right one."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from voxtile.bounded_text import load_yaml
from voxtile.domain import resolve
from voxtile.errors import ConfigError
from voxtile.evaluation.tasks.kind import task_kind
from voxtile.evaluation.tasks.place import Place, shown
from voxtile.evaluation.tasks.task import SHARED_KEYS, Task
from voxtile.evaluation.tasks.voices import with_voice


def load_task(name: str) -> Task:
    """Read a task by `domain/name`, or from the path of a YAML file.

    Raises:
        ConfigError: no such task, or a file that is not one; the sentence says where and what would be right.
    """
    path = resolve(name, kind="task")
    content = _read(path, "task file")
    return parse_task(content, where=Place(str(path)), name=path.stem if path == Path(name) else name)


def load_tasks(names: Sequence[str]) -> tuple[Task, ...]:
    """Read several tasks for one report, whose rows say by name which is which.

    Raises:
        ConfigError: as `load_task`, or two tasks of one name.
    """
    tasks = tuple(load_task(name) for name in names)
    told = [task.name for task in tasks]
    if again := next((name for name in told if told.count(name) > 1), None):
        raise ConfigError(
            f"two tasks of one report are called '{again}'; name each task once, and give files of one name a 'name' "
            "of their own"
        )
    return tasks


def parse_task(content: object, *, where: Place | str, name: str) -> Task:
    """Turn the parsed YAML into a task, as its kind reads it.

    Args:
        content: what the YAML loader returned.
        where: the file, for error messages.
        name: the task's name unless the file has one.

    Raises:
        ConfigError: there is no such kind, or what the file says is not a task of it.
    """
    place = where if isinstance(where, Place) else Place(where)
    content = with_voice(content, place, _read)
    if not isinstance(content, dict):
        raise place.error(f"expected a mapping, found {shown(content)}")
    if "kind" not in content:
        near = difflib.get_close_matches("kind", [str(key) for key in content], n=1)
        raise place.error(f"unknown key '{near[0]}'; did you mean 'kind'?" if near else "needs the key 'kind'")
    named = place.text(content, "kind", "")
    try:
        kind = task_kind(named)
    except ConfigError as error:
        raise place.at("kind").error(str(error)) from error
    task = place.mapping(content, (*SHARED_KEYS, *kind.keys))
    shared = {
        "name": place.text(task, "name", name),
        "title": place.text(task, "title", name),
        "about": place.text(task, "about", ""),
        "kind": named,
        "unit": place.choice(task, "unit", ("sample", "study"), "sample"),
        "where": place.text(task, "where", "") or None,
        "split": place.choice(task, "split", ("test", "val", "train"), "test"),
        "scheme": place.text(task, "scheme", "default"),
    }
    parsed: Task = kind.parse(place, task, shared, load_task)
    return parsed


def read_task(path: Path) -> object:
    """The content of a task file with what its voice says, as if all of it stood there."""
    return with_voice(_read(path, "task file"), Place(str(path)), _read)


def _read(path: Path, what: str) -> object:
    try:
        with path.open(encoding="utf-8") as file:
            content: object = load_yaml(file.read(), _UniqueKeyLoader)
    except OSError as error:
        raise ConfigError(f"{what} '{path}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} '{path}' is not valid YAML: {' '.join(str(error).split())}") from error
    return content


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, of which YAML would silently drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key is no text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)
