"""An image of the viewer's own as a model's input, read in a process of its own with limits: it comes from outside."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtile.api.inputs import Given, check_metas, file_corpus, images_of
from voxtile.closing import Closing
from voxtile.data.presets.base import Preset
from voxtile.data.presets.roles import StudyReader, not_a_study
from voxtile.engine.pool import Raised, Returned, WorkerPool
from voxtile.engine.worker import Report
from voxtile.engine.worker_process import Call, Limits
from voxtile.errors import ConfigError
from voxtile.models.flattening import Flattening
from voxtile.models.rgb_pictures import flattened_preset
from voxtile.serve.search.series_archive import unpacked
from voxtile.stages.ground.sources import kind_of, read_as

MOST_BYTES = 256 << 20
"""Of an image that is sent."""

_LIMITS = Limits(time_s=120.0, memory_bytes=4 << 30)
_SERIES = ".zip"
_ENDINGS = (_SERIES, ".nii.gz", ".nii", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".jp2", ".dcm")
_NAMED = "the image"


@dataclass(frozen=True)
class _Reader:
    """What a process needs to know to read an image."""

    preset: Preset


@dataclass(frozen=True)
class ReadImage:
    """An image that was sent.

    Attributes:
        image: [C, *G] float32, the model's input.
        subject: whose it is; None where the file does not say.
        datetime: when it was acquired, ISO 8601; None where the file does not say.
    """

    image: Tensor
    subject: str | None
    datetime: str | None


class ImageReader(Closing):
    """Reads one image at a time; its process stays for the next, and is another one after any that broke it."""

    def __init__(self) -> None:
        # A process ends with the thread that started it (PR_SET_PDEATHSIG), and threads of requests come and go.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="images")
        self._pools: dict[int, WorkerPool] = {}

    def read(self, data: Path, name: str, preset: Preset, modality: str | None = None) -> Tensor:
        """[C, *G] the model's input.

        Args:
            data: the file as it was sent; it is moved.
            name: what the viewer calls it; its ending alone is looked at.
            preset: of the model.
            modality: of a NIfTI file, which does not say.

        Raises:
            ConfigError: it cannot be read, holds several images, or none that the model can take.
        """
        return self.read_image(data, name, preset, modality).image

    def read_image(self, data: Path, name: str, preset: Preset, modality: str | None = None) -> ReadImage:
        """The model's input, and what the file says of whom it shows and of when; see `read`."""
        return self._thread.submit(self._read, data, name, preset, modality).result()

    def close(self) -> None:
        """End its process."""
        self._thread.submit(self._end).result()
        self._thread.shutdown()

    def _read(self, data: Path, name: str, preset: Preset, modality: str | None) -> ReadImage:
        ending = next((ending for ending in _ENDINGS if name.casefold().endswith(ending)), "")
        with tempfile.TemporaryDirectory(prefix="voxtile-image-") as folder:
            named = Path(folder, f"image{ending}")
            data.rename(named)
            if id(preset) not in self._pools:
                self._pools[id(preset)] = WorkerPool(1, _Reader(preset), _LIMITS)
            pool = self._pools[id(preset)]
            pool.submit(Call(None, _prepared, (str(named), modality)))
            for event in list(pool.events()):
                if isinstance(event, Returned):
                    values, subject, datetime = event.value
                    return ReadImage(torch.from_numpy(values), subject, datetime)
                if isinstance(event, Raised) and event.error.is_expected:
                    raise ConfigError(_without_paths(event.error.sentence, named.parent))
        raise ConfigError("the image cannot be read within the limits of time and memory; give another")

    def _end(self) -> None:
        while self._pools:
            self._pools.popitem()[1].close()


def _prepared(
    reader: _Reader, path: str, modality: str | None, report: Report
) -> tuple[npt.NDArray[np.float32], str | None, str | None]:
    report(0)
    image, preset = Path(path), reader.preset
    if image.suffix == _SERIES:
        image = unpacked(image, image.parent / "series")
    if isinstance(preset, StudyReader):
        raise not_a_study(preset.role_names)
    kind = read_as(kind_of(image), image, preset)
    if kind == "wsi":
        raise ConfigError("a whole slide is not read as one image; give a picture of a part of it")
    known: Given = {"modality": _modality(preset, modality)} if kind == "nifti" else {}
    with tempfile.TemporaryDirectory(prefix="voxtile-image-") as folder:
        corpus = file_corpus(image, preset, Path(folder), known, 0.0)
        rows = images_of(corpus, image)
        if len(rows) > 1:
            raise ConfigError(f"{len(rows)} images were sent (files of several series?); give those of a single image")
        if rows[0]["kind"] != "volume":
            preset = flattened_preset(preset, rows, Flattening())
        check_metas(preset, rows)
        values = np.asarray(preset(corpus.source(rows[0]), None).numpy(), np.float32)
        return values, _subject(kind, rows[0]), rows[0]["datetime"]


def _subject(kind: str, row: Mapping[str, Any]) -> str | None:
    """Whose an image is; that of a picture or NIfTI file is its name, and of DICOM without a patient its study."""
    return None if kind in ("picture", "nifti") or row["subject"] == row["study"] else row["subject"]


def _without_paths(sentence: str, folder: Path) -> str:
    """What is said of the image, by whatever path within a folder."""
    return re.sub(rf"'?{re.escape(str(folder))}[^\s';,]*'?", _NAMED, sentence)


def _modality(preset: Preset, said: str | None) -> str | None:
    read = tuple(getattr(preset, "modalities", ()) or ())
    if said is None and len(read) > 1:
        raise ConfigError(f"a NIfTI file does not say its modality; choose one of {', '.join(read)}")
    return said
