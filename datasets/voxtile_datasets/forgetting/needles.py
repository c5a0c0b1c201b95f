"""What a search for a subject looks for, and the search of bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import ahocorasick_rs

from voxtile.corpus.view.text import hash63, text_hash

SHORTEST = 6  # characters; shorter identifiers stand in other words by chance
SHORTEST_TEXT = 20
_WORD = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-")
_BLOCK = 1 << 24
_PIXELS = "stretches of pixels"
_DIGEST_BYTES = 8  # of a payload's sha-256, as compiled views hold it


@dataclass
class Needles:
    """Byte patterns by what they are.

    Attributes:
        counts: kind → number of patterns.
        short: identifiers that are too short to be looked for in bytes; they are compared with whole values.
    """

    counts: dict[str, int] = field(default_factory=dict)
    short: set[str] = field(default_factory=set)
    _patterns: dict[bytes, tuple[str, bool]] = field(default_factory=dict)
    _automaton: ahocorasick_rs.BytesAhoCorasick | None = None

    def add_names(self, kind: str, values: Iterable[str]) -> None:
        """Identifiers, which count where they stand as words of their own."""
        for value in values:
            if len(value) < SHORTEST:
                self.short.add(value)
                self.counts.setdefault(kind, 0)
                self.counts[kind] += 1
            else:
                self._add(kind, {value.encode(), json.dumps(value)[1:-1].encode()}, whole=True)

    def add_uids(self, values: Iterable[str]) -> None:
        """Uids of samples, also as the 16 bytes that compiled views hold."""
        for value in values:
            try:
                raw = bytes.fromhex(value)
            except ValueError:
                raw = b""
            self._add("uids", {value.encode()} | ({raw} if len(raw) == 16 and len(set(raw)) > 4 else set()))

    def add_texts(self, values: Iterable[str]) -> None:
        """Captions and reports, also as JSON writes them and by the hash that views hold."""
        for value in values:
            if len(value) >= SHORTEST_TEXT:
                self._add("texts", {value.encode(), json.dumps(value)[1:-1].encode(), _word64(text_hash(value))})

    def add_subject_hashes(self, subjects: Iterable[str], studies: Iterable[tuple[str, str]]) -> None:
        """What stands for subjects and studies in compiled views."""
        for subject in subjects:
            self._add("hashes of views", {_word64(hash63(subject))})
        for subject, study in studies:
            self._add("hashes of views", {_word64(hash63(f"{subject}\0{study}"))})

    def add_payload_hashes(self, values: Iterable[str]) -> None:
        """Sha-256 of pixels, hexadecimal, and the bytes that compiled views hold."""
        for value in values:
            self._add("hashes of pixels", {value.encode(), bytes.fromhex(value)[:_DIGEST_BYTES]})

    def add_pixels(self, windows: Iterable[bytes]) -> None:
        """Stretches of the stored pixels themselves."""
        for window in windows:
            self._add(_PIXELS, {window})

    def pixels_among(self, patterns: Iterable[bytes]) -> set[bytes]:
        """Those of some patterns that are stretches of pixels."""
        return {pattern for pattern in patterns if self.kind(pattern) == _PIXELS}

    def leave_out(self, patterns: Iterable[bytes]) -> None:
        """Look for these no more."""
        for pattern in patterns:
            kind, _ = self._patterns.pop(pattern)
            self.counts[kind] -= 1
        self._automaton = None

    def found_in(self, data: bytes | memoryview) -> set[bytes]:
        """Patterns that stand in some bytes."""
        if not self._patterns:
            return set()
        patterns = list(self._patterns)
        if self._automaton is None:
            self._automaton = ahocorasick_rs.BytesAhoCorasick(patterns)
        found = set()
        for number, start, end in self._automaton.find_matches_as_indexes(data, overlapping=True):
            pattern = patterns[number]
            if pattern not in found and (not self._patterns[pattern][1] or _stands_alone(data, start, end)):
                found.add(pattern)
        return found

    def found_in_file(self, path: Path) -> set[bytes]:
        """Patterns that stand in a file's bytes, read in blocks that overlap."""
        overlap = max(map(len, self._patterns), default=0) + 1
        found: set[bytes] = set()
        with path.open("rb") as file:
            tail = b""
            while block := file.read(_BLOCK):
                found |= self.found_in(tail + block)
                tail = (tail + block)[-overlap:]
        return found

    def kind(self, pattern: bytes) -> str:
        """What a pattern is."""
        return self._patterns[pattern][0]

    def _add(self, kind: str, patterns: Iterable[bytes], *, whole: bool = False) -> None:
        fresh = [pattern for pattern in patterns if pattern and pattern not in self._patterns]
        for pattern in fresh:
            self._patterns[pattern] = (kind, whole)
        self.counts[kind] = self.counts.get(kind, 0) + bool(fresh)
        self._automaton = None


def pixel_windows(payload: bytes) -> Iterator[bytes]:
    """Stretches of a payload that no other one has by chance: 48 bytes with many different ones among them."""
    for place in (len(payload) // 3, len(payload) // 2, 2 * len(payload) // 3):
        window = payload[place : place + 48]
        if len(set(window)) >= 32:
            yield window


def _word64(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _stands_alone(data: bytes | memoryview, start: int, end: int) -> bool:
    before = start == 0 or data[start - 1] not in _WORD
    return before and (end == len(data) or data[end] not in _WORD)
