"""Voices: how the tasks of a domain ask, said in one file that they name.

A voice (`voices/NAME.yaml` of a plugin's YAML files, or a file beside the task) holds any keys of a task, which are
those of every task that names it and has none of its own, and

    about: …            sentences before the task's own
    concepts: words     a class without `concept` is known by its name, `_` read as a space
    phrased: […]        what is asked about a class that is given by phrases: texts, or {present: …, absent: …}, in
                        which `{}` and `{0}` are its first phrase, `{1}` its second; its name, where it has none
    classes: {…}        prompts (or phrases) of classes; tasks give the names

`{organ}` in its `about`, `templates` and `phrased` is filled by the task:
`voice: {name: pathology/histology, organ: colon}`. The result is a task as if everything stood in its file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.domain import resolve
from voxtile.errors import ConfigError
from voxtile.evaluation.tasks.place import Place, nearest, shown

OWN_KEYS = ("about", "concepts", "phrased", "classes")
_NOT_OF_VOICES = ("name", "title", "of", "voice")
_FILLED = ("about", "templates", "phrased")
_SLOT = re.compile(r"\{([a-z][a-z_]*)\}")
_NUMBER = re.compile(r"\{(\d?)\}")


def with_voice(content: object, place: Place, read: Callable[[Path, str], object]) -> object:
    """The content of a task file with what its voice says; as it is where it names none.

    Args:
        content: what the YAML loader returned.
        place: of the file, for error messages.
        read: reads a YAML file; its second argument says what the file is, for error messages.

    Raises:
        ConfigError: there is no such voice, it is none, it lacks a class, or a slot of it is not filled.
    """
    if not isinstance(content, dict) or "voice" not in content:
        return content
    voice = _voice(place.at("voice"), content, read)
    task = {key: value for key, value in voice.content.items() if key not in OWN_KEYS}
    task |= {key: value for key, value in content.items() if key not in ("voice", "classes")}
    if about := [text for text in (voice.content.get("about"), content.get("about")) if isinstance(text, str)]:
        task["about"] = " ".join(text.strip() for text in about)
    if "classes" in content:
        task["classes"] = _classes(place.at("classes"), content["classes"], voice)
    return task


@dataclass(frozen=True)
class _Voice:
    """A voice, its slots filled."""

    name: str
    content: Mapping[str, Any]
    place: Place

    @property
    def classes(self) -> Mapping[str, Any]:
        classes: Mapping[str, Any] = self.content.get("classes") or {}
        return classes

    def fields(self, place: Place, name: str, given: object) -> dict[str, Any]:
        """The keys of a class, from what the task and the voice give of it."""
        if given is None and name not in self.classes and not self.content.get("phrased"):
            raise place.error(f"the voice '{self.name}' has no such class; {_near(name, self.classes)}")
        known, own = (_as_mapping(place, value, self._texts) for value in (self.classes.get(name), given))
        if {"prompts", "wordings", "phrases"} & set(own):
            known = {key: value for key, value in known.items() if key not in ("prompts", "wordings", "phrases")}
        fields = {**known, **own}
        words = name.replace("_", " ")
        if self.content.get("concepts") == "words":
            fields.setdefault("concept", words)
        phrases = fields.pop("phrases", None)
        if self.content.get("phrased") and not {"prompts", "wordings"} & set(fields):
            fields |= self._asked(place, phrases or [words])
        return fields

    @property
    def _texts(self) -> str:
        """What a class that is only a list of texts gives."""
        return "phrases" if self.content.get("phrased") else "prompts"

    def _asked(self, place: Place, phrases: Sequence[str]) -> dict[str, Any]:
        if not isinstance(phrases, list) or not all(isinstance(phrase, str) for phrase in phrases):
            raise place.error(f"expected a list of phrases, found {shown(phrases)}")

        def filled(text: str) -> str:
            return _NUMBER.sub(lambda slot: phrases[int(slot[1] or 0)], text)

        try:
            asked = [
                {side: filled(text) for side, text in form.items()} if isinstance(form, dict) else filled(form)
                for form in self.content["phrased"]
            ]
        except IndexError:
            most = max(int(number or 0) for number in _NUMBER.findall(str(self.content["phrased"]))) + 1
            raise place.error(
                f"the voice '{self.name}' needs {most} phrases of a class, here are {len(phrases)}"
            ) from None
        return {"wordings" if isinstance(asked[0], dict) else "prompts": asked}


def _voice(place: Place, task: Mapping[str, Any], read: Callable[[Path, str], object]) -> _Voice:
    """The voice that a task names, its slots filled."""
    given = task["voice"] if isinstance(task["voice"], dict) else {"name": task["voice"]}
    name = given.get("name")
    if not isinstance(name, str):
        raise place.error(
            f"expected the name of a voice, such as remote_sensing/overhead, found {shown(task['voice'])}"
        )
    path = _path(place, name)
    content, here = read(path, "voice"), Place(str(path), what="voice")
    if not isinstance(content, dict):
        raise here.error(f"expected a mapping, found {shown(content)}")
    for key in _NOT_OF_VOICES:
        if key in content:
            raise here.error(f"'{key}' belongs into the tasks that name this voice")
    _check(here, content)
    used = {key: content[key] for key in _FILLED if key in content and (key == "about" or key not in task)}
    slots = sorted({slot for value in used.values() for slot in _SLOT.findall(str(value))})
    values = {key: value for key, value in given.items() if key != "name"}
    for slot in slots:
        if not isinstance(values.get(slot), str):
            raise place.error(f"the voice '{name}' needs '{slot}': voice: {{name: {name}, {slot}: …}}")
    for key in values:
        if key not in slots:
            raise place.error(f"the voice '{name}' has nothing to fill with '{key}'; {_near(key, slots)}")
    return _Voice(name, {**content, **{key: _filled(value, values) for key, value in used.items()}}, here)


def _check(here: Place, content: Mapping[str, Any]) -> None:
    if "concepts" in content:
        here.choice(content, "concepts", ("words",), None)
    phrased = content.get("phrased", [])
    pairs = [isinstance(form, dict) and set(form) == {"present", "absent"} for form in phrased or ()]
    texts = [isinstance(form, str) for form in phrased or ()]
    if not isinstance(phrased, list) or not (all(pairs) or all(texts)):
        raise here.at("phrased").error("expected a list of texts, or of {present: …, absent: …}, each with '{}'")
    if not isinstance(content.get("classes", {}), dict):
        raise here.at("classes").error(f"expected a mapping of names to prompts, found {shown(content['classes'])}")


def _path(place: Place, name: str) -> Path:
    if Path(name).suffix in (".yaml", ".yml") and (beside := Path(place.file).parent / name).is_file():
        return beside
    try:
        return resolve(name, kind="voice")
    except ConfigError as error:
        raise place.error(str(error)) from error


def _filled(value: Any, values: Mapping[str, str]) -> Any:  # noqa: ANN401 - texts, within lists and mappings
    if isinstance(value, str):
        return _SLOT.sub(lambda slot: values[slot[1]], value)
    if isinstance(value, list):
        return [_filled(part, values) for part in value]
    return {key: _filled(part, values) for key, part in value.items()} if isinstance(value, dict) else value


def _classes(place: Place, given: object, voice: _Voice) -> object:
    """Classes as they would stand in the file; what is no list or mapping is left to the reader of tasks to refuse."""
    if isinstance(given, list):
        names = [name for name in given if isinstance(name, str)]
        if len(names) < len(given) or len(set(names)) < len(names):
            raise place.error(f"expected names of classes, each once, or a mapping; found {shown(given)}")
        given = dict.fromkeys(names)
    if not isinstance(given, dict):
        return given
    return {name: voice.fields(place.at(str(name)), str(name), value) for name, value in given.items()}


def _as_mapping(place: Place, value: object, texts: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return dict(value)
    if value is None:
        return {}
    if isinstance(value, str | list):
        pairs = isinstance(value, list) and any(isinstance(text, dict) for text in value)
        return {"wordings" if pairs else texts: [value] if isinstance(value, str) else value}
    raise place.error(f"expected texts or a mapping, found {shown(value)}")


def _near(word: str, choices: Mapping[str, Any] | Sequence[str]) -> str:
    return nearest(word, choices) if choices else "it has none"
