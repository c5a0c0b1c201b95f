"""How a section of the docs is set up: what lies in its empty folder, and how its commands are made small enough."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Phantom:
    """A file or folder of `voxtile phantom KIND`; the whole of it where `part` is empty."""

    kind: str
    n: int
    part: str = ""


@dataclass(frozen=True)
class From:
    """A file or folder that the commands of another section left."""

    section: tuple[str, str]
    path: str


@dataclass(frozen=True)
class Shell:
    """What a line of bash makes in the folder; `made NAME` calls `made.py`."""

    line: str


@dataclass(frozen=True)
class Scene:
    """One section of a page.

    Attributes:
        given: what lies in the folder at first, by name.
        before: pattern of a command → a line of bash that is run before it.
        run_as: pattern of a command → what stands in its place, by `re.sub`.
        skipped: pattern of a command → why it cannot be run here.
        exits: pattern of a command as it is run → the exit status that it has by intent, where that is not 0.
        partly: patterns of commands that may refuse some of their inputs: exit 1 is right too, where rows were added.
        spans: code spans of the section's text that are run too, after its blocks.
    """

    given: dict[str, Phantom | From | Shell] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    run_as: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    partly: tuple[str, ...] = ()
    spans: tuple[str, ...] = ()
