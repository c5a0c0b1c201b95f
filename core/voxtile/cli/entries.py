"""What the table of commands is made of: an entry for a command of one word, a group for those of two, and headings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from voxtile.domain import Command

CORPUS = "Make a corpus"
ENRICH = "Look at it and add to it"
MODEL = "Train and evaluate"
SELF = "About this installation"


@dataclass(frozen=True)
class Entry:
    """A command of one word.

    Attributes:
        section: heading in the help.
        usage: arguments as the help shows them.
        command: the function, its help and its example.
        takes_argv: the function parses its own command line.
        adds: it adds tables to the corpus that it is given as `corpus`, also to one in a store.
    """

    section: str
    usage: str
    command: Command
    takes_argv: bool = False
    adds: bool = False


@dataclass(frozen=True)
class Group:
    """A command whose second word (or the value of `selector`) names one of several functions.

    Attributes:
        section, usage: as in `Entry`.
        help: one line.
        example: a whole command line.
        noun: what a member is called in messages.
        members: finds the functions by name.
        selector: option that names the member instead of the second word, e.g. `--from`.
        old_form: takes the words of a command line that begins with no member's name, and the members; gives the
            member that is meant and the words for it.
        old_usage: what that form is, for the help.
        adds: as in `Entry`.
        makes: it also makes the corpus where there is none.
    """

    section: str
    usage: str
    help: str
    example: str
    noun: str
    members: Callable[[], Mapping[str, Command]]
    selector: str | None = None
    old_form: Callable[[Sequence[str], Mapping[str, Command]], tuple[str, list[str]]] | None = None
    old_usage: str = ""
    adds: bool = False
    makes: bool = False
