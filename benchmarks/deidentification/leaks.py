"""`python benchmarks/deidentification/leaks.py [--objects N] [--work DIR]`: planted identifiers are found nowhere.

The objects of `planted.py` go through the commands: conversion with reports, facts, the pages of `inspect`, a card,
extracted files and WebDataset. Every file that comes out is opened as far as it opens (arrays, tables, tars, gzip,
pages) and searched for every planted value. It ends with 1 where one is found.
"""

from __future__ import annotations

import argparse
import gzip
import html
import io
import json
import re
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import blosc2
import numpy as np
import pyarrow.parquet as pq
from planted import write_objects

from voxtile.cli.main import main as command
from voxtile.corpus.reader import Corpus

_PREFIX = 6  # bytes by which a place in the data is found


def main() -> int:
    """Write, convert, export, search; print what was planted and what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=40)
    parser.add_argument("--work", type=Path, help="folder that stays; a temporary one if not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        start = time.perf_counter()
        planted = write_objects(work / "source", options.objects)
        print(f"{options.objects} objects ({_told(planted.kinds)}), {planted.number:,} planted identifiers")
        leaked = 0
        for surrogates in (False, True):
            out = work / ("surrogates" if surrogates else "blanks")
            run(work / "source", out, surrogates=surrogates)
            found, nbytes, files = search(out, planted.needles())
            leaked += len(found)
            name = "--surrogates" if surrogates else "blanks"
            print(f"{name}: {len(found)} found in {files} files, {nbytes / 2**20:.1f} MiB opened {sorted(found)[:5]}")
        print(f"{time.perf_counter() - start:.0f} s")
    return int(leaked > 0)


def run(source: Path, out: Path, *, surrogates: bool = False) -> None:
    """Everything that is made of a corpus, below `out`; the key lies beside it and is not searched."""
    corpus, keep = out / "corpus", ["--key-file", str(out.with_name(f"{out.name}.key"))]
    reports = source.with_name("reports.csv")
    options = ["--reports", str(reports), *keep, *(["--surrogates"] if surrogates else []), "--engine", "inline"]
    _do("convert", "dicom", source, corpus, *options)
    _do("facts", corpus, "--from", "series", "--engine", "inline")
    _do("facts", corpus, "--from", "reports", "--vocabulary", "general", "--engine", "inline")
    _do("inspect", corpus, "--html", out / "pages" / "corpus.html")
    _do("card", corpus, out / "card", "--name", "Planted", "--creator", "Nobody")
    _do("export-wds", corpus, out / "wds", "--kinds", "raw")
    rows = Corpus(corpus).table("samples").to_pylist()
    seen: set[str] = set()
    for row in rows:
        if row["modality"] in seen:
            continue
        seen.add(row["modality"])
        _do("inspect", corpus, row["uid"], "--html", out / "pages" / f"{row['uid']}.html")
        for form in ("nifti", "dicom", "png") if row["kind"] == "volume" else ("png",):
            target = out / "files" / f"{row['modality']}-{form}{'.nii.gz' if form == 'nifti' else ''}"
            target = target.with_suffix(".png") if form == "png" else target
            target.parent.mkdir(exist_ok=True)
            _do("extract", corpus, row["uid"], "--to", form, "--out", target)


def _do(*words: object) -> None:
    sys.stdout, shown = io.StringIO(), sys.stdout
    try:
        status = command([str(word) for word in words])
    finally:
        said, sys.stdout = sys.stdout.getvalue(), shown
    if status:
        print(f"voxtile {' '.join(map(str, words[:2]))} ended with {status}: {said[-500:]}", file=sys.stderr)


def search(folder: Path, needles: Iterable[bytes]) -> tuple[set[bytes], int, int]:
    """Which byte strings (in small letters) stand in a folder's names and files, opened as far as they open.

    Returns:
        What is found, the bytes searched, and the number of files.
    """
    places: dict[int, list[bytes]] = {}
    for needle in needles:
        places.setdefault(_key(needle), []).append(needle)
    keys = np.array(sorted(places), np.uint64)
    found: set[bytes] = set()
    nbytes = files = 0
    for path in sorted(folder.rglob("*")):
        files += path.is_file()
        for data in (str(path.relative_to(folder)).encode(), *(_opened(path) if path.is_file() else ())):
            low = data.lower()
            nbytes += len(low)
            for place in _places(low, keys):
                found.update(n for n in places[_key(low[place : place + _PREFIX])] if low.startswith(n, place))
    return found, nbytes, files


def _key(data: bytes) -> int:
    return int.from_bytes(data[:_PREFIX], "little")


def _places(data: bytes, keys: np.ndarray) -> list[int]:
    if len(data) < _PREFIX:
        return []
    raw = np.frombuffer(data, np.uint8).astype(np.uint64)
    count = len(raw) - _PREFIX + 1
    windows = np.zeros(count, np.uint64)
    for byte in range(_PREFIX):
        windows |= raw[byte : byte + count] << np.uint64(8 * byte)
    slots = np.minimum(np.searchsorted(keys, windows), len(keys) - 1)
    return np.flatnonzero(keys[slots] == windows).tolist()


def _opened(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what they hold."""
    data = path.read_bytes()
    yield from _within(path.name, data)
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        yield json.dumps(table.to_pylist(), default=repr, ensure_ascii=False).encode("utf-8", "replace")
        yield repr(table.schema.metadata).encode()


def _within(name: str, data: bytes) -> Iterator[bytes]:
    yield data
    if name.endswith(".gz"):
        yield gzip.decompress(data)
    elif name.endswith((".html", ".json", ".md")):
        yield html.unescape(data.decode("utf-8", "replace")).encode()
        yield re.sub(rb"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)).encode("utf-8", "replace"), data)
    elif name.endswith(".b2nd"):
        yield blosc2.ndarray_from_cframe(data)[...].tobytes()
    elif name.endswith(".tar"):
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive.getmembers():
                yield member.name.encode()
                if (file := archive.extractfile(member)) is not None:
                    yield from _within(member.name, file.read())


def _told(kinds: list[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in Counter(kinds).items())


if __name__ == "__main__":
    sys.exit(main())
