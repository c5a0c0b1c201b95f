"""What is shown, as a file of its field to take away; nothing is written to the corpus."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from voxtile.corpus.reader import Corpus
from voxtile.corpus.source import StoredSample
from voxtile.errors import ConfigError, CorpusError, InputError
from voxtile.formats.dicom import SOP_CLASSES
from voxtile.formats.dicom_seg import Segment, check_segments_have_a_place, write_dicom_seg, write_segments
from voxtile.formats.geometry import volume_affine
from voxtile.stages.ground.files import WRITERS, Found, is_volume

Form = Literal["dicom-seg", "nifti", "geojson", "geopackage"]


@dataclass(frozen=True)
class SavedFile:
    """A file to download.

    Attributes:
        name: made of the sample's uid and the phrase: names of sources never leave.
        media_type: as browsers know it.
        content: the bytes.
    """

    name: str
    media_type: str
    content: bytes


def forms_of(meta: Mapping[str, Any]) -> tuple[Form, ...]:
    """Formats in which masks of a sample have their place, as `voxtile ground` has them."""
    if volume_affine(meta) is not None and meta.get("axes") == "ZYX":
        return ("nifti", "dicom-seg") if meta.get("modality") in SOP_CLASSES else ("nifti",)
    if len(meta.get("spacing") or ()) == 3:
        return ()
    return ("geopackage", "geojson") if meta.get("crs") and meta.get("transform") else ("geojson",)


def saved(corpus: Corpus, found: Sequence[Found], form: Form, drawn_by: str | None = None) -> SavedFile:
    """Masks of one sample as a file; several that belong together as an archive (zip).

    Args:
        corpus: of the sample.
        found: its masks; one at least is not empty.
        form: one of `forms_of`.
        drawn_by: the model; of regions of the corpus their facts say it.

    Raises:
        ConfigError: nothing is shown, or the sample has no place that the format could say.
        MissingExtraError: a library of the format is not installed.
    """
    sample = found[0].sample
    if form not in forms_of(sample.meta):
        known = ", ".join(forms_of(sample.meta))
        raise ConfigError(f"masks of this sample have no form as {form}; there {'is ' + known if known else 'is none'}")
    if not any(part.mask.any() for part in found):
        raise ConfigError("nothing is shown at these thresholds, so that there is nothing to save; lower them")
    stem = Path(_stem(found))
    with tempfile.TemporaryDirectory(prefix="voxtile-saved-") as folder:
        try:
            if form == "dicom-seg":
                files = _dicom_seg(corpus, sample, found, Path(folder) / f"{stem}.seg.dcm", drawn_by)
            else:
                files = WRITERS[form](corpus, found, stem, Path(folder), "none")
        except (CorpusError, InputError) as error:
            raise ConfigError(str(error)) from error
        return _packed(stem.name, files)


def _dicom_seg(
    corpus: Corpus, sample: StoredSample, found: Sequence[Found], out: Path, drawn_by: str | None
) -> list[Path]:
    """It refers to the series that `voxtile extract --to dicom` writes of the sample."""
    if not is_volume(sample):
        raise ConfigError("a DICOM segmentation is of slices with a place in the patient, and this sample has none")
    if drawn_by is None:
        return write_dicom_seg(corpus, sample, out)
    check_segments_have_a_place(sample)
    segments = []
    for part in found:
        if part.mask.any():
            name = hashlib.sha256(f"{sample.meta['uid']}\0{part.phrase}\0{drawn_by}".encode()).hexdigest()[:32]
            row = {"region_id": name, "phrase": part.phrase}
            segments.append(Segment(row, None, {"algorithm": "AUTOMATIC", "software": drawn_by}, part.mask))
    return write_segments(sample, segments, corpus.roots[sample.meta.get("corpus") or 0], out)


def _stem(found: Sequence[Found]) -> str:
    return found[0].stem[:80] if len(found) == 1 else str(found[0].sample.meta["uid"])[:12]


def _packed(stem: str, files: Sequence[Path]) -> SavedFile:
    if len(files) == 1:
        kind = "application/geo+json" if files[0].suffix == ".geojson" else "application/octet-stream"
        ending = re.sub(r"^[^.]*", "", files[0].name)
        return SavedFile(f"{stem}{ending}", kind, files[0].read_bytes())
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(file.name), file.read_bytes())
    return SavedFile(f"{stem}.zip", "application/zip", stream.getvalue())
