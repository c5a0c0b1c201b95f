"""Stages that add to a corpus in a store: they write to a draft on this machine; what is new is put there at the end.

Each file is put on the condition that there is none of its name, as `voxtile push` does. Of two machines that do the
same job one wins; the other is told, and nothing of either is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxtile.corpus.remote.address import parse_address
from voxtile.errors import ConfigError, VoxtileError


@contextmanager
def adding_to_store(values: dict[str, Any]) -> Iterator[None]:
    """Let a command that adds to a corpus have a draft where the corpus lies in a store.

    Args:
        values: arguments of the command; its `corpus` is replaced by the draft's folder.

    Raises:
        ConfigError: the corpus is on a web server.
        CorpusError: the store passes over conditions, or another machine did the same with other results.
        StoreError: the store cannot be reached or the rights do not allow to write.
    """
    address = parse_address(values["corpus"]) if isinstance(values.get("corpus"), Path) else None
    if address is None or values.get("out") is not None:
        yield
        return
    if not address.is_listable:
        raise ConfigError(
            f"'{address.url}' is a web server, which takes no files; name the corpus in its store (s3://, gs://)"
        )
    from voxtile.console import output
    from voxtile.corpus.header import corpus_root
    from voxtile.corpus.remote.draft import draft_of, remove_draft
    from voxtile.stages.push import check_writable, push_draft

    mirror = corpus_root(address.url)
    planned = bool(values.get("dry_run"))
    if not planned:
        check_writable(mirror, address)
    with draft_of(mirror) as root:
        values["corpus"] = root
        try:
            yield
        except VoxtileError as error:
            error.args = tuple(str(part).replace(str(root), address.url) for part in error.args)
            raise
        if planned:
            return
        pushed = push_draft(root, address)
        remove_draft(root)
    said = f"added to {address.url}: {pushed.jobs:,} jobs, {pushed.files:,} files, {pushed.nbytes / 1e6:,.1f} MB"
    output().print(said, markup=False, highlight=False)
