"""The task of referring expressions, and what its YAML may say beyond the keys that all tasks share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voxtile.evaluation.tasks.place import Place, shown
from voxtile.evaluation.tasks.task import Task

REFERRING_KEYS = ("regions", "overlap", "templates", "groups", "several", "windows", "median")
LEFT_OUT, UNION = "leave-out", "union"


@dataclass(frozen=True)
class WindowSizes:
    """How a picture is looked at.

    Attributes:
        sides: of the squares, in pixels of the picture.
        median: side of the box that smooths the map, odd; 1 for none.
    """

    sides: tuple[int, ...]
    median: int = 1


@dataclass(frozen=True, kw_only=True)
class ReferringTask(Task):
    """Each phrase of a picture means one object of it, which is shown as a box.

    Attributes:
        regions: sources of the regions, by their beginning; all where empty.
        overlap: intersection over union of boxes from which on an answer is right.
        templates: ways to ask, each with one `{}` for the phrase; answers are averaged over them.
        groups: name → pattern, searched for in phrases; each phrase counts in the first group that fits.
        union: a phrase with several boxes means all of them, and maps are judged; else it is left out as ambiguous.
        windows: of which sizes maps are made, and judged as semantic localisation is; None for what a model grounds.
    """

    regions: tuple[str, ...] = ()
    overlap: float = 0.5
    templates: tuple[str, ...] = ("{}",)
    groups: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    union: bool = False
    windows: WindowSizes | None = None

    def group_of(self, phrase: str) -> str | None:
        """The group of a phrase, or None."""
        return next((name for name, pattern in self.groups.items() if pattern.search(phrase)), None)


def parse_referring(place: Place, task: Mapping[str, Any], shared: Mapping[str, Any]) -> ReferringTask:
    """The task of a file whose `kind` is `referring`.

    Args:
        place: of the file, for error messages.
        task: the file's mapping.
        shared: the fields that all tasks have.

    Raises:
        ConfigError: a value is not what it should be.
    """
    if shared["unit"] != "sample":
        raise place.at("unit").error("phrases mean objects of single pictures; leave it out, or set it to sample")
    overlap = task.get("overlap", 0.5)
    if isinstance(overlap, bool) or not isinstance(overlap, int | float) or not 0 < overlap <= 1:
        raise place.at("overlap").error(f"expected a number above 0 and at most 1, found {shown(overlap)}")
    templates = _texts(place.at("templates"), task.get("templates", ["{}"]))
    if not templates or any(text.count("{}") != 1 for text in templates):
        raise place.at("templates").error('expected texts with one {} for the phrase, such as ["{}"]')
    groups = task.get("groups") or {}
    if not isinstance(groups, dict) or not all(isinstance(v, str) for v in groups.values()):
        raise place.at("groups").error(f"expected names with a pattern each, found {shown(groups)}")
    union = place.choice(task, "several", (LEFT_OUT, UNION), LEFT_OUT) == UNION
    return ReferringTask(
        **shared,
        regions=_texts(place.at("regions"), task.get("regions", [])),
        overlap=float(overlap),
        templates=templates,
        union=union,
        windows=_windows(place, task, union=union),
        groups={str(name): _pattern(place.at("groups").at(str(name)), text) for name, text in groups.items()},
    )


def _windows(place: Place, task: Mapping[str, Any], *, union: bool) -> WindowSizes | None:
    sides, median = task.get("windows"), task.get("median", 1)
    if sides is None:
        if "median" in task:
            raise place.at("median").error("only maps of windows are smoothed; set windows to their sizes in pixels")
        return None
    if not isinstance(sides, list) or not sides or not all(_is_size(side) for side in sides):
        raise place.at("windows").error(f"expected sizes in pixels, such as [256, 512], found {shown(sides)}")
    if not _is_size(median) or median % 2 == 0:
        raise place.at("median").error(f"expected an odd number of pixels, found {shown(median)}")
    if not union:
        raise place.at("several").error("maps of windows are judged by all regions of a phrase; set it to union")
    return WindowSizes(tuple(sides), median)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _texts(place: Place, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        raise place.error(f"expected a list of texts, found {shown(value)}")
    return tuple(value)


def _pattern(place: Place, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise place.error(f"'{text}' is no regular expression ({error})") from error
