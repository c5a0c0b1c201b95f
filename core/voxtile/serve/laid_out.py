"""What a server lays out of a corpus once, to answer fast: one folder a corpus, under the user's cache folder.

It holds texts and vectors of the corpus, and so is for the user's eyes alone; `voxtile forget` takes it away.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from voxtile.corpus.drafts import draft, wait_for_lock
from voxtile.corpus.packing.reading import locate
from voxtile.corpus.packing.same_folder import BuiltAnewError, noted_folders, require_same_folder
from voxtile.errors import ConfigError
from voxtile.folders import cache_folder

_CACHE = "serve"
_WHOSE = "corpora.json"  # which corpora a folder is of


def laid_out(corpora: Sequence[Path], name: str, key: str, write: Callable[[Path], None]) -> Path:
    """The folder of something that was made of corpora; made where it is not there, by one process at a time.

    What the same name held under another key, of an earlier state of the corpora, is removed. A server that still
    reads it has it open, which is enough.

    Args:
        corpora: their folders.
        name: what it is, without a hyphen.
        key: of all that it is made of.
        write: makes it in an empty folder.

    Raises:
        ConfigError: the cache folder cannot be written.
        BuiltAnewError: a corpus was built anew while it was laid out.
    """
    home = _home(corpora)
    wanted = home / f"{name}-{key}"
    if wanted.is_dir():
        return wanted
    try:
        with _alone(kept_beside(corpora, ".") / f"{name}.lock"):
            if not wanted.is_dir():
                for unfinished in home.glob(f".{name}.*"):  # of a process that was killed
                    shutil.rmtree(unfinished, ignore_errors=True)
                fresh = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=home))
                try:
                    with noted_folders(corpora):
                        write(fresh)
                        require_same_folder(*corpora)  # else it has what was forgotten, which `forget` has looked for
                except BuiltAnewError:
                    shutil.rmtree(fresh, ignore_errors=True)
                    raise
                fresh.rename(wanted)
                for old in home.glob(f"{name}-*"):
                    if old != wanted:
                        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise ConfigError(
            f"the cache folder '{home}' cannot be written ({error.strerror or error}); make room, or name another in "
            "the environment variable VOXTILE_CACHE"
        ) from error
    return wanted


def kept_beside(corpora: Sequence[Path], name: str) -> Path:
    """A folder of a corpus, or of several as one, for what is made of it; made where it is not there."""
    home = _home(corpora)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with draft(home / _WHOSE) as unfinished:  # `forget` may read it now
        unfinished.write_text(json.dumps([str(corpus.resolve()) for corpus in corpora]), "utf-8")
        unfinished.replace(home / _WHOSE)
    folder = home / name
    folder.mkdir(exist_ok=True)
    return folder


def parts_key(parts: Iterable[Path], *further: str) -> str:
    """A key of parts of tables as they are now, and of further settings; files are told by size and time of writing."""
    digest = hashlib.sha256("\n".join(further).encode())
    for part in parts:
        status = locate(part).path.stat()
        digest.update(f"{part.resolve()} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def forget_laid_out(corpus: Path) -> None:
    """Remove all that this user's servers laid out of a corpus, alone or with others."""
    wanted = str(corpus.resolve())
    for known in cache_folder(_CACHE).glob(f"*/{_WHOSE}"):
        if wanted in json.loads(known.read_text("utf-8")):
            shutil.rmtree(known.parent, ignore_errors=True)


def _home(corpora: Sequence[Path]) -> Path:
    named = "\n".join(str(corpus.resolve()) for corpus in corpora)
    return cache_folder(_CACHE) / hashlib.sha256(named.encode()).hexdigest()[:24]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        wait_for_lock(handle, "another server lays this corpus out just now; this one waits for it and uses the same")
        yield
    finally:
        os.close(handle)
