"""What identifies the content of scenes without reading gigabytes, beside the names and sizes of their files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from voxtile.file_edges import file_edges, probe, probe_digests
from voxtile_remote_sensing.scenes.protocol import SceneRef

_METADATA = frozenset({".xml", ".txt", ".json", ".hdr", ".yaml", ".yml", ".met", ".imd", ".rpb", ".rpc"})
_WHOLE = 1024  # places of a metadata file that are read: all of it up to 4 MiB
_MOST_FILES = 256  # that are looked at; a store has thousands, which are packed and so differ in size
_AT_ONCE = 32  # scenes: a network drive is waited for


def scene_contents(refs: Sequence[SceneRef]) -> list[tuple[str | None, str | None]]:
    """What tells each scene from another of the same names and sizes, in order: its main file, and the others.

    The main file is read at places spread over it. Of the others metadata are read whole, since a scale or an offset
    that was corrected is a digit of them, and bands at their ends. None where there is none, or none can be opened.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(zip(probe_digests(map(_main_file, refs)), pool.map(_others, refs), strict=True))


def _main_file(ref: SceneRef) -> Path:
    """Its own, or the last of a folder."""
    return ref.location if ref.location.is_file() or not ref.files else ref.root / ref.files[-1]


def _others(ref: SceneRef) -> str | None:
    main = _main_file(ref)
    paths = [path for name in ref.files if (path := ref.root / name) != main]
    if not paths:
        return None
    digest = hashlib.sha256()
    for path in paths[:: -(-len(paths) // _MOST_FILES)]:
        try:
            told = probe(path, _WHOLE) if path.suffix.lower() in _METADATA else file_edges(path)
        except OSError:  # its worker says why
            continue
        digest.update(f"{path.name}\0{told[1]}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]
