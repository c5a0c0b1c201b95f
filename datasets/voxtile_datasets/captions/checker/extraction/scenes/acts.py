"""Causes and advice that the form of a sentence tells: "hikers burnt the slope", "Plant a hedge along the road"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxtile.words.phrases import Match
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.statements import Statement
from voxtile_datasets.captions.checker.verb_forms import forms_of

# What people, animals and weather do to land and things so that it shows.
_DOING = """
burn scorch destroy flood drain kill strip clear fell divert pollute ruin wreck flatten damage erode empty
swallow consume devour raze devastate ravage uproot breach cause trigger spark ignite drown strand ground
poison dry blacken char level bulldoze plunder overgraze overfish trample blow sweep wash tear drive push
force turn shrink leave set make cut
"""
_CAUSING = frozenset(form for verb in _DOING.split() for form in forms_of(verb))
_ASKING = frozenset(
    ["plant", "build", "dredge", "widen", "harvest", "irrigate", "move", "install", "protect", "restore", "replace",
     "repair", "extend", "drain", "save", "avoid", "clear", "thin", "prune", "fertilise", "fertilize", "sow", "mow",
     "demolish", "renovate", "repaint", "resurface", "reforest", "rewild", "expand", "add", "remove", "close",
     "open", "convert", "ban", "invest", "consider", "upgrade", "strengthen", "raise", "lower", "reroute",
     "relocate", "stop", "prevent", "keep", "evacuate", "inspect", "monitor", "hire", "employ", "put", "fence",
     "fill", "dig", "pave"]
)  # fmt: skip
_OBJECTS = frozenset(
    ["a", "an", "the", "more", "some", "these", "this", "that", "those", "another", "further", "new", "its", "all",
     "your", "every", "each", "up", "down", "out", "in", "off"]
)  # fmt: skip
_PRESENT = 6  # words between who does something and the verb
_BE = frozenset(["is", "are", "was", "were", "be", "been", "being", "get", "got", "has", "have"])


def acts(statement: Statement, mentions: Sequence[Mention], agents: Sequence[Match[str]]) -> Iterator[Match[str]]:
    """Clauses that tell a cause or give advice, as matches of the kinds `cause` and `advice`.

    Args:
        statement: the sentence.
        mentions: the concepts that it names.
        agents: words for people, animals and happenings in it.
    """
    words = statement.words.words
    if (
        words
        and words[0] in _ASKING
        and words[1:2]
        and words[1] in _OBJECTS
        and statement.words.text.lstrip()[:1].isupper()
    ):
        yield Match(0, 1, "advice")
    for position, word in enumerate(words):
        if word not in _CAUSING or words[position - 1 : position] in tuple((be,) for be in _BE):
            continue
        is_done = any(0 < position - agent.end + 1 <= _PRESENT for agent in agents)
        following = words[position + 1 : position + 2]
        has_object = bool(following) and (
            following[0] in _OBJECTS
            or following[0][0].isdecimal()
            or following[0] in statement.grammar.numbers
            or any(m.start == position + 1 for m in mentions)
        )
        if is_done and has_object and statement.polarity(position, position + 1) != "absent":
            yield Match(position, position + 1, "cause")
