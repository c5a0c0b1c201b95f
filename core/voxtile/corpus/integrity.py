"""Whether stored bytes are those that were written, asked by whoever reads them.

Arrays carry checksums of their own (`voxtile.corpus.shards.checksums`). Pictures, arrays of schema 1 and referenced
files have the sha-256 of their row; each is compared with it the first time that a process reads it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from voxtile.corpus.shards.memory_maps import map_payload
from voxtile.errors import CorpusError, StoreError

HASH_DIGITS = 16  # of a sha-256 that are kept for training: 64 bits
_REMEMBERED = 1 << 18  # payloads that a process knows it has compared; about 20 MB
_HEADER, _NAME_BYTES = 512, 100  # of a tar's header, and of the name that it begins with (POSIX ustar)
_compared: set[int] = set()

T = TypeVar("T")


def read_sound(path: Path, offset: int, nbytes: int, read: Callable[[], T], start_anew: Callable[[], object]) -> T:
    """Read stored bytes; those of a remote corpus once more from its store where they are not what was written.

    Args:
        path: of the shard.
        offset: of the payload's first byte.
        nbytes: how many there are.
        read: reads and compares them.
        start_anew: forgets what an earlier read keeps.

    Raises:
        CorpusError: they are damaged, in the store too.
    """
    for is_last in (False, True):
        try:
            return read()
        except StoreError:  # no byte is at fault
            raise
        except CorpusError as error:
            from voxtile.corpus.remote.payloads import forget_cached, remote_address  # late: local ones have no cache

            # After the last time too: what is mended in the store must not be met in the cache again.
            is_cached = forget_cached(path, offset - _HEADER, offset + nbytes)
            if is_last or not is_cached:
                root = path.parent.parent
                error.args = (str(error).replace(os.fspath(root), remote_address(root) or os.fspath(root)),)
                raise
            start_anew()
    raise AssertionError


def check_hash(payload: memoryview, path: Path, offset: int, sha256: str | None) -> bool:
    """Whether a payload has its hash; read once a process, and taken as true where no hash is known.

    Args:
        payload: the bytes.
        path: file that they lie in.
        offset: their place in it.
        sha256: hexadecimal, all of it or at least the first `HASH_DIGITS`.
    """
    if not sha256:
        return True
    known = hash((os.fspath(path), offset, len(payload), sha256[:HASH_DIGITS]))
    if known in _compared:
        return True
    if len(sha256) < HASH_DIGITS or not hashlib.sha256(payload).hexdigest().startswith(sha256):
        return False
    if len(_compared) >= _REMEMBERED:
        _compared.clear()
    _compared.add(known)
    return True


def map_member(path: Path, offset: int, nbytes: int, name: str) -> memoryview:
    """The bytes of a file in a shard, in place, where the header before them has its name.

    Args:
        path: the shard.
        offset: of the file's bytes.
        nbytes: how many there are.
        name: of the file.

    Raises:
        CorpusError: the shard is missing or cut short, or holds something else there, because it is another one.
    """
    start = max(0, offset - _HEADER)
    found = map_payload(path, start, offset - start + nbytes)
    check_member(bytes(found[:_NAME_BYTES]), path, offset, name)
    return found[offset - start :]


def check_member(header: bytes, path: Path, offset: int, name: str) -> None:
    """Check what stands before a file's bytes in a tar.

    Args:
        header: of the tar's member, or its beginning.
        path: the shard.
        offset: of the file's bytes.
        name: of the file.

    Raises:
        CorpusError: it is that of another file.
    """
    if header[:_NAME_BYTES].rstrip(b"\0") != name.encode()[:_NAME_BYTES]:
        raise CorpusError(
            f"'{path}' does not hold '{name}' at byte {offset}, as the tables say; the shard was exchanged or damaged: "
            "run 'voxtile verify' on the corpus and restore it from a copy"
        )
