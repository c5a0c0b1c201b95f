"""Parquet files with names that are no names, and small ones that unpack to much."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

NAMES = {
    b"sound.png": "used",
    b"nul\0inside.png": "unreadable-name",
    b"not-utf8-\xff.png": "unreadable-file",
    b"../outside.png": "outside-root",
    b"missing.png": "file-missing",
}


def picture(seed: int) -> bytes:
    """A PNG of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _strings(values: list[bytes]) -> pa.Array:
    """A string column of bytes that need not be UTF-8."""
    ends = np.cumsum([0, *(len(value) for value in values)]).astype(np.int32)
    buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def write_names(path: Path) -> dict[str, str]:
    """Rows that name a picture each, and a text that is not UTF-8: source → what its row must say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "sound.png").write_bytes(picture(0))
    (path.parent / "other.png").write_bytes(picture(1))
    names, texts = [*NAMES, b"other.png"], [*(b"a picture" for _ in NAMES), b"not UTF-8: \xff"]
    pq.write_table(pa.table({"filepath": _strings(names), "caption": _strings(texts)}), path)
    reasons = [*NAMES.values(), "caption-not-utf8"]
    return {f"{path.name}/0/{row}": reason for row, reason in enumerate(reasons)}


def write_pictures(path: Path, count: int) -> dict[str, str]:
    """Rows with the bytes of sound pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [picture(100 + number) for number in range(count)]
    pq.write_table(pa.table({"jpg": pictures, "caption": [f"picture {n}" for n in range(count)]}), path)
    return {f"{path.name}/0/{row}": "used" for row in range(count)}


def write_bomb(path: Path, column: str = "jpg", kind: pa.DataType | None = None, rows: int = 7_000) -> int:
    """Rows that all hold the same megabyte, which the file stores once: 7 GB from some kB; bytes of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    value = pa.array([b"x" * (1 << 20)], kind or pa.binary())
    repeated = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), value)
    texts = pa.array([str(row % 10) for row in range(rows)])
    pq.write_table(pa.table({column: repeated, "study": texts, "caption": texts}), path, store_schema=False)
    return path.stat().st_size


def write_tar(path: Path, keys: Sequence[str] = ("a",)) -> None:
    """A WebDataset tar of a pair a key."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for number, key in enumerate(keys):
            for name, data in ((f"{key}.png", picture(number)), (f"{key}.txt", b"a picture")):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def write_tar_with_long_header(path: Path, nbytes: int) -> None:
    """A tar that begins with an extended header of `nbytes` bytes, which are a hole in the file."""
    member = tarfile.TarInfo("long")
    member.type, member.size = tarfile.XHDTYPE, nbytes
    with path.open("wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        file.truncate(512 + nbytes + 1024)
