"""The masks of a volume as a DICOM segmentation that refers to its slices, through highdicom.

Source: DICOM PS3.3 A.51 (Segmentation IOD). Masks are written frame by frame as they are stored: binary masks as BINARY
(overlapping ones too), masks of shares as FRACTIONAL, in a file of their own.
"""

from __future__ import annotations

import io
import json
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

import voxtile
from voxtile.corpus.confidentiality import confidentiality_of
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import STRUCTURE
from voxtile.corpus.source import StoredSample
from voxtile.corpus.storage import publish_all
from voxtile.errors import CorpusError, InputError
from voxtile.formats.dicom import LPS, SOP_CLASSES, derived_uid, slice_headers
from voxtile.formats.dicom_originals import original_series
from voxtile.formats.geometry import Affine, volume_affine
from voxtile.formats.optional import require

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SUFFIX = ".seg.dcm"
MAX_BYTES = 4 << 30  # of overlapping masks, which highdicom takes as one array
_SHARE = 255
_BODY = ("SCT", "123037004", "Anatomical Structure")
_SAME_PLACE = 0.2  # of the smallest step: original positions are often rounded to 0.1 mm
_SAME_AXIS = 0.5  # highdicom holds cosines to the same tolerance: from 1 on any two axes would be the same
BY_MODEL = ("ground", "assist")  # before a colon and the model: sources of regions that a model drew
_MAX_LABEL = 64  # characters of a segment's label (PS3.5, VR LO)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Segment:
    """A mask of a sample, and what is known of it.

    Attributes:
        row: of the table `regions`: its `region_id` and `phrase`.
        code: of what it shows, such as `SCT:39607008`; or None.
        attributes: such as its category, and who drew it (`algorithm`: AUTOMATIC, SEMIAUTOMATIC or MANUAL, and by
            which `software`).
        mask: [Z, Y, X] bool, or uint8 for shares, on the sample's own grid.
    """

    row: Mapping[str, Any]
    code: str | None
    attributes: Mapping[str, Any]
    mask: Array

    @property
    def label(self) -> str:
        """Its name in the file."""
        return str(self.row["phrase"] or self.row["region_id"])[:_MAX_LABEL]


def write_dicom_seg(corpus: Corpus, sample: StoredSample, out: Path, originals: Path | None = None) -> list[Path]:
    """Write the masks of a sample.

    Args:
        corpus: of the sample.
        sample: a CT, MR or PET volume, or any whose original series is given.
        out: the file; masks of shares go to a second one beside it, named NAME-fractional.
        originals: folder with the sample's own DICOM series; without it the segmentation refers to the series that
            `write_dicom` writes.

    Raises:
        CorpusError: the sample has no mask on its own grid, or cannot be written as DICOM.
        InputError: the folder does not hold the series of the sample.
        MissingExtraError: highdicom is not installed.
    """
    check_segments_have_a_place(sample, originals)
    return write_segments(
        sample, _regions(corpus, sample), corpus.roots[sample.meta.get("corpus") or 0], out, originals
    )


def check_segments_have_a_place(sample: StoredSample, originals: Path | None = None) -> None:
    """Raise where masks of a sample have no place in a patient, or no series that they could refer to.

    Raises:
        CorpusError: as `write_dicom_seg`.
        MissingExtraError: highdicom is not installed.
    """
    require("highdicom", "medical")
    uid, modality = sample.meta["uid"], sample.meta.get("modality")
    if volume_affine(sample.meta) is None or sample.meta.get("axes") != "ZYX":
        raise CorpusError(f"sample {uid} is no volume with an affine, so that its masks have no place in a patient")
    if originals is None and modality not in SOP_CLASSES:
        raise CorpusError(f"no DICOM series is written for {modality}; give the sample's own with --originals FOLDER")


def write_segments(
    sample: StoredSample, segments: Sequence[Segment], root: Path, out: Path, originals: Path | None = None
) -> list[Path]:
    """Write masks that need not be in a corpus; else as `write_dicom_seg`.

    Args:
        sample: a volume with an affine.
        segments: at least one.
        root: the sample's corpus.
        out: as there.
        originals: as there.
    """
    affine = volume_affine(sample.meta)
    assert affine is not None, "see check_segments_have_a_place"
    known = confidentiality_of(root, sample.meta)
    sources = original_series(originals, sample, root) if originals else slice_headers(sample, known)
    files: list[tuple[Path, Callable[[Path], None]]] = []
    for is_share in (False, True):
        chosen = [segment for segment in segments if (segment.mask.dtype == np.uint8) == is_share]
        if chosen:
            target = out.with_name(f"{out.stem}-fractional{out.suffix}") if is_share and files else out
            files.append((target, partial(_write, sample, chosen, sources, LPS @ affine)))
    return publish_all(files)


