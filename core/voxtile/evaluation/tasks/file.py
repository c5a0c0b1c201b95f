"""Reading a task's YAML: every error names the file, the place in it and, for a wrong key, the nearest right one."""

from __future__ import annotations

import string
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import yaml

from voxtile.bounded_text import load_yaml
from voxtile.domain import resolve
from voxtile.errors import ConfigError
from voxtile.evaluation.figures.robustness import checked
from voxtile.evaluation.kinds.factuality.task import FACTUALITY_KEYS, parse_factuality
from voxtile.evaluation.kinds.grounding.task import GROUNDING_KEYS, GROUNDING_KINDS, GroundingTask, grounding_fields
from voxtile.evaluation.kinds.neighbours.task import NEIGHBOURS_KEYS, parse_neighbours
from voxtile.evaluation.kinds.probe.task import PROBE_KEYS, parse_probe
from voxtile.evaluation.kinds.referring.task import REFERRING_KEYS, parse_referring
from voxtile.evaluation.kinds.retrieval.task import RETRIEVAL_KEYS, parse_retrieval
from voxtile.evaluation.scorers import scorers_of
from voxtile.evaluation.tasks.inherited import task_of, with_inherited
from voxtile.evaluation.tasks.place import Place, nearest, shown
from voxtile.evaluation.tasks.task import (
    KINDS,
    Aggregated,
    Averaged,
    Averaging,
    EvaluationTask,
    LabelRule,
    Task,
    TaskClass,
    Wording,
)

SHARED_KEYS = ("name", "title", "about", "kind", "unit", "split", "scheme", "where")
CLASSES_KEYS = (
    "uncertain", "facts_source", "vocabulary", "averaging", "fact_head_ensemble", "positive", "templates", "classes",
    "robustness", "subgroups", "scorers",
)  # fmt: skip
CLASS_KEYS = ("title", "concept", "when", "wordings", "prompts")
_KEYS = {
    "retrieval": RETRIEVAL_KEYS,
    "caption-factuality": FACTUALITY_KEYS,
    **{kind: (*CLASSES_KEYS, *GROUNDING_KEYS) for kind in GROUNDING_KINDS},
    "referring": REFERRING_KEYS,
    "image-retrieval": NEIGHBOURS_KEYS,
    "linear-probe": PROBE_KEYS,
    "few-shot": PROBE_KEYS,
    "zero-shot-multilabel": (*CLASSES_KEYS, "of"),
    "zero-shot-singlelabel": (*CLASSES_KEYS, "of"),
}
_EVERY_KEY = {*SHARED_KEYS}.union(*_KEYS.values())
AVERAGING_KEYS = ("templates", "wordings", "samples", "top_k")


