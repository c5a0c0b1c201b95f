"""Reading a task's YAML: every error names the file, the place in it and, for a wrong key, the nearest right one."""

from __future__ import annotations

import difflib
import string
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from voxtile.domain import resolve
from voxtile.errors import ConfigError
from voxtile.evaluate.task import KINDS, Averaging, EvaluationTask, LabelRule, TaskClass, Wording

TASK_KEYS = (
    "name", "title", "about", "kind", "unit", "split", "scheme", "where", "uncertain", "facts_source", "vocabulary",
    "averaging", "fact_head_ensemble", "positive", "templates", "classes",
)  # fmt: skip
CLASS_KEYS = ("title", "concept", "when", "wordings", "prompts")
AVERAGING_KEYS = ("templates", "wordings", "samples")


def load_task(name: str) -> EvaluationTask:
    """Read a task by `domain/name`, or from the path of a YAML file.

    Raises:
        ConfigError: no such task, or a file that is not one; the sentence says where and what would be right.
    """
    path = resolve(name, kind="task")
    try:
        with path.open(encoding="utf-8") as file:
            content = yaml.load(file, Loader=_UniqueKeyLoader)
    except OSError as error:
        raise ConfigError(f"task file '{path}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"task file '{path}' is not valid YAML: {' '.join(str(error).split())}") from error
    return parse_task(content, where=_Place(str(path)), name=path.stem if path == Path(name) else name)


def parse_task(content: object, *, where: _Place | str, name: str) -> EvaluationTask:
    """Turn the parsed YAML into a task.

    Args:
        content: what the YAML loader returned.
        where: the file, for error messages.
        name: the task's name unless the file has one.
    """
    place = where if isinstance(where, _Place) else _Place(where)
    task = place.mapping(content, TASK_KEYS)
    for required in ("kind", "classes"):
        if required not in task:
            raise place.error(f"needs the key '{required}'")
    kind = place.choice(task, "kind", KINDS, None)
    multilabel = kind == "zero-shot-multilabel"
    classes = _classes(place.at("classes"), task["classes"], multilabel=multilabel)
    averaging = place.at("averaging").mapping(task.get("averaging") or {}, AVERAGING_KEYS)
    levels = {
        key: place.at("averaging").choice(averaging, key, ("embeddings", "scores"), getattr(Averaging(), key))
        for key in AVERAGING_KEYS
    }
    if "wordings" not in averaging and not multilabel:
        levels["wordings"] = "embeddings"  # the usual prompt ensemble of a class
    return EvaluationTask(
        name=place.text(task, "name", name),
        title=place.text(task, "title", name),
        about=place.text(task, "about", ""),
        kind=kind,
        unit=place.choice(task, "unit", ("sample", "study"), "sample"),
        classes=classes,
        templates=_templates(place.at("templates"), task.get("templates", ["{}"])),
        where=place.text(task, "where", "") or None,
        split=place.choice(task, "split", ("test", "val", "train"), "test"),
        scheme=place.text(task, "scheme", "default"),
        positive=_positive(place, task, classes, multilabel=multilabel),
        labels=LabelRule(
            uncertain=place.choice(task, "uncertain", ("ignore", "positive", "negative"), "ignore"),
            source=place.text(task, "facts_source", "") or None,
            vocabulary=place.text(task, "vocabulary", "") or None,
        ),
        averaging=Averaging(**levels),
        fact_head_ensemble=place.flag(task, "fact_head_ensemble"),
    )


@dataclass(frozen=True)
class _Place:
    """A place in a task file, for error messages and typed look-ups."""

    file: str
    path: str = ""

    def at(self, key: str) -> _Place:
        return _Place(self.file, f"{self.path}.{key}" if self.path else key)

    def error(self, text: str) -> ConfigError:
        return ConfigError(f"task file '{self.file}'{f', at {self.path}' if self.path else ''}: {text}")

    def mapping(self, value: object, keys: Collection[str]) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self.error(f"expected a mapping, found {_shown(value)}")
        for key in value:
            if key not in keys:
                raise self.error(f"unknown key '{key}'; {nearest(str(key), keys)}")
        return value

    def text(self, mapping: Mapping[str, Any], key: str, default: str) -> str:
        value = mapping.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.at(key).error(f"expected a text, found {_shown(value)}; put it in quotes")
        return value.strip()

    def flag(self, mapping: Mapping[str, Any], key: str) -> bool:
        value = mapping.get(key, False)
        if not isinstance(value, bool):
            raise self.at(key).error(f"expected true or false, found {_shown(value)}")
        return value

    def choice(self, mapping: Mapping[str, Any], key: str, choices: Collection[str], default: str | None) -> Any:  # noqa: ANN401
        value = mapping.get(key, default)
        if value not in choices:
            raise self.at(key).error(f"'{value}' is not a choice; {nearest(str(value), choices)}")
        return value


def nearest(word: str, choices: Collection[str]) -> str:
    """The hint of an error message: the nearest valid word, or all of them."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"valid: {', '.join(choices)}"


def _classes(place: _Place, value: object, *, multilabel: bool) -> tuple[TaskClass, ...]:
    if not isinstance(value, dict) or not value:
        raise place.error(f"expected a mapping of class names to classes, found {_shown(value)}")
    read: Callable[[_Place, object], tuple[Wording, ...]] = _pairs if multilabel else _prompts
    key = "wordings" if multilabel else "prompts"
    classes = []
    for name, content in value.items():
        here = place.at(str(name))
        fields = here.mapping(content if content is not None else {}, CLASS_KEYS)
        wrong = "prompts" if multilabel else "wordings"
        if wrong in fields:
            raise here.error(f"key '{wrong}' belongs to the other kind of task; use '{key}'")
        classes.append(
            TaskClass(
                name=str(name),
                title=here.text(fields, "title", str(name).replace("_", " ").replace("-", " ").capitalize()),
                concept=here.text(fields, "concept", str(name)),
                when=here.choice(fields, "when", ("present", "absent"), "present"),
                wordings=read(here.at(key), fields.get(key)),
            )
        )
    if not multilabel and len(classes) < 2:
        raise place.error("a single-label task needs at least two classes")
    return tuple(classes)


def _pairs(place: _Place, value: object) -> tuple[Wording, ...]:
    if not isinstance(value, list) or not value:
        raise place.error("the class is empty: give a list of {present: …, absent: …} pairs")
    pairs = []
    for number, item in enumerate(value):
        here = place.at(str(number))
        fields = here.mapping(item, ("present", "absent"))
        present, absent = here.text(fields, "present", ""), here.text(fields, "absent", "")
        if not present or not absent:
            raise here.error(f"the pair has no text for '{'absent' if present else 'present'}'")
        pairs.append(Wording(present, absent))
    return tuple(pairs)


def _prompts(place: _Place, value: object) -> tuple[Wording, ...]:
    if not isinstance(value, list) or not value:
        raise place.error("the class is empty: give a list of prompts")
    for number, item in enumerate(value):
        if not isinstance(item, str) or not item.strip():
            raise place.at(str(number)).error(f"expected a text, found {_shown(item)}")
    return tuple(Wording(item.strip()) for item in value)


def _templates(place: _Place, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise place.error(f'expected a list of templates such as "{{}}", found {_shown(value)}')
    for number, item in enumerate(value):
        if not isinstance(item, str) or _fields(item) != [""]:
            raise place.at(str(number)).error(f"a template is a text with exactly one '{{}}', found {_shown(item)}")
    return tuple(value)


def _fields(template: str) -> list[str] | None:
    try:
        return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError:
        return None


def _positive(
    place: _Place, task: Mapping[str, Any], classes: tuple[TaskClass, ...], *, multilabel: bool
) -> str | None:
    names = [c.name for c in classes]
    positive = place.text(task, "positive", "")
    if positive and (multilabel or len(classes) != 2):
        raise place.at("positive").error("only a single-label task of two classes has a positive class")
    if positive and positive not in names:
        raise place.at("positive").error(f"'{positive}' is not a class; {nearest(positive, names)}")
    if not multilabel and len(classes) == 2:
        return positive or names[1]
    return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, of which YAML would silently drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)
