"""What lies in shards: frames of arrays, pictures, tars of other makers, blocks of the cache, Parquet."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from target import Target, file_of

from voxtile.corpus.remote.extents import SUFFIX, ObjectBlocks
from voxtile.corpus.shards.codecs import array_in, decode_picture, encode_array, picture_shape
from voxtile.stages.ingest.outside_parquet import _read as read_parquet
from voxtile.stages.ingest.pairs import PairOptions
from voxtile.stages.ingest.picture import PictureError, read_picture
from voxtile.stages.ingest.table import read_table
from voxtile.stages.ingest.wds import WdsTask, pairs_of

_MOST_VALUES = 1 << 24
_EXTENT_LENGTH, _EXTENT = 100, 4104  # bytes of an object; of the file that keeps them, a page and a checksum


def _frame(data: bytes) -> None:
    stored = array_in(memoryview(data), "the sample")
    if np.prod([float(n) for n in stored.shape]) < _MOST_VALUES:  # a sound frame may be as large as it says
        stored[tuple(slice(0, n) for n in stored.shape)]


def _picture(data: bytes) -> None:
    shape = picture_shape(data)
    if np.prod([float(n) for n in shape]) < _MOST_VALUES:
        decode_picture(data)


def _ingested(data: bytes) -> None:
    read_picture(data)


def _tar(data: bytes) -> None:
    path = file_of(data, "pairs/a.tar")
    task = WdsTask(str(path.parent), "", PairOptions())
    for pair in pairs_of((path, "a.tar")):
        if pair.broken is None:
            task.texts(pair.where)


def _block(data: bytes) -> None:
    path = file_of(data[:_EXTENT], f"blocks/a-0{SUFFIX}")
    blocks = ObjectBlocks(path.with_name("a"), _EXTENT_LENGTH)
    blocks.missing(0, _EXTENT_LENGTH)
    blocks.view(0, _EXTENT_LENGTH)


def _frames() -> Iterator[bytes]:
    chance = np.random.default_rng(0)
    for shape, kind in (((3, 40, 50), np.int16), ((4, 4), np.uint8), ((2, 3, 4, 5), np.float32), ((1,), np.bool_)):
        yield encode_array(chance.integers(0, 2, shape).astype(kind))


def _pictures() -> Iterator[bytes]:
    for mode, form in (("L", "PNG"), ("RGB", "JPEG"), ("P", "PNG"), ("RGBA", "PNG"), ("RGB", "WEBP"), ("I;16", "PNG"),
                       ("1", "PNG"), ("CMYK", "JPEG")):  # fmt: skip
        stream = io.BytesIO()
        Image.new(mode, (9, 7)).save(stream, form)
        yield stream.getvalue()


def _tars() -> Iterator[bytes]:
    for form in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
            for name, content in (("a.txt", b"a nodule"), ("a.json", json.dumps({"caption": ["x", 1]}).encode()),
                                  ("long/" * 30 + "b.txt", b"\xff")):  # fmt: skip
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        yield stream.getvalue()


def _parquets() -> Iterator[bytes]:
    for compression in ("none", "snappy", "zstd"):
        stream = io.BytesIO()
        table = pa.table({"uid": ["a", "b"], "text": ["x", None], "box": [[1.0, 2.0], []]})
        pq.write_table(table, stream, compression=compression)
        yield stream.getvalue()


def _listing(data: bytes) -> None:
    table = read_table(file_of(data, "tables/a.csv"))
    table.find(["image", "path"])
    for name in table.columns[:3]:
        table.column(name)


TARGETS = (
    Target("b2nd frame", _frame, _frames),
    Target("stored picture", _picture, _pictures),
    Target("imported picture", _ingested, _pictures, (PictureError,)),
    Target("tar of pairs", _tar, _tars),
    Target("block of the remote cache", _block, lambda: [bytes(3000), bytes(range(256)) * 8]),
    # What Arrow raises is told as an InputError by the process that supervises the reading one.
    Target(
        "Parquet", lambda data: read_parquet(file_of(data, "tables/a.parquet")), _parquets, (pa.ArrowException, OSError)
    ),
    Target(
        "CSV",
        _listing,
        lambda: [
            b'image,caption\na.png,"a ""nodule"", say"\n',
            "bild;text\r\na;b\r\n".encode("utf-8-sig"),
            b"a\tb\n1\t\n\n",
        ],
    ),
)
