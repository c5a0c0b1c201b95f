"""Stages that add to a corpus in a store: they write to a draft on this machine; what is new is put there at the end.

Each file is put on the condition that there is none of its name, as `voxtile push` does. Of two machines that do the
same job one wins; the other is told, and nothing of either is lost.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxtile.corpus.remote.address import Address, parse_address
from voxtile.corpus.remote.objects import is_wanted
from voxtile.errors import ConfigError, VoxtileError


@contextmanager
def adding_to_store(values: dict[str, Any], *, makes: bool = False, keeps_key: bool = False) -> Iterator[None]:
    """Let a command that adds to a corpus have a draft where the corpus lies in a store.

    Args:
        values: arguments of the command; its `corpus` is replaced by the draft's folder.
        makes: it also makes a corpus where there is none.
        keeps_key: it keeps a key and a map of sources beside the corpus unless `key_file` says where.

    Raises:
        ConfigError: the corpus is on a web server, or the key would be kept in the cache.
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
    if keeps_key and values.get("key_file") is None and values.get("deidentify", True):
        raise ConfigError(
            "the key and the map of sources are kept beside a local corpus, and never in a store; name a file for them "
            "with --key-file, outside the corpus, and keep it"
        )
    planned = bool(values.get("dry_run"))
    with _named_by_address(address), _draft(address, makes=makes, planned=planned) as root:
        values["corpus"] = root
        yield


@contextmanager
def _draft(address: Address, *, makes: bool, planned: bool) -> Iterator[Path]:
    """A folder that is put into the store when the block ends well."""
    from voxtile.console import output
    from voxtile.corpus.header import corpus_root, new_corpus
    from voxtile.corpus.remote.client import stored_names
    from voxtile.corpus.remote.draft import draft_of, remove_draft, stored_in
    from voxtile.stages.push import check_writable, push_draft, put_header
    from voxtile.stages.pushed_references import notes_on_references

    if makes and not any(is_wanted(name) for name in stored_names(address)):
        if planned:
            with tempfile.TemporaryDirectory(prefix="voxtile-plan-") as folder:
                new_corpus(Path(folder, address.name))
                yield Path(folder, address.name)
            return
        put_header(address)
    mirror = corpus_root(address.url)
    if not planned:
        check_writable(mirror, address)
    with draft_of(mirror) as root:
        yield root
        if planned:
            return
        notes = list(notes_on_references(root, address, stored_in(root)))
        pushed = push_draft(root, address)
        remove_draft(root)
    said = f"added to {address.url}: {pushed.jobs:,} jobs, {pushed.files:,} files, {pushed.nbytes / 1e6:,.1f} MB"
    for line in (said, *notes):
        output().print(line, markup=False, highlight=False)


@contextmanager
def _named_by_address(address: Address) -> Iterator[None]:
    """Errors name the corpus and not the folder that stands for it."""
    from voxtile.corpus.remote.mirror import Mirror

    try:
        yield
    except VoxtileError as error:
        draft = f"{Mirror.folder(address)}.draft"
        error.args = tuple(str(part).replace(draft, address.url) for part in error.args)
        raise
