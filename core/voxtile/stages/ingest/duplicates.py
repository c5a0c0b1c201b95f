"""Finds pictures that are there already while a plan is made, reading as little as possible.

Within a plan, payloads of equal size and equal edges (first and last bytes) are compared by their full hash; all others
are told apart without reading them whole. Against a corpus that holds samples already, every payload is hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.engine.commit import read_done


@dataclass(frozen=True)
class First:
    """Where a picture was met first.

    Attributes:
        source: the ledger's name for it.
        where: how the task reads it again; None when the corpus holds it from another run.
    """

    source: str
    where: Mapping[str, Any] | None


class Duplicates:
    """Remembers the pictures of a plan and of the corpus that it goes into.

    Args:
        corpus: may not exist yet.
        task: name of the task. What it stored from the same source, in whatever run, is no duplicate: the plan of a
            resumed run is the same, and what is new about the picture is added to it.
    """

    def __init__(self, corpus: Path, task: str) -> None:
        self._by_edges: dict[str, tuple[First, Callable[[], str]]] = {}
        self._by_hash: dict[str, First] = {}
        self._stored = _stored_sources(corpus, task)

    def first_of(self, edges: str, owner: First, full_hash: Callable[[], str]) -> First | None:
        """Where the same picture was met before, or None when it is new.

        Args:
            edges: `edge_digest` of the payload.
            owner: what to remember it by.
            full_hash: computes the payload's sha-256; called only when its edges or any sample were seen before.
        """
        if edges in self._by_edges:
            first, first_hash = self._by_edges[edges]
            self._by_hash.setdefault(first_hash(), first)
            digest = full_hash()
            if digest in self._by_hash:
                return self._by_hash[digest]
            self._by_hash[digest] = owner
        else:
            self._by_edges[edges] = (owner, full_hash)
        if self._stored:
            source, is_own = self._stored.get(sample_uid(full_hash()), (owner.source, True))
            if not is_own or source != owner.source:
                return First(source, None)
        return None


def _stored_sources(corpus: Path, task: str) -> dict[str, tuple[str, bool]]:
    """Uid → its source, and whether this task stored it."""
    parts = part_paths(corpus, "samples")
    if not parts:
        return {}
    own = {done.stem for done in read_done(corpus, task)}
    stored: dict[str, tuple[str, bool]] = {}
    for part in parts:
        rows = read_parts([part], table_schema("samples"), ["uid", "source"])
        for uid, source in zip(rows["uid"].to_pylist(), rows["source"].to_pylist(), strict=True):
            stored.setdefault(uid, (source or "", part.stem in own))
    return stored
