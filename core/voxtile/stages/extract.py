"""`voxtile extract`: one sample as a file that other programs open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxtile.console import output
from voxtile.corpus.confidentiality import confidentiality_of
from voxtile.corpus.reader import Corpus
from voxtile.corpus.reference_roots import named_roots, only_references_in
from voxtile.corpus.source import StoredSample
from voxtile.errors import ConfigError
from voxtile.formats import dicom, dicom_seg, dicom_sr, geojson, geotiff, nifti, nifti_series, png


@dataclass(frozen=True)
class _Format:
    suffix: str
    write: Callable[[Corpus, StoredSample, Path], list[Path]]


def _of_pixels(write: Callable[[StoredSample, Path], list[Path]]) -> Callable[[Corpus, StoredSample, Path], list[Path]]:
    return lambda _, sample, out: write(sample, out)


def _regions(corpus: Corpus, sample: StoredSample, out: Path) -> list[Path]:
    return geojson.write_geojson(corpus, sample.meta, out)


def _series(corpus: Corpus, sample: StoredSample, out: Path) -> list[Path]:
    known = confidentiality_of(corpus.roots[sample.meta.get("corpus") or 0], sample.meta)
    return dicom.write_dicom(sample, out, known)


_FORMATS: Mapping[str, _Format] = {
    "nifti": _Format(nifti.SUFFIX, _of_pixels(nifti.write_nifti)),
    "png": _Format(png.SUFFIX, _of_pixels(png.write_png)),
    "geotiff": _Format(geotiff.SUFFIX, _of_pixels(geotiff.write_geotiff)),
    "dicom": _Format(dicom.SUFFIX, _series),
    "dicom-seg": _Format(dicom_seg.SUFFIX, dicom_seg.write_dicom_seg),
    "dicom-sr": _Format(dicom_sr.SUFFIX, dicom_sr.write_dicom_sr),
    "geojson": _Format(geojson.SUFFIX, _regions),
}

# Forms that may belong to the series that a sample was converted from.
_OF_ORIGINALS = {"dicom-seg": dicom_seg.write_dicom_seg, "dicom-sr": dicom_sr.write_dicom_sr}


def extract_sample(
    corpus: Path,
    uid: str,
    *,
    to: Literal["nifti", "png", "geotiff", "dicom", "dicom-seg", "dicom-sr", "geojson"],
    out: Path | None = None,
    window: tuple[float, float] | None = None,
    originals: Path | None = None,
    references: Path | None = None,
    series: bool = False,
) -> None:
    """Write one sample as a file that other programs open.

    Args:
        corpus: folder of the corpus.
        uid: the sample; `voxtile inspect` lists them.
        to: nifti for volumes, geotiff for georeferenced tiles, dicom for CT, MR and PET volumes, dicom-seg for the
            masks of a volume, dicom-sr for its findings as a measurement report (TID 1500), png for anything, geojson
            for the regions of a picture (of a slide's overview: its tissue mask), as QuPath reads it, or, of a tile
            with a place on Earth, in longitude and latitude.
        out: file to write (for dicom a folder); by default the uid and the format's suffix, here.
        window: low and high value, in the sample's units, that become black and white in a png.
        originals: for dicom-seg and dicom-sr, folder of the DICOM series that the sample was converted from; masks and
            findings then belong to that series, with its identifiers. Without it they belong to the series that --to
            dicom writes.
        references: folder whose files may be copied where the sample is a reference to one.
        series: for nifti, all volumes of the sample's series (time points, echoes, b-values) as one 4D file; of a
            diffusion series with its .bval and .bvec beside it, as FSL and BIDS have them.

    Raises:
        ConfigError: the file exists already.
        CorpusError: there is no such sample, or it cannot take this form.
        MissingExtraError: the format's library is not installed.
    """
    if to not in _FORMATS:
        raise ConfigError(f"samples are not written as '{to}'; choose one of: {', '.join(_FORMATS)}")
    if window is not None and to != "png":
        raise ConfigError("--window changes the values and is for --to png only; leave it out")
    if originals is not None and to not in _OF_ORIGINALS:
        raise ConfigError("--originals is for --to dicom-seg and dicom-sr only; leave it out")
    if series and to != "nifti":
        raise ConfigError("--series is for --to nifti only; leave it out")
    target = out or Path(f"{uid}{_FORMATS[to].suffix}")
    if target.exists():
        raise ConfigError(f"'{target}' exists; move it away or name another file with --out")
    opened = Corpus(corpus)
    sample = opened.source(opened.row(uid))
    with only_references_in(named_roots(references)):
        if window is not None:
            files = png.write_png(sample, target, window)
        elif series:
            files = nifti_series.write_nifti_series(opened, sample, target)
        elif originals is not None:
            files = _OF_ORIGINALS[to](opened, sample, target, originals)
        else:
            files = _FORMATS[to].write(opened, sample, target)
    number = f" ({len(files)} files)" if len(files) > 1 else ""
    output().print(f"wrote {target}{number}", markup=False, highlight=False, soft_wrap=True)
