"""What lies beside a corpus and holds something of a subject: the key map, and replies of language models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from voxtile.corpus.drafts import draft_folder
from voxtile.corpus.identity import KeyMap
from voxtile.corpus.packing.whole_folder import exchange, remove_old
from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile_datasets.captions.providers.cache import ReplyCache
from voxtile_datasets.forgetting.belongings import Belongings


def forgotten_sources(key_map: KeyMap, gone: Belongings) -> set[str]:
    """Sources of a key map that are the subject's, or whose path names it.

    An input that gave nobody a sample and of which no header says whose it is (a damaged file, a text) may be the
    subject's, and its path may name them: it goes too.
    """
    names, subjects = gone.originals | gone.subjects, key_map.subjects()
    return {
        source
        for source, path in key_map.paths().items()
        if gone.owns_source(source)
        or subjects.get(source) in gone.subjects
        or not (source in subjects or source in gone.others)
        or not names.isdisjoint(Path(path).parts)
        or not names.isdisjoint(path.split("/"))
    }


def forget_downloads(folder: Path, sources: Collection[str], paths: Mapping[str, str]) -> int:
    """Remove the series that a subject's samples came from out of a folder of downloads; how many.

    Args:
        folder: where each series has a folder of its own.
        sources: of the subject.
        paths: hashed source → path, of the key map; empty where sources are paths themselves.
    """
    series = {(folder / paths.get(source, source)).parent.resolve() for source in sources}
    own = [path for path in sorted(series) if folder.resolve() in path.parents and path.is_dir()]
    for path in own:
        shutil.rmtree(path)
        if not any(path.parent.iterdir()) and path.parent != folder.resolve():
            path.parent.rmdir()
    return len(own)


def replies_to_keep(root: Path, gone: Belongings) -> set[str]:
    """Keys of the replies that captions of other subjects came from.

    A reply does not say what was asked. One that no caption names (it was refused, or read as facts) may be of anybody,
    so that it goes too, and is asked for again where it is needed.
    """
    kept: set[str] = set()
    for part in part_paths(root, "captions"):
        rows = read_parts([part], table_schema("captions"), ["caption_id", "request_sha"])
        for caption, request in zip(rows["caption_id"].to_pylist(), rows["request_sha"].to_pylist(), strict=True):
            if request and caption not in gone.captions:
                kept.add(request)
    return kept


def forget_replies(folder: Path, keep: Collection[str], *, dry_run: bool = False) -> int:
    """Leave only some replies in a cache; how many go.

    LMDB reuses the pages of what is deleted and keeps their bytes, so the cache is written anew and takes the place of
    the old one at once.

    Raises:
        ConfigError: another run uses the cache, or it is none.
        OSError: it cannot be written.
    """
    if not (folder / "data.mdb").is_file():
        return 0
    cache = ReplyCache.open(folder, read_only=dry_run)
    try:
        gone = len(set(cache.keys()) - set(keep))
        if gone and not dry_run:
            with draft_folder(folder) as building:
                cache.copy_to(building, keep)
                for other in folder.iterdir():
                    if other.is_file() and other.name not in ("data.mdb", "lock.mdb"):
                        shutil.copy2(other, building / other.name)
                exchange(building, folder)
                remove_old(building)
    finally:
        cache.close()
    return gone


def reply_texts(folder: Path) -> Iterator[bytes]:
    """What the replies of a cache say, decompressed."""
    if not (folder / "data.mdb").is_file():
        return
    cache = ReplyCache.open(folder, read_only=True)
    try:
        for key in list(cache.keys()):
            reply = cache.get(key)
            if reply is not None:
                yield f"{reply.text}\0{key}".encode("utf-8", "surrogatepass")
        yield json.dumps(cache.models()).encode()
    finally:
        cache.close()