def _regions(corpus: Corpus, sample: StoredSample) -> list[Segment]:
    uid, shape = sample.meta["uid"], tuple(sample.meta["shape"])
    table, facts = corpus.table("regions", with_root=True), corpus.table("facts")
    rows = table.filter(pc.and_(pc.equal(table["uid"], uid), pc.is_valid(table["mask_shard"]))).to_pylist()
    known: dict[str, dict[str, Any]] = defaultdict(dict)
    for fact in facts.filter(pc.and_(pc.equal(facts["uid"], uid), pc.equal(facts["concept"], STRUCTURE))).to_pylist():
        known[fact["region_id"]] = fact
    found = []
    for row in rows:
        mask = corpus.mask(row)
        if mask is not None and mask.shape == shape and mask.any():
            fact = known[row["region_id"]]
            about = {**_of_model(row["source"]), **json.loads(fact.get("attributes") or "{}")}
            found.append(Segment(row, fact.get("code"), about, mask))
    if not found:
        raise CorpusError(
            f"sample {uid} has no mask on its own grid; attach masks with: "
            "voxtile facts CORPUS --from masks --masks FOLDER"
        )
    return found


def _of_model(source: str | None) -> dict[str, str]:
    """Who drew a region that a model was asked for, `ground:last.ckpt`, without the folder of its file."""
    kind, _, name = (source or "").partition(":")
    software = Path(name).name if name.endswith(".ckpt") else name
    return {"algorithm": "AUTOMATIC", "software": software} if kind in BY_MODEL else {}


def _write(
    sample: StoredSample, regions: Sequence[Segment], sources: Sequence[Dataset], lps: Affine, target: Path
) -> None:
    import highdicom as hd

    uid = sample.meta["uid"]
    kind = "FRACTIONAL" if regions[0].mask.dtype == np.uint8 else "BINARY"
    ordered, geometry = _stack(sources)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a hashed patient's name has one component
        segmentation = hd.seg.Segmentation(
            source_images=ordered,
            pixel_array=_on_slices(_stacked(regions), lps, geometry, uid),
            segmentation_type=kind,
            segment_descriptions=[_description(region, number + 1) for number, region in enumerate(regions)],
            series_instance_uid=derived_uid("segmentation series", uid, kind, ordered[0].SeriesInstanceUID),
            series_number=100,
            sop_instance_uid=derived_uid("segmentation", uid, kind, ordered[0].SeriesInstanceUID),
            instance_number=1,
            manufacturer="voxtile",
            manufacturer_model_name="voxtile",
            software_versions=voxtile.__version__,
            device_serial_number="0",
            content_label="MASKS",
            content_description=f"masks of voxtile sample {uid}",
            max_fractional_value=_SHARE,
        )
    stream = io.BytesIO()
    segmentation.save_as(stream)
    target.write_bytes(stream.getvalue())


def _stacked(regions: Sequence[Segment]) -> Array:
    """[Z, Y, X] segment numbers where no two masks overlap and all are binary, else [Z, Y, X, segments]."""
    if regions[0].mask.dtype == bool:
        labels = np.zeros(regions[0].mask.shape, np.uint8 if len(regions) < 256 else np.uint16)
        for number, region in enumerate(regions, 1):
            if labels[region.mask].any():
                break
            labels[region.mask] = number
        else:
            return labels
    size = regions[0].mask.size * len(regions) * (4 if regions[0].mask.dtype == np.uint8 else 1)
    if size > MAX_BYTES:
        raise CorpusError(
            f"{len(regions)} overlapping masks take {size / 2**30:.0f} GiB together, more than the limit of "
            f"{MAX_BYTES >> 30}; write them from a corpus with fewer, or use --to nifti"
        )
    stacked = np.stack([region.mask for region in regions], axis=-1)
    return stacked.astype(np.float32) / _SHARE if stacked.dtype == np.uint8 else stacked.astype(np.uint8)


