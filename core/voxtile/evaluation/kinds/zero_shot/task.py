"""Tasks with classes, and what their YAML may say: pairs of wordings or prompts, labels, orders of averaging."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

from voxtile.evaluation.tasks.choices import changes_of, scorers_of
from voxtile.evaluation.tasks.inherited import task_of, with_inherited
from voxtile.evaluation.tasks.place import Place, nearest, shown
from voxtile.evaluation.tasks.task import (
    SHARED_KEYS,
    Aggregated,
    Averaged,
    Averaging,
    EvaluationTask,
    LabelRule,
    Task,
    TaskClass,
    Wording,
)

MULTILABEL = "zero-shot-multilabel"
SINGLE_LABEL = "zero-shot-singlelabel"
OF_VOCABULARY = "vocabulary"
"""What `classes` says where they are those that the corpus looked for, each asked by its own name."""
CLASSES_KEYS = (
    "uncertain", "facts_source", "vocabulary", "averaging", "fact_head_ensemble", "positive", "templates", "classes",
    "robustness", "subgroups", "scorers",
)  # fmt: skip
ZERO_SHOT_KEYS = (*CLASSES_KEYS, "of")
CLASS_KEYS = ("title", "concept", "when", "wordings", "prompts")
AVERAGING_KEYS = ("templates", "wordings", "samples", "top_k")


def parse_zero_shot(
    place: Place, task: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
) -> EvaluationTask:
    """The task of a file whose `kind` is `zero-shot-multilabel` or `zero-shot-singlelabel`.

    Args:
        place: of the file, for error messages.
        task: the file's mapping.
        shared: the fields that all tasks have.
        load: reads another task, whose classes are asked anew, by its name or path.

    Raises:
        ConfigError: there are no classes, or a value is not what it should be.
    """
    if "of" in task:
        return _asked_anew(place, task, shared, load)
    multilabel = shared["kind"] == MULTILABEL
    fields = class_fields(place, task, multilabel=multilabel)
    positive = _positive(place, task, fields["classes"], multilabel=multilabel)
    return EvaluationTask(**shared, **fields, positive=positive)


def class_fields(place: Place, task: Mapping[str, Any], *, multilabel: bool) -> dict[str, Any]:
    """What the YAML of a task with classes says, but for the positive class.

    Args:
        place: of the file.
        task: the file's mapping.
        multilabel: classes are asked by pairs of wordings, not by prompts.

    Raises:
        ConfigError: there are no classes, or a value is not what it should be.
    """
    if "classes" not in task:
        raise place.error("needs the key 'classes'")
    return {
        "classes": _classes(place.at("classes"), task["classes"], task, multilabel=multilabel),
        "templates": _templates(place.at("templates"), task.get("templates", ["{}"])),
        "labels": _label_rule(place, task),
        "averaging": _averaging(place.at("averaging"), task.get("averaging") or {}, multilabel=multilabel),
        "fact_head_ensemble": place.flag(task, "fact_head_ensemble"),
        "robustness": changes_of(place, task),
        "subgroups": place.words(task, "subgroups"),
        "scorers": scorers_of(place, task),
    }


def _asked_anew(
    place: Place, task: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
) -> EvaluationTask:
    """The classes and prompts of another task, with other averaging."""
    of = task_of(place, task, load)
    if of.kind != shared["kind"]:
        raise place.at("kind").error(f"'{of.name}' is of the kind {of.kind}, so that this task must be too")
    place.mapping(task, (*SHARED_KEYS, "of", "averaging"))
    averaging = _averaging(place.at("averaging"), task.get("averaging") or {}, multilabel=of.multilabel)
    return replace(of, **with_inherited(of, task, shared), averaging=averaging)


def _label_rule(place: Place, task: Mapping[str, Any]) -> LabelRule:
    given = task.get("facts_source")
    sources = place.words(task, "facts_source") if isinstance(given, list) else (place.text(task, "facts_source", ""),)
    return LabelRule(
        uncertain=place.choice(task, "uncertain", ("ignore", "positive", "negative"), "ignore"),
        source=next(iter(sources), "") or None,
        vocabulary=place.text(task, "vocabulary", "") or None,
        otherwise=sources[1:],
    )


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


def _classes(place: Place, value: object, task: Mapping[str, Any], *, multilabel: bool) -> tuple[TaskClass, ...]:
    if value == OF_VOCABULARY and task.get("kind") == SINGLE_LABEL:
        if not task.get("vocabulary"):
            raise place.error("classes of the corpus are those of a vocabulary; name it under 'vocabulary'")
        return ()  # label_source reads them
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
    asked: dict[tuple[Wording, ...], str] = {}
    for found in () if multilabel else classes:
        if (other := asked.setdefault(found.wordings, found.name)) != found.name:
            raise place.at(found.name).error(f"the prompts are those of '{other}', so that neither wins; change one")
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
        if present.strip() == absent.strip():
            raise here.error("'present' and 'absent' are the same text, which tells no image from another; change one")
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
    if positive and (multilabel or len(classes) != 2):
        raise place.at("positive").error("only a single-label task of two classes has a positive class")
    if positive and positive not in names:
        raise place.at("positive").error(f"'{positive}' is not a class; {nearest(positive, names)}")
    if not multilabel and len(classes) == 2:
        return positive or names[1]
    return None
