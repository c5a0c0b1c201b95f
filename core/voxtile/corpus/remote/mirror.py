"""The local folder that stands for a remote corpus: tables and records are there, shards are not.

A shard has no file in the mirror, so that nothing reads holes for pixels: `voxtile.corpus.remote.payloads` gives its
bytes. What is curated and compiled of the corpus on this machine lies in the mirror's `views`.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from voxtile.bounded_text import read_json
from voxtile.corpus.remote.address import Address, marker
from voxtile.corpus.remote.block_cache import cache_root
from voxtile.corpus.remote.objects import Identity
from voxtile.errors import CorpusError

_BLOCKS = "blocks"


@dataclass(frozen=True)
class Mirror:
    """What was found of a remote corpus when it was opened.

    Attributes:
        root: the folder.
        address: of the corpus.
        shards: their names, such as `shards/x.tar`, and what they were.
        contents: sha-256 of shards that the corpus records.
        small: names of the files that are in the folder, and what they were.
    """

    root: Path
    address: Address
    shards: dict[str, Identity]
    contents: dict[str, str]
    small: dict[str, Identity]

    @classmethod
    def folder(cls, address: Address) -> Path:
        """Where the mirror of a corpus lies."""
        return cache_root() / address.id / address.name

    @classmethod
    def empty(cls, address: Address) -> Mirror:
        """Nothing is known yet."""
        return cls(cls.folder(address), address, {}, {}, {})

    @classmethod
    def read(cls, root: Path) -> Mirror:
        """What the last opening found.

        Raises:
            FileNotFoundError: the folder is no mirror.
            CorpusError: its state is damaged.
        """
        try:
            state = read_json(marker(root))
            shards, small = (
                {str(name): Identity(int(size), str(tag)) for name, (size, tag) in state[kind].items()}
                for kind in ("shards", "small")
            )
            contents = {str(name): str(sha256) for name, sha256 in state["contents"].items()}
            return cls(root, Address(str(state["url"])), shards, contents, small)
        except (ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
            raise CorpusError(f"'{marker(root)}' is damaged; remove that folder, it is made again") from error

    def write(self) -> None:
        """Remember it, whole or not at all."""
        state = {
            "url": self.address.url,
            "shards": self.shards,
            "contents": self.contents,
            "small": self.small,
        }
        target = marker(self.root)
        draft = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        draft.write_text(json.dumps(state))
        draft.replace(target)

    def block_path(self, name: str) -> Path:
        """The extents of a shard, without their numbers; another content has other ones."""
        content = self.contents.get(name) or repr(tuple(self.shards[name]))
        digest = hashlib.sha256(f"{name}\n{content}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._blocks / digest

    @cached_property
    def _blocks(self) -> Path:
        return self.root.parent / _BLOCKS

    def make_folders(self) -> None:
        """Make the folder and that of the blocks, which nobody else may look into: they may hold patients."""
        for folder in (self.root.parent, self.root, self._blocks):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
