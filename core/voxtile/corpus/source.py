"""A stored sample as loaders, presets and evaluation see it: metadata now, pixels on demand."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.integrity import check_hash, check_member, map_member, read_sound
from voxtile.corpus.references import parse_reference, read_reference, reference_path
from voxtile.corpus.remote.announcing import MOST_WHOLE
from voxtile.corpus.shards.codecs import PICTURE_HEADS, StoredArray, array_in, decode_picture
from voxtile.corpus.shards.memory_maps import map_payload
from voxtile.errors import CorpusError

ARRAY_CODEC = "b2nd"
REFERENCE_CODEC = "ref"

T = TypeVar("T")


class StoredSample:
    """Implements `voxtile.data.SampleSource`.

    Args:
        root: the corpus.
        row: a row of `schema.SAMPLES`.
    """

    def __init__(self, root: Path, row: Mapping[str, Any]) -> None:
        self._root = root
        self._row = row
        self._part: StoredArray | None = None

    @property
    def meta(self) -> Mapping[str, Any]:
        """The row."""
        return self._row

    def array(self, selection: tuple[slice, ...] | None = None) -> npt.NDArray[Any]:
        """Stored values, all or a box of them.

        Args:
            selection: slices along the leading axes, in the order of `axes`; only the chunks they touch are read.

        Raises:
            CorpusError: the sample is a picture, its data is damaged, or a referenced file is gone.
        """
        chosen = selection if selection is not None else ()
        if self._reader:
            return read_reference(self._root, self._row, chosen)
        return self._soundly(lambda: self._array(chosen))

    def _array(self, chosen: tuple[slice, ...]) -> npt.NDArray[Any]:
        if self._codec == REFERENCE_CODEC and self._reference.suffix != f".{ARRAY_CODEC}":
            picture = decode_picture(self._payload())
            return picture[self._box][chosen] if self._box else picture[chosen]
        if self._box:
            chosen = _inside(self._box, chosen, self.stored.shape)
        return (self._in_part(chosen) or self.stored)[chosen]

    def encoded(self) -> bytes:
        """The JPEG or PNG bytes.

        Raises:
            CorpusError: the sample is an array, its shard is damaged, or a referenced file is gone.
        """
        if self._codec == ARRAY_CODEC:
            raise CorpusError(f"the sample {self._row['uid']} is an array, not a picture; read it with array()")
        if self._reader:
            return _as_png(self.array(), str(self._row["uid"]))
        data = bytes(self.payload())
        if not data.startswith(PICTURE_HEADS):  # a library may hand it to any program that draws, such as Ghostscript
            raise CorpusError(f"the sample {self._row['uid']} is neither JPEG nor PNG; restore its shard")
        return _crop_picture(data, self._box) if self._box else data

    @cached_property
    def stored(self) -> StoredArray:
        """The array in place, for reading several boxes.

        Raises:
            CorpusError: it is a picture, or damaged.
        """
        if self._codec != ARRAY_CODEC and (
            self._codec != REFERENCE_CODEC or self._reference.suffix != f".{ARRAY_CODEC}"
        ):
            raise CorpusError(f"the sample {self._row['uid']} is a picture, not an array; read it with encoded()")
        payload, path, offset = self._mapped()
        array = array_in(payload, f"'{path}' at offset {offset}")
        if not array.is_sealed:
            self._compare(payload, path, offset)
        return array

    def _in_part(self, chosen: tuple[slice, ...]) -> StoredArray | None:
        """The array of a remote corpus where little of a large one is read, so that only its chunks are fetched."""
        if not chosen or self._codec != ARRAY_CODEC or (self._row.get("nbytes") or 0) <= MOST_WHOLE:
            return None
        from voxtile.corpus.remote.partial import PartialPayload, is_read_in_part  # late: for remote corpora alone

        path, offset, nbytes = self._address
        if not is_read_in_part(path, nbytes, _share(chosen, self._row.get("shape") or ())):
            return None
        if self._part is None:
            payload = PartialPayload(path, offset, nbytes)
            check_member(payload.member_header, path, offset, f"{self._row['uid']}.{self._codec}")
            self._part = array_in(payload.frame, f"'{path}' at offset {offset}", payload.need)
        return self._part if self._part.is_sealed else None  # else only the hash of all of it tells whether it is right

    def payload(self) -> memoryview:
        """The stored bytes in place, or those of the referenced file; they are what was written.

        Raises:
            CorpusError: the file is missing, cut short, damaged or exchanged, or only a reader makes pixels from it.
        """
        if self._reader:
            raise CorpusError(f"the sample {self._row['uid']} is part of a larger file; read it with array()")
        return self._soundly(self._payload)

    def _payload(self) -> memoryview:
        payload, path, offset = self._mapped()
        self._compare(payload, path, offset)
        return payload

    def _soundly(self, read: Callable[[], T]) -> T:
        """Read what lies in a shard; once more where a remote corpus's cache held other bytes."""
        return read() if self._codec == REFERENCE_CODEC else read_sound(*self._address, read, self._forget_opened)

    def _forget_opened(self) -> None:
        self.__dict__.pop("stored", None)
        self._part = None

    def _mapped(self) -> tuple[memoryview, Path, int]:
        """The bytes in place, with the file and where they begin in it."""
        if self._codec == REFERENCE_CODEC:
            path = self._reference
            return map_payload(path, 0, _size(path)), path, 0
        path, offset, nbytes = self._address
        return map_member(path, offset, nbytes, f"{self._row['uid']}.{self._codec}"), path, offset

    def _compare(self, payload: memoryview, path: Path, offset: int) -> None:
        """Raise CorpusError where the hash of the bytes is not that of the row."""
        if check_hash(payload, path, offset, self._row.get("sha256")):
            return
        if self._codec == REFERENCE_CODEC:
            raise CorpusError(f"the referenced file '{path}' has changed; put the old one back, or convert it again")
        raise CorpusError(
            f"'{path}' at byte {offset}: the sample differs from the hash in its row, so that the shard was damaged; "
            "run 'voxtile verify' on the corpus and restore it from a copy"
        )

    def preview(self) -> bytes | None:
        """JPEG for people, which the writer put right after the payload of an array; None if there is none.

        Raises:
            CorpusError: what stands there is damaged.
        """
        if self._codec != ARRAY_CODEC:
            return None
        path, offset, nbytes = self._address
        start = offset + nbytes + -nbytes % 512
        header = bytes(map_payload(path, start, 512))
        if not header.startswith(f"{self._row['uid']}.preview.jpg\0".encode()):
            return None
        try:
            size = int(header[124:136].rstrip(b"\0 "), 8)  # POSIX ustar: size in octal at byte 124
        except ValueError as error:
            raise CorpusError(f"'{path}' is damaged at offset {start}; run 'voxtile verify' on the corpus") from error
        return bytes(map_payload(path, start + 512, size))

    @property
    def _codec(self) -> str:
        return str(self._row["codec"])

    @property
    def _address(self) -> tuple[Path, int, int]:
        shard, offset, nbytes = self._row.get("shard"), self._row.get("offset"), self._row.get("nbytes")
        if shard is None or offset is None or nbytes is None:
            raise CorpusError(
                f"the sample {self._row['uid']} has no address in a shard; run 'voxtile verify' on the corpus"
            )
        path = Path(shard)
        if path.is_absolute() or ".." in path.parts:
            raise CorpusError(f"the sample {self._row['uid']} points outside its corpus, at '{shard}'")
        return self._root / path, int(offset), int(nbytes)

    @property
    def _reader(self) -> str | None:
        """What opens the referenced file, if it is neither a picture nor a frame."""
        reader = parse_reference(self._row).get("reader") if self._codec == REFERENCE_CODEC else None
        return str(reader) if reader else None

    @property
    def _box(self) -> tuple[slice, ...]:
        """The part of the referenced file that is the sample; empty for all of it."""
        if self._codec != REFERENCE_CODEC:
            return ()
        box = parse_reference(self._row).get("box") or []
        half = len(box) // 2
        return tuple(slice(int(low), int(high)) for low, high in zip(box[:half], box[half:], strict=True))

    @property
    def _reference(self) -> Path:
        """Local file of a `ref` sample; relative ones count from the corpus."""
        known = {"sha256": self._row.get("sha256"), **parse_reference(self._row)}
        return reference_path(self._root, str(self._row["uid"]), known)


def _inside(box: tuple[slice, ...], selection: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Selection within a box, as slices of the whole array."""
    outer = [*box, *(slice(0, size) for size in shape[len(box) :])]
    inner = [*selection, *(slice(None) for _ in outer[len(selection) :])]
    ranges = [range(*o.indices(size))[i] for o, i, size in zip(outer, inner, shape, strict=True)]
    return tuple(slice(r.start, r.stop) for r in ranges)


def _share(selection: tuple[slice, ...], shape: Sequence[int]) -> float:
    """Part of an array's values that is selected."""
    sizes = [len(range(*part.indices(size))) / max(1, size) for part, size in zip(selection, shape, strict=False)]
    return math.prod(sizes)


def _as_png(pixels: npt.NDArray[Any], uid: str) -> bytes:
    if pixels.dtype != np.uint8 or pixels.ndim not in {2, 3} or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise CorpusError(f"the sample {uid} is an array, not a picture; read it with array()")
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _crop_picture(data: bytes, box: tuple[slice, ...]) -> bytes:
    return _as_png(decode_picture(data)[box], "")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise CorpusError(f"the referenced file '{path}' cannot be read; put it back or drop the sample") from error
