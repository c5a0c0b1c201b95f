"""Many phrases found in one pass over the words of a sentence.

Phrases are written `(a|b) [c] d`: a choice, a word that may be left out (`[a|b]`: either, or none). They are expanded
and kept in a trie.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic, TypeVar

from voxtile.words.tokens import words_of

Payload = TypeVar("Payload")
_PIECE = re.compile(r"\[(?P<optional>(?:[^\[\]()]|\([^()]*\))*)\]|\((?P<choice>[^()]*)\)|(?P<plain>[^\[\]()]+)")
# More expansions than this are a mistake in the table, not a phrase.
_MAX_EXPANSIONS = 2000


@dataclass(frozen=True)
class Match(Generic[Payload]):
    """A phrase in a sentence: word positions, half-open, and what the phrase stands for."""

    start: int
    end: int
    payload: Payload


@dataclass(slots=True)
class _Node(Generic[Payload]):
    children: dict[str, _Node[Payload]] = field(default_factory=dict)
    payloads: tuple[Payload, ...] = ()

    def after(self, words: Iterable[str]) -> _Node[Payload]:
        """The node that some words lead to, made where there is none."""
        node = self
        for word in words:
            child = node.children.get(word)
            if child is None:  # a node that is not needed costs more than a look
                child = node.children[word] = _Node()
            node = child
        return node

    def longest_passing(
        self, words: Sequence[str], start: int, passed: Container[int]
    ) -> tuple[int, tuple[Payload, ...]] | None:
        """End and payloads of the longest phrase that goes on from here at a word."""
        found = (start, self.payloads) if self.payloads else None
        if start >= len(words) or not self.children:
            return found
        child = self.children.get(words[start])
        longer = child.longest_passing(words, start + 1, passed) if child is not None else None
        if longer is None and start in passed:
            at = start + 1
            while at < len(words) and at in passed and words[at] not in self.children:
                at += 1
            child = self.children.get(words[at]) if at < len(words) else None
            longer = child.longest_passing(words, at + 1, passed) if child is not None else None
        return longer or found


class Phrases(Generic[Payload]):
    """A set of phrases, each with a payload; built once, then only read. A phrase may be given as its words."""

    def __init__(self, phrases: Iterable[tuple[str | tuple[str, ...], Payload]]) -> None:
        self._root: _Node[Payload] = _Node()
        for phrase, payload in phrases:
            nodes = [self._root]
            for piece in _pieces(phrase) if isinstance(phrase, str) else ((phrase,),):
                nodes = [node.after(words) for node in nodes for words in piece]
            for node in nodes:
                if node is not self._root and payload not in node.payloads:
                    node.payloads += (payload,)

    def first_words(self) -> frozenset[str]:
        """The words with which phrases begin."""
        return frozenset(self._root.children)

    def words(self) -> frozenset[str]:
        """All words of the phrases."""
        found: set[str] = set()
        waiting = [self._root]
        while waiting:
            children = waiting.pop().children
            found.update(children)  # `|=` with keys would copy the set
            waiting += children.values()
        return frozenset(found)

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], Payload]]:
        """Every phrase, as its words, with each of its payloads."""
        waiting: list[tuple[tuple[str, ...], _Node[Payload]]] = [((), self._root)]
        while waiting:
            words, node = waiting.pop()
            yield from ((words, payload) for payload in node.payloads)
            waiting += [((*words, word), child) for word, child in node.children.items()]

    def longest_at(self, words: Sequence[str], start: int) -> tuple[int, tuple[Payload, ...]] | None:
        """End and payloads of the longest phrase that begins at a word."""
        node, found = self._root, None
        for end in range(start, len(words)):
            child = node.children.get(words[end])
            if child is None:
                break
            node = child
            if node.payloads:
                found = (end + 1, node.payloads)
        return found

    def find_passing(self, words: Sequence[str], passed: Container[int]) -> list[Match[Payload]]:
        """As `find`, where a phrase may pass over words that stand within it.

        Args:
            words: of the sentence.
            passed: positions of the words that phrases may pass over; a phrase that names such a word has it, too.
        """
        children = self._root.children
        return self._from_left(words, lambda at: children[words[at]].longest_passing(words, at + 1, passed))

    def find(self, words: Sequence[str]) -> list[Match[Payload]]:
        """Longest phrases from left to right that do not overlap, one match a payload."""
        return self._from_left(words, lambda at: self.longest_at(words, at))

    def find_reaching(self, words: Sequence[str], yielding: Container[str]) -> list[Match[Payload]]:
        """As `find`, where a phrase may give way to one that begins within it, is no shorter and reaches farther.

        "Large thyroid cancer" has the phrase "thyroid cancer" and not "large thyroid".

        Args:
            words: of the sentence.
            yielding: the first words of phrases that give way.
        """
        return self._from_left(words, lambda at: self._unless_overtaken(words, at, yielding))

    def _unless_overtaken(
        self, words: Sequence[str], start: int, yielding: Container[str]
    ) -> tuple[int, tuple[Payload, ...]] | None:
        found = self.longest_at(words, start)
        if words[start] not in yielding:
            return found
        for later in range(start + 1, found[0] if found is not None else start):
            other = self.longest_at(words, later)
            if found is not None and other is not None and other[0] - later >= found[0] - start:
                return None
        return found

    def _from_left(
        self, words: Sequence[str], longest: Callable[[int], tuple[int, tuple[Payload, ...]] | None]
    ) -> list[Match[Payload]]:
        """Phrases from left to right that do not overlap; `longest` is asked where a word begins a phrase."""
        matches: list[Match[Payload]] = []
        position = 0
        children = self._root.children
        while position < len(words):
            found = longest(position) if words[position] in children else None
            if found is None:
                position += 1
                continue
            end, payloads = found
            matches.extend(Match(position, end, payload) for payload in payloads)
            position = end
        return matches


def expand(phrase: str) -> Iterator[tuple[str, ...]]:
    """All word sequences that a phrase stands for.

    Raises:
        ValueError: brackets that do not match, an empty phrase, or one with more than 2,000 expansions.
    """
    for chosen in itertools.product(*_pieces(phrase)):
        words = tuple(itertools.chain.from_iterable(chosen))
        if words:
            yield words


def _pieces(phrase: str) -> list[tuple[tuple[str, ...], ...]]:
    """What a phrase is made of: for each piece its choices, as words."""
    pieces: list[tuple[tuple[str, ...], ...]] = []
    end = total = 0
    for match in _PIECE.finditer(phrase):
        if match.start() != end:
            break
        end = match.end()
        pieces.append(tuple(_words(choice) for choice in _choices(match)))
        total = max(total, 1) * len(pieces[-1])
    if end != len(phrase) or not phrase.strip() or total > _MAX_EXPANSIONS:
        raise ValueError(f"'{phrase}' is not a phrase: check its brackets, and keep its choices few")
    return pieces


@lru_cache(maxsize=50_000)
def _words(text: str) -> tuple[str, ...]:
    """The words of a part of a phrase, as they are between others."""
    return words_of(f" {text} ").words


def _choices(match: re.Match[str]) -> tuple[str, ...]:
    if (optional := match["optional"]) is not None:
        within = optional if "(" in optional or "|" not in optional else f"({optional})"
        return ("", *(" ".join(words) for words in expand(within)))
    if (choice := match["choice"]) is not None:
        return tuple(choice.split("|"))
    return (match["plain"],)
