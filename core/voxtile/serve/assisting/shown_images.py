"""The images of a chat: sent with it, read in a process with limits, or samples of the corpus."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from voxtile.api.inputs import check_metas
from voxtile.corpus.acquisition_time import moment
from voxtile.data.dialogues import image_names
from voxtile.data.presets.base import Preset
from voxtile.data.presets.roles import StudyReader
from voxtile.errors import ConfigError, CorpusError, PresetError
from voxtile.serve.assisting.refusals import RefusedError
from voxtile.serve.explored import Explored, NoSuchSampleError
from voxtile.serve.search.image_file import ImageReader, ReadImage

SAMPLE = "voxtile:"
"""Before the uid of a sample, in the place of an address."""

_DATA = re.compile(r"data:([a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60})((?:;[a-z0-9_-]{1,40}=[\w.-]{1,40})*);base64,", re.I)
_ENDINGS = {
    "image/png": ".png", "image/jpeg": ".jpg", "image/jpg": ".jpg", "image/webp": ".webp",
    "image/tiff": ".tif", "image/geotiff": ".tif", "application/dicom": ".dcm",
    "application/nifti": ".nii", "application/x-nifti": ".nii", "image/nifti": ".nii",
}  # fmt: skip
_NOBODYS = "the images do not say whose they are; they are taken for one patient's"
_GZIP = b"\x1f\x8b"
_MOST_HELD = 256 << 20  # bytes of images that are held for the next question about them


@dataclass(frozen=True)
class Shown:
    """What a chat is about.

    Attributes:
        name: the same for the same images under the same names.
        image: [C, *G] float32, or [N, C, *G] of several.
        names: of the N images in their order; none of a single one.
        notes: sentences on what was taken for granted.
    """

    name: str
    image: Tensor
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class ShownImages:
    """Images as the model reads them; the last ones are held.

    Attributes:
        preset: of the model.
        reader: of images that are sent.
    """

    preset: Preset
    reader: ImageReader = field(default_factory=ImageReader)
    _held: OrderedDict[str, ReadImage] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def shown(self, addresses: Sequence[str], explored: Explored | None) -> Shown:
        """The images of a chat, of several the earliest first; as they were sent where any has no date.

        Args:
            addresses: of each `data:…;base64,…`, or `voxtile:` and the uid of a sample.
            explored: the corpus; None where none is served.

        Raises:
            RefusedError: one is neither, cannot be read, or is not what the model takes; several are of several
                patients.
        """
        read = [self._image(address, explored) for address in addresses]
        if len(read) == 1:
            return Shown(read[0][0], read[0][1].image)
        subjects = {one.subject for _, one in read}
        if len(subjects) > 1 and None in subjects:
            raise RefusedError("some of the images do not say whose they are; send examinations that all say it")
        if len(subjects) > 1:
            raise RefusedError("the images are not of one patient; send examinations of one patient")
        dates = [moment(one.datetime) for _, one in read]
        if None not in dates:
            read = [read[place] for place in sorted(range(len(read)), key=lambda place: dates[place] or 0)]
        names = image_names([one.datetime for _, one in read])
        told = "\0".join([*(name for name, _ in read), *names])
        images = torch.stack([one.image for _, one in read])
        notes = (_NOBODYS,) if subjects == {None} else ()
        return Shown(hashlib.sha256(told.encode()).hexdigest(), images, tuple(names), notes)

    def _image(self, address: str, explored: Explored | None) -> tuple[str, ReadImage]:
        """A name for one image, and the image."""
        sent = None if address.startswith(SAMPLE) else _sent(address)
        name = address if sent is None else hashlib.sha256(address.encode()).hexdigest()
        with self._lock:
            if name in self._held:
                self._held.move_to_end(name)
                return name, self._held[name]
        made = self._of_sample(address[len(SAMPLE) :], explored) if sent is None else self._of_file(*sent)
        if not bool(torch.isfinite(made.image).all()):
            raise RefusedError("the image holds values that are not finite; give another")
        with self._lock:
            self._held[name] = made
            while len(self._held) > 1 and sum(one.image.nbytes for one in self._held.values()) > _MOST_HELD:
                self._held.popitem(last=False)
        return name, made

    def close(self) -> None:
        """End the process that reads."""
        self.reader.close()

    def _of_file(self, ending: str, modality: str | None, data: bytes) -> ReadImage:
        with tempfile.NamedTemporaryFile(prefix="voxtile-image-", delete=False) as file:
            file.write(data)
        path = Path(file.name)
        try:
            return self.reader.read_image(path, f"image{ending}", self.preset, modality)
        except (ConfigError, PresetError) as error:
            raise RefusedError(str(error)) from None
        finally:
            path.unlink(missing_ok=True)

    def _of_sample(self, uid: str, explored: Explored | None) -> ReadImage:
        if explored is None:
            raise RefusedError("no corpus is served whose samples could be named; send the image itself")
        if isinstance(self.preset, StudyReader):
            raise RefusedError("this model reads whole studies, which are not named here; use voxtile report")
        try:
            row = explored.row(uid)
            check_metas(self.preset, [row])
            with explored.source(row) as source:
                return ReadImage(self.preset(source, None), row["subject"], row["datetime"])
        except (NoSuchSampleError, PresetError) as error:
            raise RefusedError(str(error)) from None
        except (CorpusError, OSError):  # readers name files, which never leave
            raise RefusedError("this sample cannot be read; run 'voxtile verify' on the corpus", 500) from None


def _sent(address: str) -> tuple[str, str | None, bytes]:
    """Ending of a file's name, its modality where it is said, and its bytes."""
    if re.match(r"https?:", address, re.I):
        raise RefusedError("images are fetched from nowhere; send it as data:image/png;base64,…, or voxtile: and a uid")
    found = _DATA.match(address[:400])
    if found is None:
        raise RefusedError("an image is data:TYPE;base64,… or voxtile: and the uid of a sample of the corpus")
    kind = found[1].lower()
    if kind not in _ENDINGS:
        raise RefusedError(f"images of the type {kind} are not read; there are {', '.join(sorted(_ENDINGS))}")
    try:
        data = base64.b64decode(address[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError("the image is no base64; encode its bytes without line breaks") from None
    if not data:
        raise RefusedError("the image is empty")
    ending = _ENDINGS[kind]
    if ending == ".nii" and data.startswith(_GZIP):
        ending = ".nii.gz"
    said = dict(pair.split("=", 1) for pair in found[2].lower().split(";") if pair)
    modality = said.get("modality")
    return ending, modality.upper() if modality else None, data
