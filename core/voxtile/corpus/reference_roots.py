"""Which folders the references of a corpus may lead to, where pixels are copied out of it.

A corpus that somebody else made can refer to any file of this machine. Whoever only trains on it keeps the pixels where
they are; an export or a page with pictures would carry them away. Commands that copy pixels therefore follow references
inside the corpus and the folders that the user names, with `--references` or the environment variable, and no others.

A reference into a store is held to more: it would have this machine read with the user's own rights what another one
chose. It is followed in the corpus's own bucket, and at addresses that the user names in the same way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from voxtile.corpus.remote.address import Address, parse_address
from voxtile.errors import CorpusError

VARIABLE = "VOXTILE_REFERENCES"
_INSTEAD = f"where that file may be copied, name its folder with --references or in {VARIABLE}"
ON_A_PAGE = (
    "its picture lies outside the corpus and is not copied into this page; where it may be, name its folder with "
    f"--references or in {VARIABLE}"
)
"""What a page says in place of a picture; without the file's name, which a de-identified corpus hides."""

_BETWEEN = re.compile(rf"{os.pathsep}(?!//)")  # an address has one of its own

_ALLOWED: ContextVar[tuple[Path, ...] | None] = ContextVar("voxtile-reference-roots", default=None)


def named_roots(folders: Path | None) -> tuple[Path, ...]:
    """Folders that the user named: one on the command line, and those of the environment variable (`:` between).

    An address of a store stays as it is, as a Path takes it.
    """
    known = [Path(name) for name in _BETWEEN.split(os.environ.get(VARIABLE, "")) if name]
    return tuple(_resolved(path) for path in [*([folders] if folders else []), *known])


class OutsideCorpusError(CorpusError):
    """Pixels were to be copied from a file that is neither in the corpus nor in a folder that the user named."""


@contextmanager
def only_references_in(roots: Sequence[Path]) -> Iterator[None]:
    """Within this block, in this thread, references lead into the corpus or these folders."""
    token = _ALLOWED.set(tuple(_resolved(root) for root in roots))
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def check_reference(root: Path, uid: str, path: Path) -> Path:
    """The path, where a reference may lead there.

    Args:
        root: the corpus.
        uid: of the sample, for the message.
        path: what the reference names; links are followed.

    Raises:
        OutsideCorpusError: pixels are being copied, and it lies outside the folders that are allowed.
    """
    if not _may_be_copied(path, allowed_roots(root)):
        raise OutsideCorpusError(f"the sample {uid} refers to '{path}', outside the corpus; {_INSTEAD}")
    return path


def check_stored_reference(home: Address | None, uid: str, url: str, *, is_named: bool = False) -> None:
    """Hold a reference into a store to the corpus's own bucket, or where pixels are copied to the corpus.

    Args:
        home: address of the corpus; None where it is a folder.
        uid: of the sample, for the message.
        url: of the object.
        is_named: the user said that the file is there now.

    Raises:
        CorpusError: it leads to another bucket, which the user has not named.
        OutsideCorpusError: pixels are being copied, and it lies outside the corpus and what the user named.
    """
    allowed = _ALLOWED.get()
    named = [place.url for root in allowed or named_roots(None) if (place := parse_address(root)) is not None]
    if _is_under(url, named):
        return
    if allowed is not None:
        if home is None or not _is_under(url, [home.url]):
            raise OutsideCorpusError(f"the sample {uid} refers to '{url}', outside the corpus; {_INSTEAD}")
    elif not is_named and (home is None or not _is_under(url, [home.bucket])):
        raise CorpusError(
            f"the sample {uid} refers to '{url}', in another bucket than the corpus; where it may be read with your "
            f"rights, name its address in {VARIABLE}"
        )


def check_named_file(path: Path) -> None:
    """Hold a file that a referenced one names in turn, such as a source of a VRT, to the same folders.

    Args:
        path: of the file; links are followed.

    Raises:
        OutsideCorpusError: pixels are being copied, and it lies outside the folders that are allowed.
    """
    if not _may_be_copied(path, _ALLOWED.get()):
        raise OutsideCorpusError(f"a referenced file takes its pixels from '{path}', outside the corpus; {_INSTEAD}")


def allowed_roots(root: Path) -> tuple[Path, ...] | None:
    """The corpus and the folders that references may lead into now; None where they may lead anywhere."""
    allowed = _ALLOWED.get()
    return None if allowed is None else (root.resolve(), *allowed)


def _may_be_copied(path: Path, allowed: Sequence[Path] | None) -> bool:
    return allowed is None or any(path.resolve().is_relative_to(folder) for folder in allowed)


def _resolved(root: Path) -> Path:
    return root.resolve() if parse_address(root) is None else root


def _is_under(url: str, addresses: Iterable[str]) -> bool:
    return any(url == address or url.startswith(f"{address}/") for address in addresses)
