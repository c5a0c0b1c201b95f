"""A corpus in a store, as a folder that a stage may write to: tables are linked from the mirror, shards stay remote.

What a stage adds lies in the folder until it is put into the store; a run that was stopped finds its finished jobs
there. What the store has counts where both have a file of one name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from voxtile.console import note
from voxtile.corpus.drafts import WRITER_VARIABLE, locked_within, writer_patience
from voxtile.corpus.remote.address import Address, draft_marker, marker
from voxtile.corpus.remote.client import synchronise
from voxtile.corpus.remote.mirror import Mirror
from voxtile.corpus.remote.objects import recorded_in
from voxtile.errors import CorpusError


@contextmanager
def draft_of(mirror_root: Path) -> Iterator[Path]:
    """The folder, as the mirror is now and with what an earlier run left there; one run at a time.

    Args:
        mirror_root: of a corpus that was opened.

    Raises:
        CorpusError: another run on this machine writes to the corpus.
    """
    root = mirror_root.with_name(f"{mirror_root.name}.draft")
    mirror = Mirror.read(mirror_root)
    with _held(root.with_name(f".{root.name}.lock"), mirror.address) as has_waited:
        if has_waited:
            mirror = Mirror.read(synchronise(mirror.address, anew=True))
        root.mkdir(mode=0o700, exist_ok=True)
        _take_over(mirror, root)
        yield root


def stored_in(root: Path) -> frozenset[str]:
    """Names of the files in a draft that are those of the store."""
    mirror = Mirror.read(root)
    return frozenset(name for name in mirror.small if _same_file(_origin(root) / name, root / name))


def remove_draft(root: Path) -> None:
    """Remove a draft whose files are all in the store."""
    shutil.rmtree(root, ignore_errors=True)


def _origin(root: Path) -> Path:
    return root.with_name(root.name.removesuffix(".draft"))


def _take_over(mirror: Mirror, root: Path) -> None:
    """Link what the store has; of a job that both have done, the store's files count."""
    for name in mirror.small:
        path = root / name
        if name.startswith("done/") and path.suffix == ".json" and path.is_file():
            _remove_other(mirror.root, root, name)
    for name in mirror.small:
        origin, path = mirror.root / name, root / name
        if not _same_file(origin, path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            try:
                os.link(origin, path)
            except OSError:  # a file system without hard links
                shutil.copy2(origin, path)
    shutil.copyfile(marker(mirror.root), marker(root))
    draft_marker(root).touch()


def _remove_other(origin: Path, root: Path, name: str) -> None:
    if (origin / name).read_bytes() != (root / name).read_bytes():
        for file in recorded_in(name, (root / name).read_bytes()):
            (root / file).unlink(missing_ok=True)


def _same_file(first: Path, second: Path) -> bool:
    with suppress(OSError):
        one, other = first.stat(), second.stat()
        linked = (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
        return linked or (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
    return False


@contextmanager
def _held(path: Path, address: Address) -> Iterator[bool]:
    """Hold the draft, and say whether another run held it before."""
    handle, patience = os.open(path, os.O_RDWR | os.O_CREAT, 0o600), writer_patience()
    try:
        is_free = locked_within(handle, 0.0)
        if not is_free:
            said = f"another run on this machine writes to '{address.url}'"
            note(f"{said}; waiting for it, {patience:g} s at most")
            if not locked_within(handle, patience):
                raise CorpusError(
                    f"{said}; wait until it ends, or have this command wait longer than {patience:g} s by "
                    f"{WRITER_VARIABLE}"
                )
        yield not is_free
    finally:
        os.close(handle)
