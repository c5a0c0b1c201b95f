"""What is said of samples whose pixels stay in files (`codec: ref`) when their corpus is put into a store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from pathlib import Path

import pyarrow.compute as pc

from voxtile.corpus.parts import part_paths, part_table
from voxtile.corpus.references import SOURCE_SCHEME, parse_reference
from voxtile.corpus.remote.address import SCHEMES, Address
from voxtile.corpus.remote.referenced import MOVED_VARIABLE, joined
from voxtile.corpus.source import REFERENCE_CODEC


def notes_on_references(root: Path, target: Address, same: Set[str] = frozenset()) -> Iterator[str]:
    """A sentence for the files that belong beside the corpus in the store, and one for those of this machine.

    Args:
        root: the corpus, or a draft of it.
        target: where it goes.
        same: names of files that are there already, of whose samples nothing is said.

    Raises:
        CorpusError: a path leads out of the bucket, so that nobody could read it there.
    """
    beside: tuple[int, str] = (0, "")
    here: tuple[int, str] = (0, "")
    for path in part_paths(root, "samples"):
        if f"tables/samples/{path.name}" in same:
            continue
        table = part_table(path, ["uid", "codec", "ref"])
        for row in table.filter(pc.equal(table["codec"], REFERENCE_CODEC)).to_pylist():
            uri = parse_reference(row)["uri"]
            scheme = uri.partition(":")[0] if ":" in uri else ""
            if scheme in SCHEMES:
                continue
            if scheme in {SOURCE_SCHEME, "file"} or os.path.isabs(uri):
                here = here[0] + 1, uri
            else:
                beside = beside[0] + 1, f"'{uri}' is read at {joined(target, str(row['uid']), uri)}"
    if beside[0]:
        yield (
            f"{beside[0]:,} samples refer to files beside the corpus, which are not copied: put them beside it in the "
            f"store ({beside[1]})"
        )
    if here[0]:
        yield (
            f"{here[0]:,} samples refer to files of this machine, such as '{here[1]}', which are not copied: whoever "
            f"reads them elsewhere has the files there too, or says in {MOVED_VARIABLE} where they are"
        )
