"""Findings and their sizes as a DICOM measurement report that refers to the slices of a volume, through highdicom.

Source: DICOM PS3.16 TID 1500 (Measurement Report) with a group of TID 1501 a finding. Lengths are those of CID 7470;
what a finding is has the fact's own code, or its name under the scheme 99VOXTILE.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

import voxtile
from voxtile.corpus.confidentiality import confidentiality_of
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import DESCRIPTIVE, MEASURED
from voxtile.corpus.source import StoredSample
from voxtile.corpus.storage import publish_all
from voxtile.errors import CorpusError, InputError
from voxtile.formats.dicom import SOP_CLASSES, derived_uid, slice_headers
from voxtile.formats.dicom_originals import original_series
from voxtile.formats.optional import require

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SUFFIX = ".sr.dcm"
_OWN = "99VOXTILE"
_CODE = re.compile(r"([A-Z0-9]{2,16}):([\w.-]{1,64})")
_LONGEST = 64  # characters of a code's meaning (PS3.5, VR LO)
_PROCEDURES = {
    "CT": ("77477000", "SCT", "Computed tomography"),
    "MR": ("113091000", "SCT", "Magnetic resonance imaging"),
    "PT": ("82918005", "SCT", "Positron emission tomography"),
}
_ANY_PROCEDURE = ("363679005", "SCT", "Imaging")
# The axes of a lesion as reports and measurements give them, the longest first (CID 7470).
_AXES = (
    ("103339001", "SCT", "Long Axis"),
    ("103340004", "SCT", "Short Axis"),
    ("131189007", "SCT", "Perpendicular Axis"),
)
_POLARITIES = {
    "present": ("52101004", "SCT", "Present"),
    "absent": ("272519000", "SCT", "Absent"),
    "uncertain": ("64957009", "SCT", "Uncertain"),
}
_SIDES = {"left": ("7771000", "SCT", "Left"), "right": ("24028007", "SCT", "Right")}
_SIDES["bilateral"] = ("51440002", "SCT", "Right and left")


def write_dicom_sr(corpus: Corpus, sample: StoredSample, out: Path, originals: Path | None = None) -> list[Path]:
    """Write the findings of a sample as a measurement report.

    Facts of reports and masks are taken as they are: present, absent or uncertain, with side, place and sizes in mm.
    Nobody has verified the report, and it says so.

    Args:
        corpus: of the sample.
        sample: a CT, MR or PET volume, or any whose original series is given.
        out: the file.
        originals: folder with the sample's own DICOM series; without it the report refers to the series that
            `write_dicom` writes.

    Raises:
        CorpusError: the sample has no finding, or cannot be written as DICOM.
        InputError: the folder does not hold the series of the sample.
        MissingExtraError: highdicom is not installed.
    """
    require("highdicom", "medical")
    uid, modality = sample.meta["uid"], sample.meta.get("modality")
    if originals is None and modality not in SOP_CLASSES:
        raise CorpusError(f"no DICOM series is written for {modality}; give the sample's own with --originals FOLDER")
    facts = list(findings(corpus, uid))
    if not facts:
        raise CorpusError(
            f"sample {uid} has no finding to report; make facts with: voxtile facts CORPUS --from reports"
        )
    root = corpus.roots[sample.meta.get("corpus") or 0]
    known = confidentiality_of(root, sample.meta)
    sources = original_series(originals, sample, root) if originals else slice_headers(sample, known)
    return publish_all([(out, partial(_write, sample, [Finding(fact) for fact in facts], sources, ()))])


@dataclass(frozen=True)
class Finding:
    """A fact as a report states it.

    Attributes:
        fact: row of the table `facts`, its attributes read.
        said: the sentence that says so; empty for none.
        support: probability that a model gives image and sentence, 0 to 1; None where none was asked.
        segment: file of a DICOM segmentation of the same series, and the number of the segment that shows it; None for
            none.
    """

    fact: Mapping[str, Any]
    said: str = ""
    support: float | None = None
    segment: tuple[Path, int] | None = None


def write_drafted_sr(
    corpus: Corpus, sample: StoredSample, findings: Sequence[Finding], remarks: Sequence[str], out: Path, series: Path
) -> list[Path]:
    """Write findings that a model drafted as a measurement report.

    Each has beside what `write_dicom_sr` states the sentence that says so (Comment) and its support, with the name of
    the software that made it.

    Args:
        corpus: of the sample.
        sample: what was reported on.
        findings: one or more.
        remarks: sentences about the whole: warnings, and what names no finding.
        out: the file.
        series: folder with the sample's own DICOM series.

    Raises:
        InputError: there is no finding, or the folder does not hold the series of the sample.
        MissingExtraError: highdicom is not installed.
    """
    require("highdicom", "medical")
    if not findings:
        raise InputError(
            "the draft states no finding that the rules of reports know, and a DICOM measurement report holds one or "
            "more; leave --to out for the text alone"
        )
    sources = original_series(series, sample, corpus.roots[sample.meta.get("corpus") or 0])
    return publish_all([(out, partial(_write, sample, findings, sources, remarks))])


def findings(corpus: Corpus, uid: str) -> Iterator[Mapping[str, Any]]:
    """Facts of a sample that state a finding, once each; those that captions repeat are left out."""
    table = corpus.table("facts")
    rows = table.filter(pc.equal(table["uid"], uid)).to_pylist()
    own = {(row["concept"], row["polarity"], row["source"]) for row in rows}
    seen: set[str] = set()
    for row in rows:
        origin, repeated, _ = (row["source"] or "").partition("+")
        if repeated and (row["concept"], row["polarity"], origin) in own:
            continue
        said = json.dumps([row[name] for name in row if name != "source"], sort_keys=True)
        if row["concept"] not in DESCRIPTIVE and not origin.startswith(MEASURED) and said not in seen:
            seen.add(said)
            yield row | {"attributes": json.loads(row["attributes"] or "{}")}


def _write(
    sample: StoredSample, facts: Sequence[Finding], sources: Sequence[Dataset], remarks: Sequence[str], target: Path
) -> None:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    uid = sample.meta["uid"]
    first = sources[0]
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid("voxtile", voxtile.__version__),
        name="voxtile",
        manufacturer_name="voxtile",
        model_name=f"voxtile {voxtile.__version__}",
    )
    observer = hd.sr.ObserverContext(codes.DCM.Device, device)
    procedure = _PROCEDURES.get(str(sample.meta.get("modality")), _ANY_PROCEDURE)
    # The image library (optional, TID 1600) states thickness and spacing of slices, which nothing stands in for, and
    # highdicom looks for them where a file of many frames has none.
    described = all(source.get("SliceThickness") and source.get("PixelSpacing") for source in sources)
    groups = [_group(fact, number, uid) for number, fact in enumerate(facts, start=1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a hashed patient's name has one component
        report = hd.sr.MeasurementReport(
            observation_context=hd.sr.ObservationContext(observer_device_context=observer),
            procedure_reported=hd.sr.CodedConcept(*procedure),
            imaging_measurements=groups or None,
            title=codes.DCM.ImagingMeasurementReport,
            referenced_images=list(sources) if described else None,
        )
        report[0].ContentSequence.extend(_comment(remark) for remark in remarks)
        document = hd.sr.ComprehensiveSR(
            evidence=[*sources, *_segmentations(facts)],
            content=report,
            series_instance_uid=derived_uid("report series", uid, first.SeriesInstanceUID),
            series_number=101,
            sop_instance_uid=derived_uid("report", uid, first.SeriesInstanceUID),
            instance_number=1,
            manufacturer="voxtile",
            is_complete=True,
        )
    stream = io.BytesIO()
    document.save_as(stream)
    target.write_bytes(stream.getvalue())


def _group(finding: Finding, number: int, uid: str) -> Any:  # noqa: ANN401 - a highdicom type
    import highdicom as hd

    fact = finding.fact
    about = fact["attributes"]
    name = fact["region_id"] or f"{uid}-{number}"
    where, side = about.get("location"), _SIDES.get(str(about.get("laterality")))
    place = _own(str(where)) if where else hd.sr.CodedConcept("91723000", "SCT", "Anatomical Structure")
    sites = [hd.sr.FindingSite(place, hd.sr.CodedConcept(*side) if side else None)] if where or side else None
    presence = hd.sr.QualitativeEvaluation(
        _own("Presence of the finding", "presence"), hd.sr.CodedConcept(*_POLARITIES[fact["polarity"]])
    )
    said = {
        "tracking_identifier": hd.sr.TrackingIdentifier(derived_uid("region", str(name)), str(name)),
        "finding_type": _finding(fact),
        "finding_sites": sites,
        "measurements": [*_measurements(fact), *_support(finding)] or None,
        "qualitative_evaluations": [presence],
    }
    group: Any
    if finding.segment is None:
        group = hd.sr.MeasurementsAndQualitativeEvaluations(**said)
    else:
        group = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=_segment(*finding.segment), **said
        )
    if finding.said:
        group[0].ContentSequence.append(_comment(finding.said))
    return group


def _segmentations(findings: Sequence[Finding]) -> list[Dataset]:
    from pydicom import dcmread

    files = dict.fromkeys(finding.segment[0] for finding in findings if finding.segment is not None)
    return [dcmread(file, stop_before_pixels=True) for file in files]


def _segment(file: Path, number: int) -> Any:  # noqa: ANN401
    import highdicom as hd
    from pydicom import dcmread

    segmentation = dcmread(file, stop_before_pixels=True)
    source = segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID
    return hd.sr.ReferencedSegment(
        segmentation.SOPClassUID,
        segmentation.SOPInstanceUID,
        number,
        source_series=hd.sr.SourceSeriesForSegmentation(source),
    )


def _support(finding: Finding) -> Iterator[Any]:
    import highdicom as hd

    if finding.support is not None:
        yield hd.sr.Measurement(
            _own("Probability that a contrastive model gives image and sentence", "support"),
            round(finding.support, 4),
            hd.sr.CodedConcept("1", "UCUM", "no units"),
            algorithm_id=hd.sr.AlgorithmIdentification("voxtile", voxtile.__version__),
        )


def _comment(words: str) -> Any:  # noqa: ANN401
    import highdicom as hd
    from pydicom.sr.codedict import codes

    return hd.sr.TextContentItem(codes.DCM.Comment, words, hd.sr.RelationshipTypeValues.CONTAINS)


def _measurements(fact: Mapping[str, Any]) -> Iterator[Any]:
    import highdicom as hd

    sizes = fact["attributes"].get("size_mm")
    if not isinstance(sizes, list):
        sizes = [fact["value"]] if fact["unit"] == "mm" and fact["value"] is not None else []
    millimetre = hd.sr.CodedConcept("mm", "UCUM", "millimeter")
    for axis, size in zip(_AXES, sizes, strict=False):
        yield hd.sr.Measurement(hd.sr.CodedConcept(*axis), float(size), millimetre)


def _finding(fact: Mapping[str, Any]) -> Any:  # noqa: ANN401
    import highdicom as hd

    words = str(fact["concept"]).replace("_", " ")
    code = _CODE.fullmatch(fact["code"] or "")
    return hd.sr.CodedConcept(code[2], code[1], words[:_LONGEST]) if code else _own(words, str(fact["concept"]))


def _own(words: str, value: str | None = None) -> Any:  # noqa: ANN401
    import highdicom as hd

    return hd.sr.CodedConcept((value or words)[:_LONGEST], _OWN, words[:_LONGEST])