def _on_slices(masks: Array, lps: Affine, geometry: Any, uid: str) -> Array:  # noqa: ANN401 - a highdicom type
    """The masks with the axes of the source's slices."""
    import highdicom as hd

    channels: Any = {"SegmentNumber": list(range(1, masks.shape[3] + 1))} if masks.ndim == 4 else None
    volume = hd.Volume(masks, lps[:, [2, 1, 0, 3]], "PATIENT", geometry.frame_of_reference_uid, channels)
    try:
        turned = volume.match_geometry(geometry, tol=min(_SAME_PLACE * min(geometry.spacing), _SAME_AXIS))
    except RuntimeError as error:
        raise InputError(
            f"the series does not lie where sample {uid} does ({error}); give the folder of its own series"
        ) from error
    array: Array = turned.array
    if np.count_nonzero(array) != np.count_nonzero(masks):
        raise InputError(f"the series does not cover the masks of sample {uid}; give the folder of its own series")
    return array


def _stack(sources: Sequence[Dataset]) -> tuple[list[Dataset], Any]:
    """Slices in the order of their places, and the geometry of the stack (a `highdicom.VolumeGeometry`)."""
    import highdicom as hd

    if not sources[0].get("FrameOfReferenceUID"):
        raise InputError(
            "the DICOM files have no FrameOfReferenceUID, so that no segmentation can say where it lies; take files "
            "that still have it, or write with --to nifti"
        )
    if "NumberOfFrames" in sources[0]:
        geometry = hd.Image.from_dataset(sources[0]).get_volume_geometry()
        if geometry is None:
            raise InputError(
                "the frames of the series are not at equal steps; give the folder of the sample's own series"
            )
        return list(sources), geometry
    spacing, places = hd.spatial.get_series_volume_positions(list(sources), rtol=_SAME_PLACE, perpendicular_tol=1e-2)
    if places is None or spacing is None:
        raise InputError("the slices of the series are not at equal steps; give the folder of the sample's own series")
    ordered = [source for _, source in sorted(zip(places, sources, strict=True), key=lambda pair: pair[0])]
    first = ordered[0]
    for source in ordered:
        if not source.get("SliceThickness"):  # of type 2 in the image, of type 1 here: the masks fill the step
            source.SliceThickness = round(spacing, 6)
    geometry = hd.VolumeGeometry.from_attributes(
        image_position=first.ImagePositionPatient,
        image_orientation=first.ImageOrientationPatient,
        rows=first.Rows,
        columns=first.Columns,
        pixel_spacing=first.PixelSpacing,
        spacing_between_slices=spacing,
        number_of_frames=len(ordered),
        coordinate_system="PATIENT",
        frame_of_reference_uid=first.FrameOfReferenceUID,
    )
    return ordered, geometry


def _description(region: Segment, number: int) -> Any:  # noqa: ANN401 - a highdicom type
    import highdicom as hd
    from highdicom.sr import CodedConcept

    def concept(scheme: str, value: str, meaning: str) -> CodedConcept:
        return CodedConcept(value, scheme, (meaning or value)[:_MAX_LABEL])

    scheme, _, value = (region.code or "").partition(":")
    kind = (scheme, value, str(region.attributes.get("code_meaning") or region.label)) if value else _BODY
    category = region.attributes.get("category") or _BODY
    where = region.attributes.get("anatomic_region")
    algorithm = str(region.attributes.get("algorithm"))
    is_automatic = algorithm in ("AUTOMATIC", "SEMIAUTOMATIC")
    software = hd.AlgorithmIdentificationSequence(
        name=str(region.attributes.get("software") or "not recorded")[:_MAX_LABEL],  # the standard wants one named
        family=CodedConcept("113076", "DCM", "Segmentation"),
        version="not recorded",
    )
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=region.label,
        segmented_property_category=concept(*category),
        segmented_property_type=concept(*kind),
        algorithm_type=algorithm if is_automatic else "MANUAL",
        algorithm_identification=software if is_automatic else None,
        tracking_id=str(region.row["region_id"]),
        tracking_uid=derived_uid("region", str(region.row["region_id"])),
        anatomic_regions=[concept(*where)] if where else None,
    )