def load_task(name: str) -> Task:
    """Read a task by `domain/name`, or from the path of a YAML file.

    Raises:
        ConfigError: no such task, or a file that is not one; the sentence says where and what would be right.
    """
    path = resolve(name, kind="task")
    try:
        with path.open(encoding="utf-8") as file:
            content = load_yaml(file.read(), _UniqueKeyLoader)
    except OSError as error:
        raise ConfigError(f"task file '{path}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"task file '{path}' is not valid YAML: {' '.join(str(error).split())}") from error
    return parse_task(content, where=Place(str(path)), name=path.stem if path == Path(name) else name)


def parse_task(content: object, *, where: Place | str, name: str) -> Task:
    """Turn the parsed YAML into a task.

    Args:
        content: what the YAML loader returned.
        where: the file, for error messages.
        name: the task's name unless the file has one.
    """
    place = where if isinstance(where, Place) else Place(where)
    given = place.mapping(content, _EVERY_KEY)
    if "kind" not in given:
        raise place.error("needs the key 'kind'")
    kind = place.choice(given, "kind", KINDS, None)
    task = place.mapping(content, (*SHARED_KEYS, *_KEYS[kind]))
    shared = {
        "name": place.text(task, "name", name),
        "title": place.text(task, "title", name),
        "about": place.text(task, "about", ""),
        "kind": kind,
        "unit": place.choice(task, "unit", ("sample", "study"), "sample"),
        "where": place.text(task, "where", "") or None,
        "split": place.choice(task, "split", ("test", "val", "train"), "test"),
        "scheme": place.text(task, "scheme", "default"),
    }
    if kind == "retrieval":
        return parse_retrieval(place, task, shared)
    if kind == "referring":
        return parse_referring(place, task, shared)
    if kind == "caption-factuality":
        return parse_factuality(place, task, shared)
    if kind == "image-retrieval":
        return parse_neighbours(place, task, shared, load_task)
    if kind in ("linear-probe", "few-shot"):
        return parse_probe(place, task, shared, load_task)
    return _asked_anew(place, task, shared) if "of" in task else _parse_classes(place, task, shared)


def _asked_anew(place: Place, task: Mapping[str, Any], shared: Mapping[str, Any]) -> EvaluationTask:
    """The classes and prompts of another task, with other averaging."""
    of = task_of(place, task, load_task)
    if of.kind != shared["kind"]:
        raise place.at("kind").error(f"'{of.name}' is of the kind {of.kind}, so that this task must be too")
    place.mapping(task, (*SHARED_KEYS, "of", "averaging"))
    averaging = _averaging(place.at("averaging"), task.get("averaging") or {}, multilabel=of.multilabel)
    return replace(of, **with_inherited(of, task, shared), averaging=averaging)


def _parse_classes(place: Place, task: Mapping[str, Any], shared: Mapping[str, Any]) -> EvaluationTask:
    if "classes" not in task:
        raise place.error("needs the key 'classes'")
    multilabel = shared["kind"] == "zero-shot-multilabel"
    classes = _classes(place.at("classes"), task["classes"], multilabel=multilabel)
    averaging = _averaging(place.at("averaging"), task.get("averaging") or {}, multilabel=multilabel)
    grounds = shared["kind"] in GROUNDING_KINDS
    kind = GroundingTask if grounds else EvaluationTask
    own = grounding_fields(place, task) if grounds else {}
    return kind(
        **shared,
        **own,
        classes=classes,
        templates=_templates(place.at("templates"), task.get("templates", ["{}"])),
        positive=_positive(place, task, classes, multilabel=multilabel),
        labels=_label_rule(place, task),
        averaging=averaging,
        fact_head_ensemble=place.flag(task, "fact_head_ensemble"),
        robustness=tuple(_robustness(place.at("robustness"), task)),
        subgroups=place.words(task, "subgroups"),
        scorers=scorers_of(place, task),
    )


def _label_rule(place: Place, task: Mapping[str, Any]) -> LabelRule:
    given = task.get("facts_source")
    sources = place.words(task, "facts_source") if isinstance(given, list) else (place.text(task, "facts_source", ""),)
    return LabelRule(
        uncertain=place.choice(task, "uncertain", ("ignore", "positive", "negative"), "ignore"),
        source=next(iter(sources), "") or None,
        vocabulary=place.text(task, "vocabulary", "") or None,
        otherwise=sources[1:],
    )


def _robustness(place: Place, task: Mapping[str, Any]) -> Sequence[str]:
    try:
        return checked(place.words(task, "robustness"))
    except ConfigError as error:
        if str(error).startswith("task file"):
            raise
        raise place.error(str(error)) from None


def _averaging(place: Place, value: object, *, multilabel: bool) -> Averaging:
    given = place.mapping(value, AVERAGING_KEYS)
    choices = {"samples": get_args(Aggregated)}
    levels = {
        key: place.choice(given, key, choices.get(key, get_args(Averaged)), getattr(Averaging(), key))
        for key in ("templates", "wordings", "samples")
    }
    if "wordings" not in given and not multilabel:
        levels["wordings"] = "embeddings"  # the usual prompt ensemble of a class
    counts = given.get("top_k", [1, 5, 10, 50, 100] if levels["samples"] == "top-k" else [])
    if not isinstance(counts, list) or not all(type(k) is int and k > 0 for k in counts):
        raise place.at("top_k").error(f"expected a list of whole numbers above 0, found {shown(counts)}")
    if bool(counts) != (levels["samples"] == "top-k"):
        raise place.at("top_k").error("goes with 'samples: top-k', which needs at least one number")
    return Averaging(**levels, top_k=tuple(sorted(set(counts))))


def _classes(place: Place, value: object, *, multilabel: bool) -> tuple[TaskClass, ...]:
    if not isinstance(value, dict) or not value:
        raise place.error(f"expected a mapping of class names to classes, found {shown(value)}")
    read: Callable[[Place, object], tuple[Wording, ...]] = _pairs if multilabel else _prompts
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


def _pairs(place: Place, value: object) -> tuple[Wording, ...]:
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


def _prompts(place: Place, value: object) -> tuple[Wording, ...]:
    if not isinstance(value, list) or not value:
        raise place.error("the class is empty: give a list of prompts")
    for number, item in enumerate(value):
        if not isinstance(item, str) or not item.strip():
            raise place.at(str(number)).error(f"expected a text, found {shown(item)}")
    return tuple(Wording(item.strip()) for item in value)


def _templates(place: Place, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise place.error(f'expected a list of templates such as "{{}}", found {shown(value)}')
    for number, item in enumerate(value):
        if not isinstance(item, str) or _fields(item) != [""]:
            raise place.at(str(number)).error(f"a template is a text with exactly one '{{}}', found {shown(item)}")
    return tuple(value)


def _fields(template: str) -> list[str] | None:
    try:
        return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError:
        return None


def _positive(place: Place, task: Mapping[str, Any], classes: tuple[TaskClass, ...], *, multilabel: bool) -> str | None:
    names = [c.name for c in classes]
    positive = place.text(task, "positive", "")
    if task["kind"] in GROUNDING_KINDS:
        return None
    if positive and (multilabel or len(classes) != 2):
        raise place.at("positive").error("only a single-label task of two classes has a positive class")
    if positive and positive not in names:
        raise place.at("positive").error(f"'{positive}' is not a class; {nearest(positive, names)}")
    if not multilabel and len(classes) == 2:
        return positive or names[1]
    return None


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
