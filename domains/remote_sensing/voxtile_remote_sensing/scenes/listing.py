"""How readers find scenes: the files below an input folder, and what a reader recognises among them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, takewhile
from pathlib import Path
from typing import Protocol

from voxtile_remote_sensing.scenes.protocol import Scene, SceneOptions, SceneRef


@dataclass(frozen=True)
class Listing:
    """The files below an input folder, without those that an earlier reader has taken.

    Attributes:
        root: the folder.
        sizes: path relative to it, with forward slashes → bytes; sorted by path.
        options: as given to `find_scenes`.
    """

    root: Path
    sizes: Mapping[str, int]
    options: SceneOptions

    def under(self, folder: str) -> tuple[str, ...]:
        """Files below a folder of the listing (`.` is the root)."""
        return self.starting_with("" if folder == "." else folder + "/")

    def starting_with(self, prefix: str) -> tuple[str, ...]:
        """Files whose path begins with a text."""
        first = bisect_left(self._paths, prefix)
        return tuple(takewhile(lambda path: path.startswith(prefix), islice(self._paths, first, None)))

    @cached_property
    def _paths(self) -> list[str]:
        return list(self.sizes)

    def ref(self, reader: str, path: str, files: Sequence[str], *, part: str = "") -> SceneRef:
        """A descriptor of a scene among these files."""
        name = self.root.resolve().name if path == "." else path
        return SceneRef(
            id=f"{name}#{part}" if part else name,
            reader=reader,
            root=self.root,
            path=path,
            files=tuple(sorted(files)),
            nbytes=sum(self.sizes[f] for f in files),
            part=part,
            options=self.options,
        )

    def without(self, taken: frozenset[str]) -> Listing:
        """The same listing without some files."""
        return replace(self, sizes={p: n for p, n in self.sizes.items() if p not in taken})


@dataclass(frozen=True)
class Found:
    """What a reader recognises in a listing.

    Attributes:
        refs: the scenes.
        taken: files that belong to them or to their products; readers that follow do not see them.
    """

    refs: tuple[SceneRef, ...] = ()
    taken: frozenset[str] = frozenset()


class SceneReader(Protocol):
    """One format or product family. Readers hold no state."""

    name: str

    def find(self, listing: Listing) -> Found:
        """The scenes among the files, from names and the first bytes of metadata, never from pixels."""

    def open(self, ref: SceneRef) -> Scene:
        """Open a scene that this reader found.

        Raises:
            SceneError: one sentence that says what is wrong, where, and what to do next.
        """
